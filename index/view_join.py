"""What base and fresh part found, as one result in the one order by item id.

Both lists are ordered by score descending, then row ascending. Base rows ascend by id, fresh rows do not: so two lists
are merged by scores alone, and only where a fresh row ties with its neighbor in the result are ids compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import FloatArray, Hits, Neighbors, RowArray

_NOBODY: frozenset[str] = frozenset()

IdArray = NDArray[np.object_]
"""Ids by row. Taking many at once is three times as fast as one by one: they lie scattered in memory."""

Banned = Sequence[frozenset[str]]
"""Ids that no result may hold, one set a query; empty where no query excludes anything."""


def found_alone(found: Neighbors, item_ids: IdArray, k: int, banned: Banned) -> list[Hits]:
    """Returns the results of rows whose order is that of their ids; rows beyond k are there to make up for exclusions.

    Args:
        found: Of each query.
        item_ids: By row.
        k: Items wanted.
        banned: See `Banned`.
    """
    rows = found.rows if banned else found.rows[:, :k]
    hits = []
    for query, (ids, count) in enumerate(
        zip(item_ids.take(rows, mode="clip").tolist(), found.counts.tolist(), strict=True)
    ):
        some = ids if count >= len(ids) else ids[:count]
        hits.append(_kept(some, found.scores[query, : len(some)], k, banned[query] if banned else _NOBODY))
    return hits


class Parts:
    """The two parts of a view, with the ids of their rows."""

    def __init__(self, base_ids: IdArray, fresh_ids: Sequence[str]) -> None:
        """Takes ids by row; those of the base ascend."""
        self._base_ids = base_ids
        self._fresh_ids = fresh_ids

    def joined(self, base: Neighbors, fresh: Neighbors, k: int, *, fetch: int, banned: Banned) -> list[Hits]:
        """Returns results from what both parts found.

        Args:
            base: Best rows of the base for each query.
            fresh: Best fresh rows.
            k: Items wanted.
            fetch: As many, and those that exclusions may remove.
            banned: See `Banned`.
        """
        num_queries = base.counts.size
        wanted = min(fetch if banned else k, base.rows.shape[1] + fresh.rows.shape[1])
        places = np.empty((num_queries, wanted), dtype=np.int64)
        scores = np.empty((num_queries, wanted), dtype=np.float32)
        counts = np.empty(num_queries, dtype=np.int64)
        _join(
            base.rows,
            base.scores,
            base.counts,
            fresh.rows,
            fresh.scores,
            fresh.counts,
            self._base_ids.size,
            places,
            scores,
            counts,
        )
        hits = []
        for query, count in enumerate(counts.tolist()):
            out = banned[query] if banned else _NOBODY
            if count < 0:
                hits.append(self._by_id(base, fresh, query, k, out))
            else:
                hits.append(_kept(self._ids(places[query, :count]), scores[query, :count], k, out))
        return hits

    def _ids(self, places: RowArray) -> list[str]:
        first = self._base_ids.size
        if first == 0:
            return [self._fresh_ids[place] for place in places.tolist()]
        ids: list[str] = self._base_ids.take(places, mode="clip").tolist()
        for slot in np.flatnonzero(places >= first).tolist():
            ids[slot] = self._fresh_ids[places[slot] - first]
        return ids

    def _by_id(self, base: Neighbors, fresh: Neighbors, query: int, k: int, banned: frozenset[str]) -> Hits:
        pairs = [
            (-score, item_ids[row])
            for found, item_ids in ((base, self._base_ids), (fresh, self._fresh_ids))
            for score, row in zip(
                found.scores[query, : found.counts[query]].tolist(),
                found.rows[query, : found.counts[query]].tolist(),
                strict=True,
            )
        ]
        pairs.sort()
        scores = -np.array([score for score, _ in pairs], dtype=np.float32)
        return _kept([item_id for _, item_id in pairs], scores, k, banned)


def _kept(item_ids: list[str], scores: FloatArray, k: int, banned: frozenset[str]) -> Hits:
    gone = banned.intersection(item_ids) if banned else banned
    if gone:
        kept = np.ones(len(item_ids), dtype=np.bool_)
        kept[[item_ids.index(item_id) for item_id in gone]] = False
        item_ids, scores = [item_id for item_id in item_ids if item_id not in gone], scores[kept]
    if len(item_ids) > k:
        item_ids, scores = item_ids[:k], scores[:k]
    return Hits(item_ids, scores)


_ROWS_2D = types.Array(types.int64, 2, "C", readonly=True)
_SCORES_2D = types.Array(types.float32, 2, "C", readonly=True)
_COUNTS = types.Array(types.int64, 1, "C", readonly=True)


@njit(
    types.void(
        _ROWS_2D,
        _SCORES_2D,
        _COUNTS,
        _ROWS_2D,
        _SCORES_2D,
        _COUNTS,
        types.int64,
        types.int64[:, ::1],
        types.float32[:, ::1],
        types.int64[::1],
    ),
    cache=True,
    nogil=True,
)
def _join(  # type: ignore[no-untyped-def]
    base_rows, base_scores, base_counts, fresh_rows, fresh_scores, fresh_counts, first_fresh, places, scores, counts
):
    """Writes the best places of each query, fresh row r as `first_fresh + r`; a count of -1 where ids must decide."""
    for query in range(counts.size):
        i, j, last, was_fresh = 0, 0, np.float32(np.inf), False
        num_base, num_fresh = base_counts[query], fresh_counts[query]
        wanted = min(places.shape[1], num_base + num_fresh)
        counts[query] = wanted
        for slot in range(wanted):
            is_fresh = i == num_base or (j < num_fresh and fresh_scores[query, j] > base_scores[query, i])
            score = fresh_scores[query, j] if is_fresh else base_scores[query, i]
            if score == last and (is_fresh or was_fresh):
                counts[query] = -1
                break
            places[query, slot] = first_fresh + fresh_rows[query, j] if is_fresh else base_rows[query, i]
            scores[query, slot] = score
            last, was_fresh = score, is_fresh
            i, j = i + (not is_fresh), j + is_fresh
        if j < num_fresh and fresh_scores[query, j] == last:  # of equal scores those of the base were taken first
            counts[query] = -1
