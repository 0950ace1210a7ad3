"""Older formats of a catalogue, brought up to date in place in one transaction when it is opened.

Version 1 had no table `requests`, and its counter numbered item writes alone. Version 2 kept tombstones for ever,
and no ancestors. Version 3 did not find the users of an item.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from recall.errors import CatalogError

OLDEST_VERSION = 1
FORMAT_VERSION = 4

_COUNTED_BY_2 = ("item_sequence", "erasures", "rewritten", "erased_at")
COUNTED = (*_COUNTED_BY_2, "forgotten")
REQUESTS = """CREATE TABLE requests (
    key BLOB NOT NULL PRIMARY KEY, digest BLOB NOT NULL, written INTEGER NOT NULL, reply TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID"""
REQUESTS_BY_TIME = "CREATE INDEX requests_by_time ON requests (written)"
MOMENTS = "CREATE TABLE moments (sequence INTEGER PRIMARY KEY, reached INTEGER NOT NULL)"
TOMBSTONES = "CREATE INDEX tombstones ON items (sequence) WHERE deleted = 1"
AUDIENCES = "CREATE INDEX interactions_by_item ON interactions (item_id, user_id)"

_TO_VERSION_2 = (
    *(f"ALTER TABLE counter ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0" for name in _COUNTED_BY_2),
    "UPDATE counter SET item_sequence = sequence",
    REQUESTS,
    REQUESTS_BY_TIME,
    "PRAGMA user_version = 2",
)
_TO_VERSION_3 = (
    "ALTER TABLE meta ADD COLUMN ancestors TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE counter ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
    MOMENTS,
    TOMBSTONES,
    "PRAGMA user_version = 3",
)
_TO_VERSION_4 = (AUDIENCES, "PRAGMA user_version = 4")


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a catalogue of an older version up to date; another process may do so at the same time."""
    if _version(connection) >= FORMAT_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version, statements in enumerate((_TO_VERSION_2, _TO_VERSION_3, _TO_VERSION_4), start=2):
            for statement in statements if _version(connection) < version else ():
                connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def require_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses a file that another program has brought up to a later version since it was opened.

    Raises:
        CatalogError: It has.
    """
    version = _version(connection)
    if version != FORMAT_VERSION:
        seen = f"{path} has format version {version} now, and {FORMAT_VERSION} when it was opened"
        raise CatalogError(f"{seen}: a newer program changed it; update this one and start it again")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
