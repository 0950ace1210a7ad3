"""What a write transaction of a catalogue changes. Each change knows how to run within one.

Items take one sequence number each, deletions too. A change of users or events takes one for all of it, and none where
it changes nothing: servers read users and events when they are asked, so that number only says what they reflect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from recall.errors import InvalidRequestError, NotFoundError
from recall.live.catalog_rows import item_values, tombstone_values, user_values
from recall.live.catalog_upkeep import note_erasure
from recall.live.convert import check_size, item_payload
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.live.update_mask import UpdateMask
from recall.live.writes import RequestKey, WriteWarning, Written

FindItems: TypeAlias = Callable[[sqlite3.Connection, Sequence[str]], Mapping[str, StoredItem]]
"""Reads items that are not deleted, within a transaction; raises `CatalogError` where one is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What a change runs in.

    Attributes:
        connection: In a write transaction.
        before: Number of the last write.
        find_items: Reads stored items.
    """

    connection: sqlite3.Connection
    before: int
    find_items: FindItems


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did: the number of its last write, and how many items, users or events it changed."""

    sequence: int
    count: int


class Change(Protocol):
    """Something to write."""

    @property
    def size(self) -> int:
        """How many items, users or events it names."""

    def run(self, transaction: Transaction) -> Changed:
        """Writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogWrite:
    """A change with what is kept of its request.

    Attributes:
        change: What to write.
        request: Names the request; None where a repeat need not be known.
        model_id: Model that is served, for the reply.
        warnings: Remarks for the reply, about items alone.
    """

    change: Change
    request: RequestKey | None = None
    model_id: str = ""
    warnings: tuple[WriteWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class PutItems:
    """Inserts or replaces items."""

    items: Sequence[ItemRecord]

    @property
    def size(self) -> int:
        """How many items."""
        return len(self.items)

    def run(self, transaction: Transaction) -> Changed:
        """Writes all of them; of equal ids the last stays."""
        return _put(transaction, self.items)


@dataclass(frozen=True, slots=True)
class UpdateItems:
    """Changes some fields of stored items and leaves the others as they are."""

    items: Sequence[ItemRecord]
    mask: UpdateMask

    @property
    def size(self) -> int:
        """How many items."""
        return len(self.items)

    def run(self, transaction: Transaction) -> Changed:
        """Merges with what is stored at this moment, so that no concurrent write is lost.

        Raises:
            NotFoundError: An item is not stored.
            InvalidRequestError: A window does not fit what is stored, or an item becomes too long.
            CatalogError: A stored row is damaged.
        """
        stored = transaction.find_items(transaction.connection, [item.item_id for item in self.items])
        return _put(transaction, merged_items(self.items, stored, self.mask))


@dataclass(frozen=True, slots=True)
class DeleteItems:
    """Replaces items by tombstones; unknown and deleted ids are ignored."""

    item_ids: Sequence[str]

    @property
    def size(self) -> int:
        """How many ids."""
        return len(self.item_ids)

    def run(self, transaction: Transaction) -> Changed:
        """Deletes those that are stored."""
        last = transaction.before
        for item_id in self.item_ids:
            done = transaction.connection.execute(
                "UPDATE items SET sequence = ?1, deleted = ?3, payload = ?4, checksum = ?5"
                " WHERE item_id = ?2 AND deleted = 0",
                tombstone_values(last + 1, item_id),
            )
            last += done.rowcount
        return Changed(last, last - transaction.before)


@dataclass(frozen=True, slots=True)
class PutUsers:
    """Inserts or replaces users; those stored exactly like this do not count."""

    users: Sequence[UserRecord]

    @property
    def size(self) -> int:
        """How many users."""
        return len(self.users)

    def run(self, transaction: Transaction) -> Changed:
        """Writes those that differ."""
        count = put_users(transaction.connection, self.users)
        return Changed(transaction.before + (count > 0), count)


@dataclass(frozen=True, slots=True)
class DeleteUsers:
    """Erases users: features and interactions. Unknown ids are ignored."""

    user_ids: Sequence[str]

    @property
    def size(self) -> int:
        """How many ids."""
        return len(self.user_ids)

    def run(self, transaction: Transaction) -> Changed:
        """Removes every row of them; see `recall/live/catalog_upkeep.py` for what becomes of the bytes."""
        count = 0
        for user_id in self.user_ids:
            users = transaction.connection.execute("DELETE FROM users WHERE user_id = ?", (user_id,)).rowcount
            events = transaction.connection.execute("DELETE FROM interactions WHERE user_id = ?", (user_id,)).rowcount
            count += users + events > 0
        if count:
            note_erasure(transaction.connection)
        return Changed(transaction.before + (count > 0), count)


@dataclass(frozen=True, slots=True)
class AddInteractions:
    """Appends events; those that are stored already do not count."""

    interactions: Sequence[InteractionRecord]

    @property
    def size(self) -> int:
        """How many events."""
        return len(self.interactions)

    def run(self, transaction: Transaction) -> Changed:
        """Writes those that are new."""
        count = add_interactions(transaction.connection, self.interactions)
        return Changed(transaction.before + (count > 0), count)


def put_items(write: CatalogWrite, written: Written) -> dict[int, ItemRecord]:
    """Returns the items that a write stored, by their numbers; none where it merged them with what was stored."""
    change = write.change
    if not isinstance(change, PutItems) or written.is_repeat:
        return {}
    return dict(enumerate(change.items, start=written.sequence - change.size + 1))


def merged_items(items: Sequence[ItemRecord], stored: Mapping[str, StoredItem], mask: UpdateMask) -> list[ItemRecord]:
    """Returns stored items as an update leaves them.

    Raises:
        NotFoundError: An item is not stored.
        InvalidRequestError: A window does not fit what is stored.
    """
    missing = [item.item_id for item in items if item.item_id not in stored]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise NotFoundError(f"item {missing[0]!r}{more} is not stored; upsert it whole, without an update mask")
    merged = [mask.merged(stored[item.item_id], item) for item in items]
    sizes = (len(item_payload(item)) for item in merged)
    violations = [v for place, size in enumerate(sizes) for v in check_size(size, path=f"items[{place}]")]
    if violations:
        raise InvalidRequestError(violations)
    return merged


def put_users(connection: sqlite3.Connection, users: Sequence[UserRecord]) -> int:
    """Inserts or replaces users; returns how many were not stored exactly like this."""
    return connection.executemany(
        "INSERT INTO users (user_id, payload, checksum) VALUES (?, ?, ?) ON CONFLICT (user_id) DO UPDATE"
        " SET payload = excluded.payload, checksum = excluded.checksum"
        " WHERE payload <> excluded.payload OR checksum <> excluded.checksum",
        [user_values(user) for user in users],
    ).rowcount


def add_interactions(connection: sqlite3.Connection, interactions: Sequence[InteractionRecord]) -> int:
    """Appends events; returns how many were new."""
    return connection.executemany(
        "INSERT OR IGNORE INTO interactions (user_id, item_id, timestamp) VALUES (?, ?, ?)",
        [(event.user_id, event.item_id, event.timestamp) for event in interactions],
    ).rowcount


def _put(transaction: Transaction, items: Sequence[ItemRecord]) -> Changed:
    first = transaction.before + 1
    transaction.connection.executemany(
        "INSERT OR REPLACE INTO items (sequence, item_id, deleted, payload, checksum) VALUES (?, ?, ?, ?, ?)",
        (item_values(sequence, item) for sequence, item in enumerate(items, start=first)),
    )
    return Changed(transaction.before + len(items), len(items))
