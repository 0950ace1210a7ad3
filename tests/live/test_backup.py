"""Backups made while others write, what of them comes back, and what is refused beside a restored catalogue."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index.errors import SnapshotMismatchError
from index.snapshot import current, set_current
from recall.errors import BackupError, CatalogError
from recall.live import catalog_copy
from recall.live.backup import backup
from recall.live.catalog import Catalog
from recall.live.catalog_writes import CatalogWrite, DeleteItems
from recall.live.query import SimilarQuery
from recall.live.records import InteractionRecord, UserRecord
from recall.live.restore import restore
from recall.live.writes import RequestKey

JAZZ = SimilarQuery(features={"topic": "jazz"}, limit=9)
REQUEST = RequestKey(request_id="r", digest=b"1")


@pytest.fixture
def filled(catalog: Catalog, make_item: Callable[..., Any]) -> Catalog:
    """Holds items a and b, both jazz, and of c that it was deleted; its last write is 4."""
    catalog.put_items([make_item(name, "jazz") for name in "abc"])
    catalog.write([CatalogWrite(change=DeleteItems(["c"]), request=REQUEST)])
    catalog.put_users([UserRecord(user_id="u", features={"country": "nl"})])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="a", timestamp=5)])
    return catalog


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "monday"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "restored" / "catalog.sqlite"


def interrupting(at: str) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if what == at:
            raise KeyboardInterrupt

    return progress


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_everything_comes_back_under_another_uuid(filled: Catalog, out: Path, copy: Path) -> None:
    made = backup(filled.path, out)
    assert (made.catalog_uuid, made.sequence, made.snapshot) == (filled.uuid, 4, "")
    summary = restore(out, copy)
    assert (summary.restored_from, summary.sequence, summary.snapshot) == (filled.uuid, 4, "")
    with Catalog.open(copy) as restored:
        assert restored.uuid == summary.catalog_uuid != filled.uuid
        assert restored.schema == filled.schema
        assert restored.changes(0, limit=9) == filled.changes(0, limit=9)
        assert restored.get_user("u") == {"country": "nl"}
        assert restored.history("u", 9) == ("a",)
        assert restored.find_request(REQUEST) == filled.find_request(REQUEST) is not None
        assert restored.put_items([]) == 4
    assert names(copy.parent) == ["catalog.sqlite"]


def test_a_backup_of_a_restored_catalogue_comes_back_too(filled: Catalog, out: Path, copy: Path) -> None:
    backup(filled.path, out)
    restore(out, copy)
    backup(copy, out.with_name("tuesday"))
    restore(out.with_name("tuesday"), copy.with_name("second"))
    with Catalog.open(copy.with_name("second")) as second:
        assert [ancestor.sequence for ancestor in second.lineage.ancestors] == [4, 4]
        assert second.find_request(REQUEST) is not None


def test_a_backup_shows_one_moment_while_others_write(
    catalog: Catalog, out: Path, copy: Path, make_item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_copy, "_PAGES_A_STEP", 1)
    catalog.put_items([make_item(f"i{n}", "jazz" * 200) for n in range(100)])
    going, stop = threading.Event(), threading.Event()

    def write() -> None:  # pairs, which a copy of two moments would tear
        while not stop.is_set():
            catalog.put_items([make_item("left"), make_item("right")])
            going.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        going.wait()
        made = backup(catalog.path, out)
        assert catalog.last_sequence() > made.sequence
    finally:
        stop.set()
        writer.join()
    restore(out, copy)
    with Catalog.open(copy) as restored:
        assert restored.last_sequence() == made.sequence
        assert [i.sequence for i in restored.changes(100, limit=9)] == [made.sequence - 1, made.sequence]


@pytest.mark.parametrize("at", ["pages", "check", "snapshot"])
def test_an_interrupted_backup_leaves_nothing(deployment: Any, filled: Catalog, out: Path, at: str) -> None:
    deployment.rebuild()
    with pytest.raises(KeyboardInterrupt):
        backup(filled.path, out, snapshots=deployment.root, progress=interrupting(at))
    assert names(out.parent) == []
    assert backup(filled.path, out).sequence == 4


def test_a_backup_never_replaces_another_and_is_no_catalogue(filled: Catalog, out: Path) -> None:
    backup(filled.path, out)
    with pytest.raises(BackupError, match=f"{out} exists"):
        backup(filled.path, out)
    with pytest.raises(CatalogError, match=r"is part of a backup; make a catalogue of it with `recall restore`"):
        Catalog.open(out / "catalog.sqlite")


def test_a_damaged_catalogue_is_told_at_the_backup_and_not_at_the_restore(
    catalog: Catalog, out: Path, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item(f"i{n}", "jazz" * 300) for n in range(50)])
    catalog.close()
    content = bytearray(catalog.path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    catalog.path.write_bytes(content)
    with pytest.raises((BackupError, CatalogError), match=f"{catalog.path}.*damaged"):
        backup(catalog.path, out)
    assert names(out.parent) == []


def test_a_damaged_backup_changes_nothing(
    filled: Catalog, out: Path, flip_byte: Callable[[Path], None], make_item: Callable[..., Any]
) -> None:
    backup(filled.path, out)
    flip_byte(out / "catalog.sqlite")
    filled.put_items([make_item("d")])
    with pytest.raises(BackupError, match=f"{out} is damaged: .*catalog.sqlite.*; take another backup"):
        restore(out, filled.path, overwrite=True)
    assert filled.last_sequence() == 5
    with pytest.raises(BackupError, match="is no readable backup"):
        restore(out.parent, filled.path, overwrite=True)


def test_a_catalogue_is_overwritten_only_where_that_is_asked_for_and_wholly_or_not_at_all(
    filled: Catalog, out: Path, make_item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_copy, "_PAGES_A_STEP", 1)
    backup(filled.path, out)
    filled.put_items([make_item("d")])
    with pytest.raises(CatalogError, match=f"{filled.path} exists; name another file, or give --overwrite"):
        restore(out, filled.path)
    with pytest.raises(KeyboardInterrupt):
        restore(out, filled.path, overwrite=True, progress=interrupting("pages"))
    assert filled.put_items([make_item("e")]) == 6
    restore(out, filled.path, overwrite=True)
    with pytest.raises(CatalogError, match=f"was restored while it was open: .*was {filled.uuid}; start this program"):
        filled.put_items([make_item("f")])
    with Catalog.open(filled.path) as restored:
        assert restored.last_sequence() == 4
        assert restored.get_item("d") is None


def test_a_file_that_is_no_catalogue_is_not_overwritten(filled: Catalog, out: Path, copy: Path) -> None:
    backup(filled.path, out)
    copy.parent.mkdir()
    copy.write_bytes(b"a letter" * 100)
    with pytest.raises(CatalogError, match="is not an SQLite file"):
        restore(out, copy, overwrite=True)
    assert copy.read_bytes() == b"a letter" * 100


def test_the_log_of_a_removed_file_is_not_written_into_a_restored_one(filled: Catalog, out: Path, copy: Path) -> None:
    backup(filled.path, out)
    copy.parent.mkdir()
    log = copy.with_name("catalog.sqlite-wal")
    log.write_bytes(b"x")
    with pytest.raises(CatalogError, match=f"{log} is left of a file that was removed"):
        restore(out, copy)
    assert names(copy.parent) == ["catalog.sqlite-wal"]


def test_a_snapshot_ahead_of_the_restored_catalogue_is_refused_also_once_its_number_is_passed(
    deployment: Any, filled: Catalog, out: Path, make_item: Callable[..., Any]
) -> None:
    before = deployment.rebuild()
    backup(filled.path, out)
    filled.put_items([make_item("lost", "jazz")])
    ahead = deployment.rebuild()
    restore(out, filled.path, overwrite=True)
    refused = rf"{ahead} reflects write 5 of catalogue {filled.uuid}, .*ends with its write 4.*; rebuild from this"
    for name in ("x", "y"):
        with pytest.raises(SnapshotMismatchError, match=refused), deployment.serving():
            pass
        with Catalog.open(filled.path) as restored:
            restored.put_items([make_item(name, "jazz")])
    set_current(deployment.root, before)
    with deployment.serving() as system:
        assert system.similar(JAZZ).item_ids == ["a", "b", "x", "y"]
    deployment.rebuild()
    with deployment.serving() as system:
        assert system.upsert([make_item("z", "jazz")]).sequence == 7
        assert system.similar(JAZZ).item_ids == ["a", "b", "x", "y", "z"]


def test_a_server_over_an_overwritten_catalogue_answers_and_takes_no_write(
    deployment: Any, filled: Catalog, out: Path, make_item: Callable[..., Any]
) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        backup(filled.path, out, snapshots=deployment.root)
        system.upsert([make_item("lost", "jazz")])
        restore(out, filled.path, snapshots=deployment.root, overwrite=True)
        with pytest.raises(CatalogError, match="was restored while it was open"):
            system.upsert([make_item("d", "jazz")])
        assert system.similar(JAZZ).item_ids == ["a", "b", "lost"]
    with deployment.serving() as system:
        assert system.similar(JAZZ).item_ids == ["a", "b"]


def test_the_snapshot_of_a_backup_is_put_back_and_made_current(
    deployment: Any, filled: Catalog, out: Path, make_item: Callable[..., Any]
) -> None:
    name = deployment.rebuild()
    assert backup(filled.path, out, snapshots=deployment.root).snapshot == name
    filled.put_items([make_item("lost", "jazz")])
    deployment.rebuild(letter="b")
    summary = restore(out, filled.path, snapshots=deployment.root, overwrite=True)
    assert summary.snapshot == current(deployment.root) == name
    shutil.rmtree(deployment.root)
    summary = restore(out, filled.path, snapshots=deployment.root, overwrite=True)
    assert summary.snapshot == current(deployment.root) == "000001-" + "a" * 12
    with deployment.serving() as system:
        assert system.similar(JAZZ).item_ids == ["a", "b"]


def test_without_a_snapshot_in_the_backup_the_newest_that_fits_is_made_current(
    deployment: Any, filled: Catalog, out: Path, make_item: Callable[..., Any]
) -> None:
    deployment.rebuild()
    fitting = deployment.rebuild(letter="b")
    backup(filled.path, out)
    filled.put_items([make_item("lost", "jazz")])
    ahead = deployment.rebuild()
    assert restore(out, filled.path, snapshots=deployment.root, overwrite=True).snapshot == fitting
    assert current(deployment.root) == fitting
    shutil.rmtree(deployment.root / fitting)
    shutil.rmtree(deployment.root / ("000001-" + "a" * 12))
    set_current(deployment.root, ahead)
    assert restore(out, filled.path, snapshots=deployment.root, overwrite=True).snapshot == ""


def test_a_snapshot_that_a_rebuild_removes_meanwhile_gives_way_to_the_next(
    deployment: Any, filled: Catalog, out: Path
) -> None:
    first = deployment.rebuild()
    second = deployment.rebuild(letter="b")
    set_current(deployment.root, first)
    shutil.rmtree(deployment.root / first / "rows")

    def move_on(what: str, done: int, total: int) -> None:
        if (what, done) == ("snapshot", 0):
            set_current(deployment.root, second)

    with pytest.raises(Exception, match="is missing"):
        backup(filled.path, out, snapshots=deployment.root)
    assert backup(filled.path, out, snapshots=deployment.root, progress=move_on).snapshot == second
