"""The catalogue: the only truth about items, users and interactions.

Every written item row takes the next sequence number inside its write transaction, deletions too, and so does each
write of users or events (`recall/live/catalog_writes.py`); whoever serves follows `changes`. The file format is
described in `recall/live/catalog_file.py`. Rows are checked when they are read; a damaged one never stops the others.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from recall.errors import CatalogError, DamagedRowError
from recall.live.catalog_file import CatalogFile, create_file
from recall.live.catalog_migration import require_version
from recall.live.catalog_requests import RequestTable
from recall.live.catalog_rows import ITEM_COLUMNS, ItemRow, rows_of
from recall.live.catalog_upkeep import CatalogUpkeep
from recall.live.catalog_users import stored_audiences, stored_features, stored_histories
from recall.live.catalog_writes import (
    CatalogWrite,
    Changed,
    DeleteItems,
    PutItems,
    Transaction,
    add_interactions,
    put_users,
)
from recall.live.lineage import NEW_COPY, Lineage, read_meta
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.live.reserved import SHOWN, is_shown
from recall.live.retention import require_kept
from recall.live.writes import RequestKey, Written
from recall.schema import DataSchema, FeatureMap


class Catalog:
    """An open catalogue; safe to share between threads, and between processes that each open it.

    Every method raises `CatalogBusyError`, `CatalogFullError` or another `CatalogError` where the file cannot be used.
    """

    def __init__(self, file: CatalogFile) -> None:
        """Takes an open file; use `create` or `open`."""
        self._file = file
        with file.reading() as connection:
            self._lineage, schema = read_meta(connection, file.path)
        self._requests = RequestTable(self._lineage.first_uuid)
        try:
            self._schema = DataSchema.model_validate_json(schema)
        except ValidationError as error:
            raise CatalogError(f"{file.path}: its data schema is unreadable: {error}; update this program") from error

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
        return self._lineage.uuid

    @property
    def lineage(self) -> Lineage:
        """Its name and what it was copied from."""
        return self._lineage

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
        """Returns the number of the last write, 0 before the first."""
        with self._file.reading() as connection:
            return self._sequence(connection)

    def put_items(self, items: Sequence[ItemRecord]) -> int:
        """Inserts or replaces items in one transaction; durable when it returns.

        Returns:
            The sequence number of the last one, `last`; item `i` took `last - len(items) + 1 + i`.
        """
        return self.write([CatalogWrite(change=PutItems(items))])[0].sequence

    def delete_items(self, item_ids: Sequence[str]) -> tuple[int, int]:
        """Replaces items by tombstones in one transaction; unknown and deleted ids are ignored.

        Returns:
            The sequence number of the last write, and how many items were deleted.
        """
        written = self.write([CatalogWrite(change=DeleteItems(item_ids))])[0]
        return written.sequence, written.count

    def write(self, writes: Sequence[CatalogWrite]) -> list[Written]:
        """Makes changes in one transaction, one after the other; durable when it returns, and all or none.

        A write whose request id is stored changes nothing and returns what the first one did.

        Raises:
            InvalidRequestError: A request id named another request before, or an update does not fit what is stored.
            NotFoundError: An item to be updated is not stored.
        """
        with self._file.writing() as connection:
            before = last = self._sequence(connection)
            done = []
            for write in writes:
                known = None if write.request is None else self._requests.find(connection, write.request)
                if known is None:
                    changed = write.change.run(Transaction(connection=connection, before=last, find_items=self._find))
                    last = changed.sequence
                    known = _written(write, changed)
                    if write.request is not None:
                        self._requests.keep(connection, write.request, known, now=int(time.time()))
                done.append(known)
            if last > before:
                _advance(connection, last)
            return done

    def find_request(self, request: RequestKey) -> Written | None:
        """Returns what the first request of this id wrote, None where there was none.

        Raises:
            InvalidRequestError: The first one had another content.
        """
        with self._file.reading() as connection:
            return self._requests.find(connection, request)

    @property
    def upkeep(self) -> CatalogUpkeep:
        """What keeps the file clean."""
        return CatalogUpkeep(self._file)

    def get_item(self, item_id: str) -> StoredItem | None:
        """Returns a stored item, or None where it is unknown or deleted.

        Raises:
            CatalogError: Its row is damaged.
        """
        with self._file.reading() as connection:
            query = f"SELECT {ITEM_COLUMNS} FROM items WHERE item_id = ?"
            row = connection.execute(query, (item_id,)).fetchone()
        item = None if row is None else self._stored(ItemRow(*row))
        if item is not None and item.damage:
            raise DamagedRowError(f"{self.path}: item {item_id!r}: {item.damage}")
        return None if item is None or item.deleted else item

    def get_items(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Returns those items that are stored and not deleted, by id.

        Raises:
            CatalogError: A row is damaged.
        """
        with self._file.reading() as connection:
            return dict(self._find(connection, item_ids))

    def list_items(self, after: str, *, limit: int, most_bytes: int) -> tuple[list[StoredItem], str]:
        """Returns the items that follow an id, item id ascending in UTF-8 byte order; damaged ones are among them.

        Args:
            after: The id; it need not be stored. Empty for the first items.
            limit: Most items to return, at least 1.
            most_bytes: Stop before ids and payloads are longer, but not before the first item.

        Returns:
            The items, and the id that the others follow; empty where there are no others.
        """
        query = f"SELECT {ITEM_COLUMNS} FROM items WHERE item_id > ? AND {SHOWN} ORDER BY item_id LIMIT ?"
        items: list[StoredItem] = []
        last, size_bytes = after, 0
        with self._file.reading() as connection, closing(connection.execute(query, (after, limit + 1))) as rows:
            for row in map(ItemRow._make, rows):  # one by one: a thousand long ones need not fit into memory
                size_bytes += len(row.shown_id.encode()) + (len(row.payload) if isinstance(row.payload, bytes) else 0)
                if len(items) == limit or (items and size_bytes > most_bytes):
                    return items, last
                if row.shown_id <= last:
                    seen = f"item {row.shown_id!r} stands behind {last!r}"
                    raise CatalogError(f"{self.path} is damaged: {seen}; {NEW_COPY}")
                last = row.shown_id
                items.append(self._stored(row))
        return items, ""

    def changed_items(self, items: Sequence[ItemRecord]) -> list[ItemRecord]:
        """Returns those items that are not stored exactly like this, in the given order."""
        with self._file.reading() as connection:
            stored = {row.shown_id: row for row in rows_of(connection, [item.item_id for item in items])}
        return [item for item in items if item.item_id not in stored or not stored[item.item_id].holds(item)]

    def num_items(self) -> int:
        """Counts the items that are not deleted, by a scan of the table."""
        with self._file.reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM items WHERE {SHOWN}").fetchone()[0])

    def changes(self, after: int, *, limit: int, known: Mapping[int, ItemRecord] | None = None) -> list[StoredItem]:
        """Returns the first `limit` writes numbered above `after`, in order, deletions among them.

        Only the last write of an item is kept, so numbers are not contiguous. Of a damaged row `damage` says why.
        `known` are items that were written here, by number: their rows are checked, and what they hold is not read.

        Raises:
            CatalogError: Deletions among them are not kept any more.
        """
        rows = self._rows(after, limit)
        with self._file.reading() as connection:
            require_kept(connection, after, path=self.path)
        return [self._stored(row, (known or {}).get(row.sequence)) for row in rows]

    def scan_items(self, batch_size: int, *, until: int | None = None) -> Iterator[list[StoredItem]]:
        """Yields the items that are not deleted, each once, in the order of their last write, damaged ones among them.

        Writers go on meanwhile: an item that they write after the scan began may be absent here, and is then among
        `changes(until)`.

        Args:
            batch_size: Rows read at once; a batch has at most as many items.
            until: Last write that the scan may show; None means the last one when the scan begins.

        Raises:
            CatalogError: After the last batch, where rows could not be reached.
        """
        last = self.last_sequence() if until is None else until
        after = num_seen = 0
        while after < last and (rows := self._rows(after, batch_size)):
            after = rows[-1].sequence
            stored = [self._stored(row) for row in rows if row.sequence <= last]
            num_seen += len(stored)
            items = [item for item in stored if is_shown(item)]  # damaged ones among them: who knows
            if items:
                yield items
        self._require_all(num_seen, last)

    def put_users(self, users: Sequence[UserRecord]) -> int:
        """Inserts or replaces users in one transaction, which takes no sequence number: for loading.

        Returns:
            How many were not stored exactly like this before.
        """
        with self._file.writing() as connection:
            return put_users(connection, users)

    def get_user(self, user_id: str) -> FeatureMap | None:
        """Returns the raw features of a user, or None where the user is unknown.

        Raises:
            CatalogError: The user's row is damaged.
        """
        return self.features_of([user_id]).get(user_id)

    def features_of(self, user_ids: Sequence[str]) -> dict[str, FeatureMap]:
        """Returns the raw features of those users that are known.

        Raises:
            CatalogError: The row of one is damaged.
        """
        with self._file.reading() as connection:
            return stored_features(connection, user_ids, self.path)

    def add_interactions(self, interactions: Sequence[InteractionRecord]) -> int:
        """Appends events in one transaction, which takes no sequence number: for loading.

        Returns:
            How many were not stored already.
        """
        with self._file.writing() as connection:
            return add_interactions(connection, interactions)

    def history(self, user_id: str, limit: int) -> tuple[str, ...]:
        """Returns the last `limit` distinct items of a user, oldest first: by time, then by insertion."""
        return self.histories([user_id], limit)[user_id]

    def histories(self, user_ids: Sequence[str], limit: int) -> dict[str, tuple[str, ...]]:
        """Returns the same of each user, empty for an unknown one."""
        with self._file.reading() as connection:
            return stored_histories(connection, user_ids, limit)

    def audiences(self, item_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Returns the distinct users who interacted with each item, ascending; nobody for an unknown item."""
        with self._file.reading() as connection:
            return stored_audiences(connection, item_ids)

    def popularity(self) -> dict[str, int]:
        """Counts the interactions of every item that has any, by a scan of the table."""
        with self._file.reading() as connection:
            return dict(connection.execute("SELECT item_id, count(*) FROM interactions GROUP BY item_id"))

    def _sequence(self, connection: sqlite3.Connection) -> int:
        require_version(connection, self.path)  # each time: a newer program may have changed the file meanwhile
        greatest_key = "(SELECT coalesce(max(sequence), 0) FROM items)"
        query = f"SELECT sequence, item_sequence, {greatest_key}, (SELECT uuid FROM meta) FROM counter"
        last, counted, greatest, name = connection.execute(query).fetchone() or (None, None, None, self.uuid)
        self._lineage.require_name(name, self.path)
        if counted is None or counted != greatest or not isinstance(last, int) or last < counted:
            seen = f"its counters of writes are {last!r} and {counted!r}, its last one of an item {greatest!r}"
            raise CatalogError(f"{self.path} is damaged: {seen}; {NEW_COPY}")
        return last

    def _find(self, connection: sqlite3.Connection, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        rows = rows_of(connection, item_ids)
        items = {row.shown_id: self._stored(row) for row in rows}
        for item_id, item in items.items():
            if item.damage:
                raise DamagedRowError(f"{self.path}: item {item_id!r}: {item.damage}")
        return {item_id: item for item_id, item in items.items() if not item.deleted}

    def _rows(self, after: int, limit: int) -> list[ItemRow]:
        query = f"SELECT {ITEM_COLUMNS} FROM items WHERE sequence > ? ORDER BY sequence LIMIT ?"
        with self._file.reading() as connection:
            rows = list(map(ItemRow._make, connection.execute(query, (after, limit))))
            last = self._sequence(connection)
        for row in rows:  # SQLite takes the order of its keys on trust
            if not after < row.sequence <= last:
                seen = f"write {row.sequence} stands behind write {after}, the last one is {last}"
                raise CatalogError(f"{self.path} is damaged: {seen}; {NEW_COPY}")
            after = row.sequence
        return rows

    def _require_all(self, num_seen: int, last: int) -> None:
        # Each batch seeks its first row by the keys of inner pages; counting walks the leaves and reads none of them.
        with self._file.reading() as connection:
            query = "SELECT count(*) FROM items WHERE sequence <= ?"
            num_rows = int(connection.execute(query, (last,)).fetchone()[0])
        if num_rows > num_seen:
            raise CatalogError(f"{self.path} is damaged: a scan met {num_seen} of {num_rows} rows; {NEW_COPY}")

    def _stored(self, row: ItemRow, known: ItemRecord | None = None) -> StoredItem:
        if row.is_whole:
            return row.stored(known)
        # The index of the ids holds each a second time; where the checksum fits that one, only the first is damaged.
        by_index = (row._replace(name=name) for name in self._indexed_names(row.sequence))
        whole = next((other for other in by_index if other.is_whole), None)
        return self._damaged(row) if whole is None else whole.stored()

    def _damaged(self, row: ItemRow) -> StoredItem:
        with self._file.reading() as connection:
            values = connection.execute(
                f"SELECT {ITEM_COLUMNS} FROM items WHERE item_id = ?", (row.shown_id,)
            ).fetchone()
        is_another = values is not None and ItemRow(*values).is_whole
        item_id = f"(row {row.sequence})" if is_another else row.shown_id
        damage = f"its row {row.sequence} in the catalogue is damaged, its checksum is wrong; upsert the item again"
        return StoredItem(item_id=item_id, sequence=row.sequence, damage=damage)

    def _indexed_names(self, sequence: int) -> list[bytes]:
        with self._file.reading() as connection:
            query = "SELECT CAST(item_id AS BLOB) FROM items INDEXED BY sqlite_autoindex_items_1 WHERE +sequence = ?"
            return [name for (name,) in connection.execute(query, (sequence,))]


def _advance(connection: sqlite3.Connection, sequence: int) -> None:
    items = "SELECT coalesce(max(sequence), 0) FROM items"
    connection.execute(f"UPDATE counter SET sequence = ?, item_sequence = ({items})", (sequence,))


def _written(write: CatalogWrite, changed: Changed) -> Written:
    return Written(sequence=changed.sequence, count=changed.count, model_id=write.model_id, warnings=write.warnings)
