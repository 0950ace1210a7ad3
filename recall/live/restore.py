"""The way back from a backup to a catalogue, and what becomes of snapshots that are ahead of it.

A restored catalogue has a uuid of its own (`recall/live/lineage.py`). So a snapshot that reflects writes which came
after the backup is refused, and so is, by a program that had the replaced catalogue open, every further write: nothing
is acknowledged under a number that meant another write before. With a folder of snapshots at hand, `CURRENT` moves to
the snapshot of the backup, or where it has none to the newest one that reflects only what was restored.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.snapshot import next_build_number, read_manifest, set_current, snapshot_names, verify, write_folder
from recall.errors import BackupError, CatalogError
from recall.live.backup import CATALOG, SNAPSHOTS, BackupFacts, read_facts
from recall.live.catalog_copy import copy_over, renamed
from recall.live.catalog_file import put_in_place
from recall.live.lineage import Lineage
from recall.live.snapshot import current_held, only_writer, verified_facts
from recall.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSummary:
    """What a restore did.

    Attributes:
        catalog_uuid: The restored catalogue.
        restored_from: The catalogue that the backup was made of.
        sequence: Its last write; the next one takes the number after it.
        snapshot: What `CURRENT` names now; empty where no snapshot fits, or no folder of them was named.
    """

    catalog_uuid: str
    restored_from: str
    sequence: int
    snapshot: str


def restore(
    source: Path,
    catalog: Path,
    *,
    snapshots: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RestoreSummary:
    """Makes a catalogue of a backup, durable when this returns; what fails changes nothing.

    Args:
        source: Folder that `backup` made.
        catalog: File to make.
        snapshots: Folder that servers of the catalogue take their snapshots from; made where it is missing.
        overwrite: Whether a catalogue that lies there is replaced; what it holds is lost then.
        progress: Told of `check`, `snapshot` and `pages`.

    Raises:
        BackupError: The backup is damaged or none.
        CatalogError: The catalogue exists and is not to be replaced, or cannot be written.
        BusyError: A rebuild writes to the folder of snapshots.
    """
    report = progress or silent
    if catalog.exists() and not overwrite:
        raise CatalogError(f"{catalog} exists; name another file, or give --overwrite, and what it holds is lost")
    facts = _checked(source, report)
    if snapshots is None:
        return _summary(facts, _restored(source, catalog, facts, report))
    snapshots.mkdir(parents=True, exist_ok=True)
    with only_writer(snapshots):
        name = "" if facts.snapshot is None else _taken(source / SNAPSHOTS / facts.snapshot, snapshots, report)
        lineage = _restored(source, catalog, facts, report)
        with current_held(snapshots):
            name = name or _newest(snapshots, lineage)
            if name:
                set_current(snapshots, name)
    return _summary(facts, lineage, name)


def _checked(source: Path, report: Progress) -> BackupFacts:
    facts = read_facts(source)
    report("check", 0, 1)
    try:
        verify(source)
    except (SnapshotDamagedError, SnapshotMismatchError) as error:
        raise BackupError(f"{source} is damaged: {error}; take another backup") from error
    report("check", 1, 1)
    return facts


def _restored(source: Path, catalog: Path, facts: BackupFacts, report: Progress) -> Lineage:
    temporary = catalog.with_name(f".{catalog.name}.{uuid.uuid4().hex}.tmp")
    try:
        catalog.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / CATALOG, temporary)
        lineage = renamed(temporary, sequence=facts.sequence)
        if catalog.exists():
            copy_over(temporary, catalog, report)
        else:
            put_in_place(temporary, catalog)
    except OSError as error:
        raise CatalogError(f"{catalog} cannot be written: {error}; name a writable folder with room") from error
    finally:
        temporary.unlink(missing_ok=True)
    return lineage


def _taken(folder: Path, root: Path, report: Progress) -> str:
    """Brings a snapshot of a backup among those of a folder, where it is not there still; returns its name."""
    digest = read_manifest(folder).digest
    for name in snapshot_names(root):
        try:
            if verify(root / name).digest == digest:
                return name
        except (SnapshotDamagedError, SnapshotMismatchError):
            continue
    name = f"{next_build_number(root):06}-{folder.name.split('-', 1)[1]}"
    report("snapshot", 0, 1)
    write_folder(root / name, lambda temporary: _copy_into(folder, temporary))
    report("snapshot", 1, 1)
    return name


def _copy_into(folder: Path, temporary: Path) -> None:
    shutil.copytree(folder, temporary, dirs_exist_ok=True)


def _newest(root: Path, lineage: Lineage) -> str:
    """Returns the newest whole snapshot that reflects only what was restored, empty where there is none."""
    for name in snapshot_names(root):
        try:
            facts = verified_facts(root / name)
        except (SnapshotDamagedError, SnapshotMismatchError):
            continue
        if not lineage.refusal(facts.catalog_uuid, facts.sequence):
            return name
    return ""


def _summary(facts: BackupFacts, lineage: Lineage, snapshot: str = "") -> RestoreSummary:
    return RestoreSummary(
        catalog_uuid=lineage.uuid, restored_from=facts.catalog_uuid, sequence=facts.sequence, snapshot=snapshot
    )
