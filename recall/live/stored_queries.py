"""User vectors for tuning: those of stored users, as recalls will ask with them.

They lie elsewhere than items. An index that finds the neighbors of items may miss most of those of users, which no
query made beside items would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from index.protocols import FloatArray
from index.tune_sample import NUM_QUERIES
from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.catalog_file import CatalogFile
from recall.live.generation import Embedder
from recall.live.item_vectors import known_features, usable_rows
from recall.model.embedding import UserInput
from recall.schema import FeatureMap

LEAST_USERS = 32
"""Fewer say too little of all users."""
_DRAWS_PER_USER = 4
_MAX_STORED_HISTORY = 10_000


def stored_queries(
    catalog: Catalog, model: Embedder, item_ids: Sequence[str], *, vectors: FloatArray
) -> FloatArray | None:
    """Returns the vectors of users drawn by chance among those with a history, [at most 256, dim] float32.

    Users come as often as they have events: who chose more is likely to ask more.

    Args:
        catalog: Where users and their events are stored; those that are damaged are left out.
        model: Made `vectors`, and makes these.
        item_ids: All items, ascending.
        vectors: [len(item_ids), dim] float32.

    Returns:
        None where there are fewer than 32 such users.
    """
    rows = {item_id: row for row, item_id in enumerate(item_ids)}
    users: list[UserInput] = []
    for user_id in _drawn_users(catalog.path):
        history = [rows[item_id] for item_id in catalog.history(user_id, _MAX_STORED_HISTORY) if item_id in rows]
        if history and model.max_history > 0:
            recent = vectors[history[-model.max_history :]]
            users.append(UserInput(user_id=user_id, features=_features(catalog, model, user_id), history=recent))
        if len(users) == NUM_QUERIES:
            break
    if len(users) < LEAST_USERS:
        return None
    made = model.embed_users(users)
    usable = made[usable_rows(made)]
    return usable if len(usable) >= LEAST_USERS else None


def _features(catalog: Catalog, model: Embedder, user_id: str) -> FeatureMap:
    try:
        stored = catalog.get_user(user_id)
    except CatalogError:  # a damaged user
        stored = None
    return known_features(model.schema.user_features, stored or {}).features


def _drawn_users(path: Path) -> Iterator[str]:
    """Yields distinct users of events drawn by chance; the same for the same catalogue."""
    file = CatalogFile(path)
    try:
        with file.reading() as connection:
            first, last = connection.execute("SELECT min(insertion), max(insertion) FROM interactions").fetchone()
            if first is None:
                return
            places = np.random.default_rng(0).integers(first, last + 1, _DRAWS_PER_USER * NUM_QUERIES)
            query = "SELECT user_id FROM interactions WHERE insertion >= ? ORDER BY insertion LIMIT 1"
            found = [connection.execute(query, (int(place),)).fetchone() for place in places]
    finally:
        file.close()
    yield from dict.fromkeys(row[0] for row in found if row is not None)
