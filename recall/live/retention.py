"""How long a catalogue keeps what only the past needs, and the removal of it, a piece at a time.

    tombstones    deletions, so that an index which reflects earlier writes learns of them: `tombstone_seconds`. One
                  that reflects less than the last removed tombstone is refused; the last item write is never removed.
    interactions  those with a time: `interaction_seconds`; 0 keeps them for ever, like those without a time.

Request ids have a span too (`recall/live/catalog_upkeep.py`). Of several servers of a catalogue the shortest counts.
When a deletion was made is not stored with it: the table `moments` says, every now and then, which write had been
reached when, so tombstones stay for up to 1/32 longer than stated. A tombstone takes about 60 bytes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from recall.errors import CatalogError

_MOMENTS_A_SPAN = 32
_MOST_TOMBSTONES_AT_ONCE = 10_000
_INTERACTIONS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Spans in seconds.

    Attributes:
        tombstone_seconds: Of deletions.
        interaction_seconds: Of interactions, from their own time; 0 for ever.
    """

    tombstone_seconds: float
    interaction_seconds: float = 0.0


class Sweep:
    """Removes from one catalogue what is over. One caller at a time; servers of one catalogue may all sweep."""

    def __init__(self, retention: Retention) -> None:
        """Takes the spans."""
        self._spans = retention
        self._next_insertion = 0

    def run(self, connection: sqlite3.Connection, *, now: int) -> None:
        """Removes one piece within a write transaction, which takes milliseconds.

        Args:
            connection: In the transaction.
            now: Seconds since 1970.
        """
        self._sweep_tombstones(connection, now)
        if self._spans.interaction_seconds:
            self._sweep_interactions(connection, int(now - self._spans.interaction_seconds))

    def _sweep_tombstones(self, connection: sqlite3.Connection, now: int) -> None:
        span = self._spans.tombstone_seconds
        (sequence,) = connection.execute("SELECT item_sequence FROM counter").fetchone()
        last, reached = connection.execute("SELECT max(sequence), max(reached) FROM moments").fetchone()
        if last is None or (sequence > last and now - reached >= span / _MOMENTS_A_SPAN):
            connection.execute("INSERT INTO moments (sequence, reached) VALUES (?, ?)", (sequence, now))
        query = "SELECT max(sequence) FROM moments WHERE reached <= ?"
        (over,) = connection.execute(query, (int(now - span),)).fetchone()
        if over is None:
            return
        connection.execute("DELETE FROM moments WHERE sequence < ?", (over,))
        forget_tombstones(connection, min(over, sequence - 1))

    def _sweep_interactions(self, connection: sqlite3.Connection, before: int) -> None:
        first, end = self._next_insertion, self._next_insertion + _INTERACTIONS_AT_ONCE
        query = "DELETE FROM interactions WHERE insertion >= ? AND insertion < ? AND timestamp > 0 AND timestamp < ?"
        connection.execute(query, (first, end, before))
        query = "SELECT min(insertion) FROM interactions WHERE insertion >= ?"  # numbers may have wide gaps
        (found,) = connection.execute(query, (end,)).fetchone()
        self._next_insertion = 0 if found is None else found


def forget_tombstones(connection: sqlite3.Connection, until: int) -> None:
    """Removes the first tombstones up to a write, and notes which was the last."""
    query = "SELECT sequence FROM items WHERE deleted = 1 AND sequence <= ? ORDER BY sequence LIMIT ?"
    found = connection.execute(query, (until, _MOST_TOMBSTONES_AT_ONCE)).fetchall()
    if found:
        connection.executemany("DELETE FROM items WHERE sequence = ?", found)
        connection.execute("UPDATE counter SET forgotten = ?", found[-1])


def require_kept(connection: sqlite3.Connection, after: int, *, path: Path) -> None:
    """Checks that no deletion above a write has been removed; to be asked once the later ones are read.

    Raises:
        CatalogError: One has.
    """
    (forgotten,) = connection.execute("SELECT forgotten FROM counter").fetchone()
    if after < forgotten:
        seen = f"{path} keeps no deletions up to write {forgotten} any more, and an index reflects write {after} only"
        raise CatalogError(f"{seen}; rebuild, and next time before tombstone_seconds are over")
