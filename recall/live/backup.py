"""Backups: a catalogue as it was at one moment, made while servers write, and with it the snapshot that they serve.

A backup is a folder that is whole or not there, with a manifest of checksums (`index/snapshot.py`):

    catalog.sqlite    the catalogue; its application id "RCBK" keeps it from being opened as one
    snapshots/NAME/   the snapshot that `CURRENT` named when the backup began, where it was asked for

The manifest's facts:

    backup        version of this description, 1
    catalog_uuid  the catalogue
    sequence      its last write that the backup holds; the snapshot reflects no later one
    made_at       when, in seconds since 1970
    snapshot      NAME, or null
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.snapshot import CURRENT, current, read_manifest, write_folder, write_manifest
from recall.errors import BackupError
from recall.live.catalog import Catalog
from recall.live.catalog_copy import copy_out
from recall.live.lineage import Lineage
from recall.live.snapshot import verified_facts
from recall.progress import Progress, silent
from recall.validation import one_line

BACKUP_VERSION = 1
CATALOG, SNAPSHOTS = "catalog.sqlite", "snapshots"


class BackupFacts(BaseModel):
    """The facts of a backup's manifest; see the module's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backup: int = BACKUP_VERSION
    catalog_uuid: str
    sequence: int
    made_at: int
    snapshot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSummary:
    """What a backup holds.

    Attributes:
        catalog_uuid: The catalogue.
        sequence: Its last write in the backup.
        snapshot: The snapshot in it; empty for none.
        size_bytes: Of all its files.
    """

    catalog_uuid: str
    sequence: int
    snapshot: str
    size_bytes: int


def backup(
    catalog: Path, out: Path, *, snapshots: Path | None = None, progress: Progress | None = None
) -> BackupSummary:
    """Writes a backup of a catalogue, checked and durable when this returns, while servers go on.

    Args:
        catalog: Catalogue file.
        out: Folder to make; must not exist.
        snapshots: Folder of snapshots, of which the current one goes into the backup; None takes the catalogue alone.
        progress: Told of `snapshot`, `pages` and `check`.

    Raises:
        BackupError: `out` exists or cannot be written, or the catalogue is damaged.
        CatalogError: The catalogue cannot be read, or there is no room.
        SnapshotDamagedError: The current snapshot is damaged.
        SnapshotMismatchError: The current snapshot is of another catalogue.
    """
    if out.exists():
        raise BackupError(f"{out} exists; name another folder, or remove it")
    with Catalog.open(catalog) as opened:
        lineage = opened.lineage
    report = progress or silent

    def fill(folder: Path) -> None:
        # The snapshot first: what it reflects was written before, so the copy of the catalogue holds it.
        name = None if snapshots is None else _copy_current(snapshots, folder / SNAPSHOTS, lineage, report)
        copied, sequence = copy_out(catalog, folder / CATALOG, report)
        facts = BackupFacts(catalog_uuid=copied.uuid, sequence=sequence, made_at=int(time.time()), snapshot=name)
        write_manifest(folder, facts.model_dump(mode="json"))

    try:
        write_folder(out, fill)
    except OSError as error:
        raise BackupError(f"{out} cannot be written: {error}; name a writable folder with room") from error
    parts, facts = read_manifest(out).parts.values(), read_facts(out)
    return BackupSummary(
        catalog_uuid=facts.catalog_uuid,
        sequence=facts.sequence,
        snapshot=facts.snapshot or "",
        size_bytes=sum(part.size_bytes for part in parts),
    )


def read_facts(folder: Path) -> BackupFacts:
    """Returns what the manifest of a backup says.

    Raises:
        BackupError: The folder holds no backup, or one that this program cannot read.
    """
    cure = "name a folder that `recall backup` made"
    try:
        facts = read_manifest(folder).facts
    except (SnapshotDamagedError, SnapshotMismatchError, OSError) as error:
        raise BackupError(f"{folder} is no readable backup: {error}; {cure}") from error
    if facts.get("backup") != BACKUP_VERSION:
        seen = f"its manifest says backup {facts.get('backup')}, this program reads {BACKUP_VERSION}"
        raise BackupError(f"{folder} is no backup that can be read: {seen}; {cure}, or update this program")
    try:
        return BackupFacts.model_validate(dict(facts))
    except ValidationError as error:
        raise BackupError(f"{folder} states unusable facts: {one_line(error)}; {cure}") from error


def _copy_current(root: Path, to: Path, lineage: Lineage, report: Progress) -> str:
    name = _named(root)
    report("snapshot", 0, 1)
    while True:
        try:
            facts = verified_facts(root / name)
            if reason := lineage.refusal(facts.catalog_uuid, facts.sequence):
                raise SnapshotMismatchError(f"{root / name} {reason}")
            shutil.copytree(root / name, to / name)
            break
        except (OSError, SnapshotDamagedError):
            shutil.rmtree(to, ignore_errors=True)
            tried, name = name, _named(root)
            if name == tried:  # else a rebuild has moved CURRENT on, and may have removed this one
                raise
    report("snapshot", 1, 1)
    return name


def _named(root: Path) -> str:
    name = current(root)
    if name is None:
        raise BackupError(f"{root / CURRENT} is missing; name the folder of snapshots, or back up without one")
    return name
