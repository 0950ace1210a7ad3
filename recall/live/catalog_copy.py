"""Copying of whole catalogues by SQLite's online backup, which goes on beside readers and writers.

A copy that is not to be opened as a catalogue has the application id "RCBK" (`recall/live/backup.py`).
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from recall.errors import BackupError, CatalogBusyError
from recall.live.catalog_file import (
    APPLICATION_ID,
    BACKUP_ID,
    BUSY_TIMEOUT_SECONDS,
    CatalogFile,
    check_header,
    translated_errors,
)
from recall.live.catalog_migration import migrate
from recall.live.lineage import Lineage, read_meta, write_lineage
from recall.progress import Progress

_PAGES_A_STEP = 1024
_MAX_FAULTS = 3


def copy_out(catalog: Path, copy: Path, report: Progress) -> tuple[Lineage, int]:
    """Writes a catalogue as it is at this moment to a new file, which can be restored and not be served.

    Args:
        catalog: May be written meanwhile, by any process; its log is not shortened before the end.
        copy: Must not exist.
        report: Told of `pages`, and of the `check` of the copy.

    Returns:
        The lineage of the catalogue, and its last write that the copy holds.

    Raises:
        CatalogError: The catalogue cannot be read, or the copy not be written.
        BackupError: The copy is damaged, since the catalogue is.
    """
    opened = CatalogFile(catalog)
    try:
        with opened.reading() as source, _new_file(copy) as target:
            source.execute("BEGIN")  # all steps copy one state, and none has to begin again after a write
            try:
                lineage, _ = read_meta(source, catalog)
                (sequence,) = source.execute("SELECT sequence FROM counter").fetchone()
                _copy(source, target, report)
            finally:
                source.execute("ROLLBACK")
            _check(target, catalog, report)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
            target.execute(f"PRAGMA application_id = {BACKUP_ID}")
    finally:
        opened.close()
    return lineage, int(sequence)


def renamed(copy: Path, *, sequence: int) -> Lineage:
    """Makes a copy that `copy_out` wrote a catalogue of its own, in place; returns its lineage.

    Raises:
        CatalogError: The file cannot be read or written.
    """
    with translated_errors(copy), closing(_connected(copy)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
        migrate(connection)
        lineage = read_meta(connection, copy)[0].child(str(uuid.uuid4()), sequence=sequence)
        write_lineage(connection, lineage)
        connection.execute("PRAGMA journal_mode = WAL")
    return lineage


def copy_over(copy: Path, catalog: Path, report: Progress) -> None:
    """Replaces the content of a catalogue by that of another, in one transaction: all or, after a failure, none.

    Programs that have it open see the change with their next statement, and refuse to go on (`Lineage.require_name`).

    Raises:
        CatalogError: The file is no catalogue, or cannot be written.
    """
    check_header(catalog)
    with translated_errors(catalog), closing(_connected(copy)) as source, closing(_connected(catalog)) as target:
        _copy(source, target, report)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, report: Progress) -> None:
    started = time.perf_counter()

    def step(status: int, remaining: int, total: int) -> None:
        nonlocal started
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if time.perf_counter() - started > BUSY_TIMEOUT_SECONDS:
                raise CatalogBusyError(f"another process kept it locked for {BUSY_TIMEOUT_SECONDS:.0f} s; try again")
        else:
            started = time.perf_counter()
        report("pages", total - remaining, total)

    source.backup(target, pages=_PAGES_A_STEP, progress=step, sleep=0.01)


def _check(target: sqlite3.Connection, catalog: Path, report: Progress) -> None:
    report("check", 0, 1)
    with translated_errors(catalog):  # the copy is as damaged as what it was made of
        faults = [text for (text,) in target.execute(f"PRAGMA integrity_check({_MAX_FAULTS})")]
    if faults != ["ok"]:
        seen = " ".join("; ".join(faults).split())
        raise BackupError(f"{catalog} is damaged: {seen}; restore an earlier backup, or load the data into a new file")
    report("check", 1, 1)


@contextmanager
def _new_file(path: Path) -> Iterator[sqlite3.Connection]:
    path.touch(exist_ok=False)
    with translated_errors(path), closing(_connected(path)) as connection:
        yield connection


def _connected(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
