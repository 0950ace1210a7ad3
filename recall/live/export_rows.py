"""The rows of a catalogue as they stood at one moment, in batches; damaged ones are left out and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from recall.errors import CatalogError
from recall.live.catalog_file import CatalogFile
from recall.live.catalog_rows import ITEM_COLUMNS, ItemRow, user_features
from recall.live.reserved import is_shown
from recall.progress import Progress
from recall.schema import FeatureMap
from recall.values import MAX_ID_BYTES

Row: TypeAlias = tuple[str, FeatureMap, FeatureMap]
"""Id, features and attributes of an item or user."""

Event: TypeAlias = tuple[str, str, int]
"""User id, item id and timestamp."""

BATCH_SIZE = 20_000
_EVENTS = (
    "SELECT CAST(user_id AS BLOB), CAST(item_id AS BLOB), timestamp, EXISTS (SELECT 1 FROM items"
    " WHERE items.item_id = interactions.item_id AND deleted = 0) FROM interactions ORDER BY insertion"
)


class ConsistentRows:
    """Reads one state, whatever is written meanwhile.

    Attributes:
        sequence: The last write that it shows.
        damaged: Items and users whose rows are damaged, in words, each once.
        num_with_window: Items with a time of availability that the last reading of items met.
        num_events_left_out: Interactions with items that are not stored, or damaged, that the last reading met.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Takes a connection in a read transaction; use `reading`."""
        self._connection = connection
        self._path = path
        self.sequence = int(connection.execute("SELECT sequence FROM counter").fetchone()[0])
        self.damaged: dict[str, None] = {}
        self.num_with_window = self.num_events_left_out = 0

    @classmethod
    @contextmanager
    def reading(cls, path: Path) -> Iterator[ConsistentRows]:
        """Holds one state of a catalogue; its log of writes is not shortened before the end.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        file = CatalogFile(path)
        try:
            with file.reading() as connection:
                connection.execute("BEGIN")  # in write-ahead mode all reads up to its end see one state
                try:
                    yield cls(connection, path)
                finally:
                    connection.execute("ROLLBACK")
        finally:
            file.close()

    def items(self, report: Progress) -> Iterator[list[Row]]:
        """Yields the items that are not deleted, in the order of their last write.

        Raises:
            CatalogError: Rows cannot be reached.
        """
        self.num_with_window = 0
        for batch in self._batches(f"SELECT {ITEM_COLUMNS} FROM items ORDER BY sequence", "items", report):
            rows: list[Row] = []
            for row in map(ItemRow._make, batch):
                item = row.stored() if row.is_whole else None
                if item is None or item.damage:
                    self.damaged[f"item {row.shown_id!r} (row {row.sequence})"] = None
                elif is_shown(item):
                    self.num_with_window += (item.available_from, item.available_until) != (None, None)
                    rows.append((item.item_id, item.features, item.attributes))
            yield rows

    def users(self, report: Progress) -> Iterator[list[Row]]:
        """Yields the users in the order of their ids.

        Raises:
            CatalogError: Rows cannot be reached.
        """
        query = "SELECT CAST(user_id AS BLOB), CAST(payload AS BLOB), checksum FROM users ORDER BY user_id"
        for batch in self._batches(query, "users", report):
            rows: list[Row] = []
            for name, payload, checksum in batch:
                user_id = name.decode(errors="backslashreplace") if isinstance(name, bytes) else ""
                features = user_features(user_id, payload, checksum)
                if features is None:
                    self.damaged[f"user {user_id!r}"] = None
                else:
                    rows.append((user_id, features, {}))
            yield rows

    def interactions(self, report: Progress) -> Iterator[list[Event]]:
        """Yields the interactions with stored items in the order in which they were recorded.

        Raises:
            CatalogError: Rows cannot be reached.
        """
        self.num_events_left_out = 0
        for batch in self._batches(_EVENTS, "interactions", report):
            events = [(user, item, time) for user, item, time, is_stored in batch if is_stored]
            whole = [
                (user.decode(), item.decode(), time)
                for user, item, time in events
                if _is_id(user) and _is_id(item) and isinstance(time, int)
            ]
            self.num_events_left_out += len(batch) - len(whole)
            yield whole

    def _batches(self, query: str, table: str, report: Progress) -> Iterator[list[tuple[Any, ...]]]:
        total = int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        cursor, done = self._connection.execute(query), 0
        report(table, 0, total)
        while batch := cursor.fetchmany(BATCH_SIZE):
            done += len(batch)
            yield batch
            report(table, done, total)
        if done != total:  # counting walks other pages than reading in order
            cure = "restore a copy, or load the data into a new file"
            raise CatalogError(f"{self._path} is damaged: reading met {done} of {total} rows of {table}; {cure}")


def _is_id(value: object) -> bool:
    if not isinstance(value, bytes) or not 0 < len(value) <= MAX_ID_BYTES:
        return False
    return value.decode(errors="replace").encode() == value
