"""The catalogue: the only truth about items, users and interactions.

Every written item row takes the next sequence number inside its write transaction, deletions too; whoever serves
follows `changes`. The file format is described in `recall/live/catalog_file.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from google.protobuf.message import DecodeError
from pydantic import ValidationError

from recall.errors import CatalogError
from recall.live.catalog_file import CatalogFile, create_file
from recall.live.convert import from_payload, to_payload
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.schema import DataSchema, FeatureMap

_COLUMNS = "sequence, item_id, deleted, payload"
_IDS_PER_STATEMENT = 500


class Catalog:
    """An open catalogue; safe to share between threads, and between processes that each open it.

    Every method raises `CatalogBusyError`, `CatalogFullError` or another `CatalogError` where the file cannot be used.
    """

    def __init__(self, file: CatalogFile) -> None:
        """Takes an open file; use `create` or `open`."""
        self._file = file
        with file.reading() as connection:
            row = connection.execute("SELECT uuid, schema FROM meta").fetchone()
        if row is None:
            raise CatalogError(f"{file.path} is damaged: its table meta is empty; restore a copy")
        self._uuid: str = row[0]
        try:
            self._schema = DataSchema.model_validate_json(row[1])
        except ValidationError as error:
            raise CatalogError(f"{file.path} is damaged: its data schema is unreadable: {error}") from error

    @classmethod
    def create(cls, path: Path, schema: DataSchema) -> Catalog:
        """Creates an empty catalogue and opens it.

        Raises:
            CatalogError: The path exists, or the folder cannot be written.
        """
        create_file(path, schema)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Opens a catalogue.

        Raises:
            CatalogError: The file is missing, foreign, damaged or of another format version.
        """
        file = CatalogFile(path)
        try:
            return cls(file)
        except CatalogError:
            file.close()
            raise

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def uuid(self) -> str:
        """Name of this catalogue for ever; it stands in every snapshot made from it."""
        return self._uuid

    @property
    def schema(self) -> DataSchema:
        """Kinds, domains and names of the columns it was created with."""
        return self._schema

    def close(self) -> None:
        """Closes the file; later calls raise `CatalogError`."""
        self._file.close()

    def __enter__(self) -> Catalog:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self.close()

    def last_sequence(self) -> int:
        """Returns the number of the last item write, 0 before the first."""
        with self._file.reading() as connection:
            return _sequence(connection)

    def put_items(self, items: Sequence[ItemRecord]) -> int:
        """Inserts or replaces items in one transaction; durable when it returns.

        Returns:
            The sequence number of the last one, `last`; item `i` took `last - len(items) + 1 + i`.
        """
        rows = [(item.item_id, to_payload(item.features, item.attributes)) for item in items]
        with self._file.writing() as connection:
            before = _sequence(connection)
            connection.executemany(
                "INSERT OR REPLACE INTO items (sequence, item_id, deleted, payload) VALUES (?, ?, 0, ?)",
                ((before + 1 + position, *row) for position, row in enumerate(rows)),
            )
            return _advance(connection, before + len(rows))

    def delete_items(self, item_ids: Sequence[str]) -> tuple[int, int]:
        """Replaces items by tombstones in one transaction; unknown and deleted ids are ignored.

        Returns:
            The sequence number of the last write, and how many items were deleted.
        """
        with self._file.writing() as connection:
            before = last = _sequence(connection)
            for item_id in item_ids:
                done = connection.execute(
                    "UPDATE items SET sequence = ?, deleted = 1, payload = x'' WHERE item_id = ? AND deleted = 0",
                    (last + 1, item_id),
                )
                last += done.rowcount
            return _advance(connection, last), last - before

    def get_item(self, item_id: str) -> StoredItem | None:
        """Returns a stored item, or None where it is unknown or deleted."""
        with self._file.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM items WHERE item_id = ? AND deleted = 0", (item_id,)
            ).fetchone()
        return None if row is None else self._stored(row)

    def changed_items(self, items: Sequence[ItemRecord]) -> list[ItemRecord]:
        """Returns those items that are not stored exactly like this, in the given order."""
        stored: dict[str, bytes] = {}
        with self._file.reading() as connection:
            for start in range(0, len(items), _IDS_PER_STATEMENT):
                item_ids = [item.item_id for item in items[start : start + _IDS_PER_STATEMENT]]
                marks = ",".join("?" * len(item_ids))
                query = f"SELECT item_id, payload FROM items WHERE deleted = 0 AND item_id IN ({marks})"
                stored.update(connection.execute(query, item_ids))
        return [item for item in items if stored.get(item.item_id) != to_payload(item.features, item.attributes)]

    def num_items(self) -> int:
        """Counts the items that are not deleted, by a scan of the table."""
        with self._file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM items WHERE deleted = 0").fetchone()[0])

    def changes(self, after: int, *, limit: int) -> list[StoredItem]:
        """Returns the first `limit` writes numbered above `after`, in order, deletions among them.

        Only the last write of an item is kept, so numbers are not contiguous.
        """
        with self._file.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM items WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
            ).fetchall()
        return [self._stored(row) for row in rows]

    def scan_items(self, batch_size: int, *, until: int | None = None) -> Iterator[list[StoredItem]]:
        """Yields the items that are not deleted, each once, in the order of their last write.

        Writers go on meanwhile: an item that they write after the scan began may be absent here, and is then among
        `changes(until)`.

        Args:
            batch_size: Items a batch.
            until: Last write that the scan may show; None means the last one when the scan begins.
        """
        last = self.last_sequence() if until is None else until
        after = 0
        while True:
            with self._file.reading() as connection:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM items WHERE sequence > ? AND sequence <= ? AND deleted = 0"
                    " ORDER BY sequence LIMIT ?",
                    (after, last, batch_size),
                ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield [self._stored(row) for row in rows]

    def put_users(self, users: Sequence[UserRecord]) -> int:
        """Inserts or replaces users in one transaction.

        Returns:
            How many were not stored exactly like this before.
        """
        rows = [(user.user_id, to_payload(user.features, {})) for user in users]
        with self._file.writing() as connection:
            return connection.executemany(
                "INSERT INTO users (user_id, payload) VALUES (?, ?)"
                " ON CONFLICT (user_id) DO UPDATE SET payload = excluded.payload WHERE payload <> excluded.payload",
                rows,
            ).rowcount

    def get_user(self, user_id: str) -> FeatureMap | None:
        """Returns the raw features of a user, or None where the user is unknown."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT payload FROM users WHERE user_id = ?", (user_id,)).fetchone()
        return None if row is None else self._decoded(user_id, row[0])[0]

    def add_interactions(self, interactions: Sequence[InteractionRecord]) -> int:
        """Appends events in one transaction; an event that is stored already is ignored.

        Returns:
            How many were new.
        """
        with self._file.writing() as connection:
            return connection.executemany(
                "INSERT OR IGNORE INTO interactions (user_id, item_id, timestamp) VALUES (?, ?, ?)",
                [(event.user_id, event.item_id, event.timestamp) for event in interactions],
            ).rowcount

    def history(self, user_id: str, limit: int) -> tuple[str, ...]:
        """Returns the last `limit` distinct items of a user, oldest first: by time, then by insertion."""
        latest: dict[str, None] = {}
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT item_id FROM interactions WHERE user_id = ? ORDER BY timestamp DESC, insertion DESC", (user_id,)
            )
            for (item_id,) in rows:
                if len(latest) >= limit:
                    break
                latest[item_id] = None
            rows.close()
        return tuple(reversed(latest))

    def popularity(self) -> dict[str, int]:
        """Counts the interactions of every item that has any, by a scan of the table."""
        with self._file.reading() as connection:
            return dict(connection.execute("SELECT item_id, count(*) FROM interactions GROUP BY item_id"))

    def _stored(self, row: tuple[int, str, int, bytes]) -> StoredItem:
        sequence, item_id, deleted, payload = row
        features, attributes = self._decoded(item_id, payload)
        return StoredItem(
            item_id=item_id, sequence=sequence, deleted=bool(deleted), features=features, attributes=attributes
        )

    def _decoded(self, owner_id: str, payload: bytes) -> tuple[FeatureMap, FeatureMap]:
        try:
            return from_payload(payload)
        except DecodeError as error:
            raise CatalogError(
                f"{self.path}: the payload of {owner_id!r} is damaged: {error}; write that item or user again"
            ) from error


def _sequence(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT sequence FROM counter").fetchone()[0])


def _advance(connection: sqlite3.Connection, sequence: int) -> int:
    connection.execute("UPDATE counter SET sequence = ?", (sequence,))
    return sequence
