"""The file of a catalogue: its format, the checks before it is opened, its connections and their errors.

Format version 4: an SQLite database in write-ahead mode with `application_id` "RCAT" and `user_version` 4.

    meta          one row: uuid of the catalogue, data schema as JSON, catalogues that it was copied from
                  (`recall/live/lineage.py`), checksum
    counter       one row: number of the last write; of the last item write, the greatest key of items; what
                  `recall/live/catalog_upkeep.py` counts; and in `forgotten` the last tombstone that was removed
    items         one row an item, keyed by the number of its last write; a deletion leaves a row with an empty payload,
                  a tombstone, for a while (`recall/live/retention.py`)
    users         one row a user
    interactions  one row an event, in order of insertion; (user, item, timestamp) is unique; found by user and by item
    requests      one row a request id, see `recall/live/catalog_requests.py`
    moments       numbers of writes and when they had been reached, in seconds since 1970; not all of them

Payloads are described in `recall/live/convert.py`, the checksums of meta, items and users in
`recall/live/catalog_rows.py`; interactions have none: a damaged one changes a count or a history by one event.
Commits are synchronous=FULL: durable once acknowledged. What is removed is overwritten with zeros (secure_delete).
Files of older versions are brought up to date where they are opened (`recall/live/catalog_migration.py`). Until the
first release, version 4 may still change.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recall.durable import sync
from recall.errors import CatalogBusyError, CatalogError, CatalogFullError
from recall.live.catalog_migration import (
    AUDIENCES,
    COUNTED,
    FORMAT_VERSION,
    MOMENTS,
    OLDEST_VERSION,
    REQUESTS,
    REQUESTS_BY_TIME,
    TOMBSTONES,
    migrate,
)
from recall.live.catalog_rows import meta_checksum
from recall.schema import DataSchema

APPLICATION_ID = int.from_bytes(b"RCAT")
BACKUP_ID = int.from_bytes(b"RCBK")
"""Of a copy that is kept to be restored: opened as a catalogue it would take writes under the numbers of others."""
BUSY_TIMEOUT_SECONDS = 30.0
_MOST_PAGES_AT_ONCE = 4096  # so that writers wait for a moment only
_LOG_TIMEOUT_SECONDS = 0.25  # writers wait while the log is being emptied

_MAGIC = b"SQLite format 3\x00"
_TABLES = f"""
CREATE TABLE meta (
    uuid TEXT NOT NULL, schema TEXT NOT NULL, checksum INTEGER NOT NULL, ancestors TEXT NOT NULL DEFAULT ''
);
CREATE TABLE counter (sequence INTEGER NOT NULL, {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTED)});
CREATE TABLE items (
    sequence INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE, deleted INTEGER NOT NULL, payload BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE users (user_id TEXT NOT NULL PRIMARY KEY, payload BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE interactions (
    insertion INTEGER PRIMARY KEY, user_id TEXT NOT NULL, item_id TEXT NOT NULL, timestamp INTEGER NOT NULL,
    UNIQUE (user_id, timestamp, item_id)
);
{REQUESTS};
{REQUESTS_BY_TIME};
{MOMENTS};
{TOMBSTONES};
{AUDIENCES};
INSERT INTO counter (sequence) VALUES (0);
"""


def create_file(path: Path, schema: DataSchema) -> None:
    """Creates an empty catalogue; either the whole file appears or none.

    Raises:
        CatalogError: The path exists, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(f"{path} cannot be created: {error}; name a writable folder") from error
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with translated_errors(temporary):
            _fill(temporary, schema)
        put_in_place(temporary, path)
    except FileExistsError as error:
        raise CatalogError(f"{path} exists already; open it, or name another file") from error
    except OSError as error:
        raise CatalogError(f"{path} cannot be created: {error}; name a writable folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Gives a whole file its name, durably.

    Raises:
        CatalogError: The log of a file that was removed lies beside the path; SQLite would write it into this one.
        FileExistsError: The path exists.
    """
    for remnant in (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")):
        if remnant.exists() and not path.exists():
            raise CatalogError(f"{remnant} is left of a file that was removed, and would damage a new one; remove it")
    sync(temporary)
    os.link(temporary, path)  # unlike a rename it refuses an existing file
    sync(path.parent)


def _fill(path: Path, schema: DataSchema) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before there is a table
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.executescript(_TABLES)
        row = str(uuid.uuid4()), schema.model_dump_json()
        connection.execute("INSERT INTO meta (uuid, schema, checksum) VALUES (?, ?, ?)", (*row, meta_checksum(*row)))
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def check_header(path: Path) -> None:
    """Reads the first 100 bytes and the size of the file, nothing more.

    The layout of the header is section 1.3 of https://www.sqlite.org/fileformat2.html.

    Raises:
        CatalogError: The file is missing, foreign, truncated or of another format version.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size_bytes = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise CatalogError(f"{path} does not exist; create it with `recall load --catalog {path}`") from error
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error}; name a catalogue file") from error
    if len(header) < 100 or header[:16] != _MAGIC:
        seen = f"its {size_bytes} bytes begin with {header[:16]!r}"
        raise CatalogError(f"{path} is not an SQLite file: {seen}; name a file that `recall load` made")
    application_id, version = header[68:72], int.from_bytes(header[60:64])
    if int.from_bytes(application_id) == BACKUP_ID:
        raise CatalogError(f"{path} is part of a backup; make a catalogue of it with `recall restore`")
    if int.from_bytes(application_id) != APPLICATION_ID:
        seen = f"its application id is {application_id!r}, not {APPLICATION_ID.to_bytes(4)!r}"
        raise CatalogError(f"{path} is an SQLite file of another program: {seen}; name a file that `recall load` made")
    if not OLDEST_VERSION <= version <= FORMAT_VERSION:
        cure = "update this program" if version > FORMAT_VERSION else "load the data into a new file"
        reads = f"{OLDEST_VERSION} to {FORMAT_VERSION}"
        raise CatalogError(f"{path} has format version {version}; this program reads {reads}: {cure}")
    _check_size(path, header, size_bytes)


def _check_size(path: Path, header: bytes, size_bytes: int) -> None:
    page_bytes = int.from_bytes(header[16:18])
    wanted_bytes = int.from_bytes(header[28:32]) * (65536 if page_bytes == 1 else page_bytes)
    log = path.with_name(path.name + "-wal")
    if size_bytes < wanted_bytes and not (log.exists() and log.stat().st_size):  # a log may hold the missing pages
        seen = f"it ends at offset {size_bytes}, its header says {wanted_bytes}"
        raise CatalogError(f"{path} is damaged: {seen}; restore a copy, or load the data into a new file")


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turns errors of SQLite into errors that name the file and the cure.

    Raises:
        CatalogBusyError: Another process held the write lock longer than the busy timeout.
        CatalogFullError: The disk or a quota is full.
        CatalogError: Anything else that SQLite reports.
    """
    try:
        yield
    except sqlite3.ProgrammingError:  # a mistake of ours, not of the file
        raise
    except UnicodeDecodeError as error:  # a message of SQLite that quotes damaged bytes
        raise CatalogError(f"{path}: {error}; {_CURES[sqlite3.SQLITE_CORRUPT]}") from error
    except sqlite3.DatabaseError as error:
        try:
            code = error.sqlite_errorcode & 0xFF  # the upper bits say which variant
        except AttributeError:  # not SQLite but its Python module found the fault: text that is no UTF-8
            raise CatalogError(f"{path}: {error}; {_CURES[sqlite3.SQLITE_CORRUPT]}") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            wait = f"another process kept it locked for {BUSY_TIMEOUT_SECONDS:.0f} s"
            raise CatalogBusyError(f"{path}: {wait} ({error}); try again or stop that process") from error
        if code == sqlite3.SQLITE_FULL or error.sqlite_errorcode in _NO_ROOM:
            seen = f"no room for the write ({error}, {error.sqlite_errorname})"
            raise CatalogFullError(f"{path}: {seen}; free disk space, or raise the quota") from error
        cure = _CURES.get(code, "see the message of SQLite")
        raise CatalogError(f"{path}: {error} ({error.sqlite_errorname}); {cure}") from error


_NO_ROOM = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
"""What SQLite says of a quota, a limit of sizes of files, or a log whose index cannot grow."""
_CURES = {
    sqlite3.SQLITE_READONLY: "make the file and its folder writable; if the file was moved or replaced, open it again",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a copy, or load the data into a new file",
    sqlite3.SQLITE_NOTADB: "the file is damaged: restore a copy, or load the data into a new file",
    sqlite3.SQLITE_ERROR: "the file is damaged: restore a copy, or load the data into a new file",
    sqlite3.SQLITE_IOERR: "check the disk and its free space",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable",
}


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns what tells the file at a path from every other, None where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino


class CatalogFile:
    """Connections to an open catalogue: one for writing under a lock, and a pool for reading.

    Any number of threads may read and write; other processes may too. Once another file lies at the path, every use is
    refused: what is written to the old one would be lost, and its log would damage the new one.
    """

    def __init__(self, path: Path) -> None:
        """Checks the header and connects.

        Raises:
            CatalogError: The file is missing, foreign, damaged or of another format version.
        """
        check_header(path)
        self.path = path
        self._identity = _identity(path)
        self._uri = f"{path.absolute().as_uri()}?mode=rw"
        self._closed = False
        self._write_lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        with translated_errors(path):
            self._writer = self._connect()
            migrate(self._writer)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lends a connection; each statement sees one consistent state."""
        with translated_errors(self.path):
            self._require_open()
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            finally:
                self._readers.append(connection)
                if self._closed:
                    self._close_readers()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Opens a write transaction, committed and durable on leaving, undone on an error."""
        with self._write_lock, translated_errors(self.path):
            self._require_open()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def empty_log(self) -> bool:
        """Moves the log into the file and truncates it, and gives free pages back; returns whether the log is empty.

        It is not where another process reads at this moment: try again later.
        """
        with translated_errors(self.path):
            self._require_open()
            connection = self._connect(_LOG_TIMEOUT_SECONDS)
            try:
                # `execute` would stop after one page.
                connection.executescript(f"PRAGMA incremental_vacuum({_MOST_PAGES_AT_ONCE})")
                is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not is_busy
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                return False
            finally:
                connection.close()

    def rewrite(self) -> None:
        """Writes the whole file anew, without any gap; takes its size in free disk space, and writers wait."""
        with self._write_lock, translated_errors(self.path):
            self._require_open()
            self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # for files of version 1
            self._writer.execute("VACUUM")

    def close(self) -> None:
        """Closes every connection once it is returned; a second call does nothing."""
        with self._write_lock:
            self._closed = True
            self._writer.close()
        self._close_readers()

    def _require_open(self) -> None:
        if self._closed:
            raise CatalogError(f"{self.path} is closed; open it again")
        if _identity(self.path) != self._identity:
            raise CatalogError(f"{self.path} was moved or replaced while it was open; put it back, or open the new one")

    def _close_readers(self) -> None:
        while self._readers:
            try:
                self._readers.pop().close()
            except IndexError:  # another thread took the last one
                return

    def _connect(self, timeout_seconds: float | None = None) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds,
            isolation_level=None,
            check_same_thread=False,  # a connection is lent to one thread at a time
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection
