"""Every way of damage does damage: what it leaves is refused by the checks of a snapshot, but for an added file."""

from __future__ import annotations

import numpy as np
import pytest

from index.errors import SnapshotDamagedError
from index.snapshot import current, set_current, verify, write_folder, write_manifest
from snapshot_damage import DAMAGES


@pytest.fixture
def snapshots(tmp_path):
    """Two snapshots of two files each, one in a folder of its own, of which the second is current."""

    def fill(folder):
        (folder / "rows").mkdir()
        (folder / "rows" / "ids").write_bytes(folder.name.encode())
        (folder / "vectors").write_bytes(b"0123456789" + folder.name.encode())
        write_manifest(folder, {})

    for name in ("1-a", "2-b"):
        write_folder(tmp_path / name, fill)
    set_current(tmp_path, "2-b")
    return tmp_path


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("what", [what for what in DAMAGES if what not in ("file added", "CURRENT damaged")])
def test_damage_to_a_snapshot_is_refused_and_the_other_is_left_alone(snapshots, what, seed):
    DAMAGES[what](snapshots, "2-b", np.random.default_rng(seed))
    with pytest.raises(SnapshotDamagedError):
        verify(snapshots / "2-b")
    verify(snapshots / "1-a")
    assert current(snapshots) == "2-b"


@pytest.mark.parametrize("seed", range(8))
def test_added_file_changes_no_other(snapshots, seed):
    before = {path for path in snapshots.rglob("*") if path.is_file()}
    DAMAGES["file added"](snapshots, "2-b", np.random.default_rng(seed))
    added = {path for path in snapshots.rglob("*") if path.is_file()} - before
    assert len(added) == 1
    verify(snapshots / "2-b")


def test_current_is_damaged_in_every_way(snapshots):
    seen = set()
    for seed in range(30):
        set_current_again(snapshots)
        seen.add(DAMAGES["CURRENT damaged"](snapshots, "2-b", np.random.default_rng(seed)).split(" to ")[0])
        verify(snapshots / "2-b")
    assert {"CURRENT is removed", "CURRENT is a folder", "CURRENT holds noise", "CURRENT is cut"} <= seen


def set_current_again(root):
    if (root / "CURRENT").is_dir():
        (root / "CURRENT").rmdir()
    set_current(root, "2-b")
