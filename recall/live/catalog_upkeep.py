"""Upkeep of a catalogue's file: that nothing stays in it of what was removed, and nothing longer than wanted.

Three places can hold bytes of a removed row: its page, which SQLite overwrites at once (secure_delete); the log, which
`tidy` empties; and gaps of other pages, where SQLite leaves copies of rows that it moves: only a file that is written
anew holds none. The row of `counter` says how many erasures there were, how many of them a rewrite has covered, and
when the first came that none has.
"""

from __future__ import annotations

import sqlite3
import time

from recall.live.catalog_file import CatalogFile
from recall.live.catalog_requests import RequestTable
from recall.live.retention import Sweep


class CatalogUpkeep:
    """Upkeep of one open file; other processes may do the same."""

    def __init__(self, file: CatalogFile) -> None:
        """Takes the open file."""
        self._file = file

    def tidy(self, *, forget_before: int) -> bool:
        """Forgets request ids kept before a moment, in seconds since 1970, and empties the log.

        Returns whether the log is empty; it is not where another process reads at this moment.
        """
        with self._file.writing() as connection:
            RequestTable.forget(connection, forget_before)
        return self._file.empty_log()

    def sweep(self, sweep: Sweep, *, now: int) -> None:
        """Removes a piece of what is over at a moment, in seconds since 1970."""
        with self._file.writing() as connection:
            sweep.run(connection, now=now)

    def erased_at(self) -> int | None:
        """Returns when the first erasure came of which gaps may still hold bytes, in seconds since 1970; None: none."""
        with self._file.reading() as connection:
            return int(connection.execute("SELECT erased_at FROM counter").fetchone()[0]) or None

    def rewrite(self) -> bool:
        """Writes the file anew, without gaps; readers go on, writers wait. Returns whether the log is empty then."""
        with self._file.reading() as connection:
            (covered,) = connection.execute("SELECT erasures FROM counter").fetchone()
        self._file.rewrite()
        with self._file.writing() as connection:
            erased_at = "CASE erasures WHEN ?1 THEN 0 ELSE ?2 END"
            connection.execute(f"UPDATE counter SET rewritten = ?1, erased_at = {erased_at}", (covered, _now()))
        return self._file.empty_log()


def note_erasure(connection: sqlite3.Connection) -> None:
    """Says within its transaction that rows were removed of which nothing may stay."""
    connection.execute(
        "UPDATE counter SET erasures = erasures + 1, erased_at = CASE erased_at WHEN 0 THEN ? ELSE erased_at END",
        (_now(),),
    )


def _now() -> int:
    return int(time.time())
