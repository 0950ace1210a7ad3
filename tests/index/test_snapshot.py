from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from index import snapshot
from index.errors import SnapshotDamagedError, SnapshotMismatchError


def _fill(folder: Path) -> None:
    (folder / "spaces" / "main").mkdir(parents=True)
    (folder / "spaces" / "main" / "vectors.npy").write_bytes(bytes(range(200)))
    (folder / "rows.bin").write_bytes(b"rows")
    snapshot.write_manifest(folder, {"catalog": "c-1", "sequence": 7, "parameters": {"m": 32}})


@pytest.fixture
def root(tmp_path):
    for number in (1, 2, 10):
        snapshot.write_folder(tmp_path / f"{number}-abc", _fill)
    return tmp_path


def test_verify_returns_what_was_written(root):
    manifest = snapshot.verify(root / "2-abc")
    assert manifest.facts == {"catalog": "c-1", "sequence": 7, "parameters": {"m": 32}}
    assert sorted(manifest.parts) == ["rows.bin", "spaces/main/vectors.npy"]
    assert manifest.parts["rows.bin"].size_bytes == 4
    assert manifest.digest == snapshot.verify(root / "10-abc").digest


@pytest.mark.parametrize("name", ["rows.bin", "spaces/main/vectors.npy", "manifest.json"])
def test_verify_names_a_file_with_any_flipped_byte(root, name):
    path = root / "2-abc" / name
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(SnapshotDamagedError, match=path.name):
            snapshot.verify(root / "2-abc")
    path.write_bytes(content)
    snapshot.verify(root / "2-abc")


@pytest.mark.parametrize("name", ["rows.bin", "spaces/main/vectors.npy", "manifest.json"])
def test_verify_names_a_cut_or_missing_file(root, name):
    path = root / "2-abc" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotDamagedError, match=path.name):
        snapshot.verify(root / "2-abc")
    path.unlink()
    with pytest.raises(SnapshotDamagedError, match=rf"{path.name} is missing"):
        snapshot.verify(root / "2-abc")


def test_verify_says_sizes_wanted_and_seen(root):
    (root / "2-abc" / "rows.bin").write_bytes(b"ro")
    with pytest.raises(SnapshotDamagedError, match=r"rows\.bin has 2 bytes, wants 4"):
        snapshot.verify(root / "2-abc")


def test_manifest_of_another_version_is_refused(root, monkeypatch):
    monkeypatch.setattr(snapshot, "FORMAT_VERSION", 2)
    with pytest.raises(SnapshotMismatchError, match="format version 1, this program reads 2"):
        snapshot.verify(root / "2-abc")


def test_failed_fill_leaves_nothing(root):
    before = sorted(root.iterdir())

    def fail(folder: Path) -> None:
        _fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        snapshot.write_folder(root / "11-abc", fail)
    assert sorted(root.iterdir()) == before


def test_rename_that_fails_leaves_nothing(root, monkeypatch):
    def fail(self: Path, target: Path) -> None:
        raise OSError(5, "Input/output error")

    before = sorted(root.iterdir())
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output"):
        snapshot.write_folder(root / "11-abc", _fill)
    assert sorted(root.iterdir()) == before


def test_everything_is_synced_before_the_rename(tmp_path, monkeypatch):
    events = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(descriptor: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    snapshot.write_folder(tmp_path / "1-abc", _fill)
    before, after = events[: events.index("rename")], events[events.index("rename") + 1 :]
    temporary = f".1-abc.tmp-{os.getpid()}"
    assert set(before) == {"spaces", "main", "vectors.npy", "rows.bin", "manifest.json", temporary}
    assert after == [tmp_path.name]


def test_write_folder_refuses_to_replace(root):
    with pytest.raises(FileExistsError, match="2-abc exists already"):
        snapshot.write_folder(root / "2-abc", _fill)


def test_write_folder_clears_what_a_dead_process_left(root):
    (root / f".11-abc.tmp-{os.getpid()}").mkdir()
    snapshot.write_folder(root / "11-abc", _fill)
    snapshot.verify(root / "11-abc")


def test_names_are_newest_first_by_number(root):
    (root / ".12-abc.tmp-1").mkdir()
    (root / "notes").mkdir()
    assert snapshot.snapshot_names(root) == ["10-abc", "2-abc", "1-abc"]
    assert snapshot.next_build_number(root) == 11
    assert snapshot.next_build_number(root / "none") == 1


def test_current_moves_and_moves_back(root):
    assert snapshot.current(root) is None
    for name in ("10-abc", "2-abc"):
        snapshot.set_current(root, name)
        assert snapshot.current(root) == name
    with pytest.raises(FileNotFoundError, match="11-abc does not exist; CURRENT stays"):
        snapshot.set_current(root, "11-abc")
    with pytest.raises(ValueError, match="no snapshot name"):
        snapshot.set_current(root, "../2-abc")
    assert snapshot.current(root) == "2-abc"
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_an_interrupted_move_of_current_leaves_the_old_one_alone(root, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    snapshot.set_current(root, "1-abc")
    monkeypatch.setattr(snapshot, "_sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        snapshot.set_current(root, "2-abc")
    assert snapshot.current(root) == "1-abc"
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_damaged_current_is_named(root):
    (root / "CURRENT").write_bytes(b"\xff\x00")
    with pytest.raises(SnapshotDamagedError, match="CURRENT holds"):
        snapshot.current(root)


def test_manifest_is_readable_json(root):
    body = json.loads((root / "1-abc" / "manifest.json").read_text(encoding="ascii"))
    assert sorted(body) == ["digest", "facts", "format_version", "parts"]
