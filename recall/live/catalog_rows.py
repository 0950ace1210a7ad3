r"""Rows of the catalogue and their checksums.

The checksum of a row is the CRC-32 (IEEE 802.3, as in zlib) of these bytes, numbers in decimal digits:

    meta   uuid, "\n", schema, and where there are ancestors "\n", ancestors
    items  sequence, " ", 0 or for a deletion 1, " ", id, "\n", payload
    users  id, "\n", payload

Those of requests are described in `recall/live/catalog_requests.py`.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from google.protobuf.message import DecodeError

from recall.live.convert import from_payload, item_from_payload, item_payload, to_payload
from recall.live.records import ItemRecord, StoredItem, UserRecord
from recall.schema import FeatureMap

ITEM_COLUMNS = "sequence, CAST(item_id AS BLOB), deleted, CAST(payload AS BLOB), checksum"
"""What `ItemRow` reads; as BLOB, because SQLite's Python module refuses text that is no UTF-8 any more."""

_IDS_PER_STATEMENT = 500

ItemValues: TypeAlias = tuple[int, str, int, bytes, int]
UserValues: TypeAlias = tuple[str, bytes, int]


def meta_checksum(catalog_uuid: str, schema: str, ancestors: str = "") -> int:
    """Returns the checksum of the row of `meta`."""
    return _checksum(f"{catalog_uuid}\n".encode(), (f"{schema}\n{ancestors}" if ancestors else schema).encode())


def item_values(sequence: int, item: ItemRecord) -> ItemValues:
    """Returns sequence, id, deleted, payload and checksum, as they are stored."""
    payload = item_payload(item)
    return sequence, item.item_id, 0, payload, _checksum(f"{sequence} 0 {item.item_id}\n".encode(), payload)


def tombstone_values(sequence: int, item_id: str) -> ItemValues:
    """Returns what is stored of a deleted item."""
    return sequence, item_id, 1, b"", _checksum(f"{sequence} 1 {item_id}\n".encode(), b"")


def user_values(user: UserRecord) -> UserValues:
    """Returns id, payload and checksum, as they are stored."""
    payload = to_payload(user.features, {})
    return user.user_id, payload, _checksum(f"{user.user_id}\n".encode(), payload)


def user_features(user_id: str, payload: bytes, checksum: int) -> FeatureMap | None:
    """Returns the features of a stored user, or None where the row is damaged."""
    if not isinstance(payload, bytes) or checksum != _checksum(f"{user_id}\n".encode(), payload):
        return None
    return from_payload(payload)[0]


class ItemRow(NamedTuple):
    """One row of `items` as it was read; a damaged one may hold any type in any column."""

    sequence: int
    name: bytes
    deleted: int
    payload: bytes
    checksum: int

    @property
    def is_whole(self) -> bool:
        """Whether the row is as it was written."""
        if not isinstance(self.name, bytes) or not isinstance(self.payload, bytes):
            return False
        head = b"%b %b\n" % (f"{self.sequence} {self.deleted}".encode(), self.name)
        return self.checksum == _checksum(head, self.payload)

    @property
    def shown_id(self) -> str:
        """The id, readable whatever the damage."""
        return self.name.decode(errors="backslashreplace") if isinstance(self.name, bytes) else ""

    def stored(self, known: ItemRecord | None = None) -> StoredItem:
        """Returns the item of a whole row; `known` is what was written as this number, and saves reading it again."""
        item_id = self.name.decode()
        try:
            is_known = known is not None and known.item_id == item_id and not self.deleted
            item = known if known is not None and is_known else item_from_payload(item_id, self.payload)
        except DecodeError as error:  # written so by another program
            return StoredItem(item_id=item_id, sequence=self.sequence, damage=f"its payload is unreadable: {error}")
        return StoredItem(
            item_id=item_id,
            sequence=self.sequence,
            deleted=bool(self.deleted),
            features=item.features,
            attributes=item.attributes,
            available_from=item.available_from,
            available_until=item.available_until,
        )

    def holds(self, item: ItemRecord) -> bool:
        """Returns whether this is a whole row of just this item."""
        return self.payload == item_payload(item) and not self.deleted and self.is_whole


def rows_of(connection: sqlite3.Connection, item_ids: Sequence[str]) -> Iterator[ItemRow]:
    """Yields the rows of those items that there are, deleted and damaged ones among them, in no order."""
    for start in range(0, len(item_ids), _IDS_PER_STATEMENT):
        some = item_ids[start : start + _IDS_PER_STATEMENT]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT {ITEM_COLUMNS} FROM items WHERE item_id IN ({marks})", some)
        yield from map(ItemRow._make, rows)


def _checksum(head: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(head))
