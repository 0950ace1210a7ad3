"""What is stored of users, read for many at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from recall.errors import DamagedRowError
from recall.live.catalog_rows import user_features
from recall.schema import FeatureMap

_IDS_PER_STATEMENT = 256
_EVENTS_AT_ONCE = 512
_READ = json.JSONDecoder().raw_decode
_EVENTS = "SELECT item_id FROM interactions WHERE user_id = {} ORDER BY timestamp DESC, insertion DESC"


def stored_features(connection: sqlite3.Connection, user_ids: Sequence[str], path: Path) -> dict[str, FeatureMap]:
    """Returns the raw features of those users that are stored.

    Raises:
        CatalogError: The row of one is damaged.
    """
    found: dict[str, FeatureMap] = {}
    for some in _parts(user_ids):
        query = f"SELECT user_id, CAST(payload AS BLOB), checksum FROM users WHERE user_id IN ({_marks('?', some)})"
        for user_id, payload, checksum in connection.execute(query, some).fetchall():
            features = user_features(user_id, payload, checksum)
            if features is None:
                seen = f"the row of user {user_id!r} is damaged, its checksum is wrong"
                raise DamagedRowError(f"{path}: {seen}; load the users again")
            found[user_id] = features
    return found


def stored_histories(connection: sqlite3.Connection, user_ids: Sequence[str], limit: int) -> dict[str, tuple[str, ...]]:
    """Returns the last `limit` distinct items of each user, oldest first: by time, then by insertion."""
    found: dict[str, tuple[str, ...]] = {}
    latest = f"SELECT json_group_array(item_id) FROM ({_EVENTS.format('wanted.user_id')} LIMIT {_EVENTS_AT_ONCE})"
    for some in _parts(user_ids):
        # One row a user: with each row that SQLite gives, this thread has to wait for its turn of Python again.
        query = f"WITH wanted(user_id) AS (VALUES {_marks('(?)', some)}) SELECT user_id, ({latest}) FROM wanted"
        for user_id, joined in connection.execute(query, some).fetchall():
            item_ids, _ = _READ(joined)
            is_whole = len(item_ids) < _EVENTS_AT_ONCE
            found[user_id] = _last(item_ids if is_whole else _events(connection, user_id), limit)
    return found


def stored_audiences(connection: sqlite3.Connection, item_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the distinct users who interacted with each item, ascending; nobody for an unknown item."""
    users: dict[str, list[str]] = {item_id: [] for item_id in item_ids}
    for some in _parts(item_ids):  # one statement an item takes ten times as long, where most had nobody yet
        named = f"item_id IN ({_marks('?', some)})"
        query = f"SELECT DISTINCT item_id, user_id FROM interactions WHERE {named} ORDER BY item_id, user_id"
        for item_id, user_id in connection.execute(query, some):
            users[item_id].append(user_id)
    return [tuple(users[item_id]) for item_id in item_ids]


def _events(connection: sqlite3.Connection, user_id: str) -> Iterator[str]:
    rows = connection.execute(_EVENTS.format("?"), (user_id,))
    try:
        for (item_id,) in rows:
            yield item_id
    finally:
        rows.close()


def _last(latest_first: Iterable[str], limit: int) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for item_id in latest_first:
        if len(seen) >= limit:
            break
        seen[item_id] = None
    return tuple(reversed(seen))


def _parts(user_ids: Iterable[str]) -> Iterator[list[str]]:
    distinct = iter(dict.fromkeys(user_ids))
    while some := list(islice(distinct, _IDS_PER_STATEMENT)):
        yield some


def _marks(mark: str, values: Sequence[str]) -> str:
    return ",".join([mark] * len(values))
