"""Search of the base of a view, whatever of it is live.

Where nearly every row is live, an approximate base is asked without a bitmap for some rows more than wanted, and dead
ones are dropped from the answer: the walk of a graph under a bitmap takes twice as long, whatever it bars. A query that
comes out short is asked again under the bitmap.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numba import njit, types

from index import bitmap
from index.flat import FlatIndex
from index.fused import FusedQueries, FusedRows, fused_ranking, fused_search
from index.protocols import FloatArray, Neighbors, VectorIndex
from index.sparse import ScannedBags
from index.view import View

_FUSED_FACTOR = 4
_FUSED_LEAST = 256
_SURVIVORS_SHARE = 32
"""A fused search that reads every row takes as long as one over copies of one row in so many; rounded from 200,000 rows
of 64 dimensions, whatever the kind of the base."""
_FEW_DEAD = 0.1
"""Share of dead rows up to which they are dropped from a longer answer."""
_SPARE_SHARE, _SPARE_ROWS = 2.0, 8
"""So many times the dead rows to be expected among the wanted are asked for on top of these, and some more."""


def search_base(view: View, vectors: FloatArray, k: int, *, exact: bool) -> Neighbors:
    """Returns the best `k` live rows of the base by vectors alone.

    Args:
        view: With live base rows.
        vectors: [num_queries, dim] float32, checked.
        k: At most the number of live base rows.
        exact: Whether to search exhaustively.
    """
    index: VectorIndex = view.exact if exact else view.base
    num_dead = view.base.num_rows - view.num_base_live
    if num_dead == 0:
        return index.search(vectors, k)
    spare = math.ceil(_SPARE_SHARE * k * num_dead / view.base.num_rows) + _SPARE_ROWS
    few = num_dead <= _FEW_DEAD * view.base.num_rows and k + spare <= view.base.num_rows
    if not few or isinstance(index, FlatIndex):
        return index.search(vectors, k, allowed=view.base_live)
    found = index.search(vectors, k + spare)
    result = Neighbors(
        rows=np.empty((len(vectors), k), dtype=np.int64),
        scores=np.empty((len(vectors), k), dtype=np.float32),
        counts=np.empty(len(vectors), dtype=np.int64),
    )
    if _keep_live(found.rows, found.scores, found.counts, view.base_live, result.rows, result.scores, result.counts):
        short = np.flatnonzero(result.counts < k)
        result.put(short, index.search(vectors[short], k, allowed=view.base_live))
    return result


def fused_base(view: View, queries: FusedQueries, k: int, *, exact: bool, spare: int) -> Neighbors:
    """Returns the best live rows of the base by both parts of a score.

    Args:
        view: With live base rows, and with content.
        queries: What is asked.
        k: Rows wanted; exclusions may remove `spare` of these.
        exact: Whether to search exhaustively.
        spare: See `k`.
    """
    rows, wanted = view.base_rows(), min(k, view.num_base_live)
    assert rows is not None
    allowed = None if view.num_base_live == view.base.num_rows else view.base_live
    if view.num_base_live * _SURVIVORS_SHARE <= view.base.num_rows:
        return _search_survivors(view, queries, rows, wanted)
    if exact or isinstance(view.base, FlatIndex):
        return fused_search(rows, queries, wanted, allowed=allowed)
    # Lists rows by vectors, so many that exclusions leave enough, and ranks by both parts.
    most = min(max(_FUSED_FACTOR * (k - spare), _FUSED_LEAST) + spare, view.num_base_live)
    dense = search_base(view, queries.vectors, most, exact=False)
    return fused_ranking(rows, queries, wanted, dense=dense, allowed=allowed)


def _search_survivors(view: View, queries: FusedQueries, rows: FusedRows, k: int) -> Neighbors:
    """Searches copies of the few rows that a filter or deletions left: reading every row would take longer."""
    left = bitmap.to_rows(view.base_live, view.base.num_rows)
    assert view.content is not None
    bags = ScannedBags(view.content.bags.take(left))
    some = FusedRows(vectors=rows.vectors[left], largest_norm=rows.largest_norm, sparse=bags)
    found = fused_search(some, queries, k, allowed=None)
    return replace(found, rows=np.where(found.rows < 0, found.rows, left[found.rows]))


_ROWS = types.Array(types.int64, 2, "C", readonly=True)
_SCORES = types.Array(types.float32, 2, "C", readonly=True)
_COUNTS = types.Array(types.int64, 1, "C", readonly=True)
_BITMAP = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    types.int64(_ROWS, _SCORES, _COUNTS, _BITMAP, types.int64[:, ::1], types.float32[:, ::1], types.int64[::1]),
    cache=True,
    nogil=True,
)
def _keep_live(  # type: ignore[no-untyped-def]
    rows, scores, counts, live, live_rows, live_scores, live_counts
):
    """Writes the first live rows of each query; returns how many queries have fewer than there is room for."""
    num_short = 0
    for query in range(counts.size):
        kept = 0
        for slot in range(counts[query]):
            row = rows[query, slot]
            if kept < live_rows.shape[1] and live[row >> 3] >> (row & 7) & 1:
                live_rows[query, kept], live_scores[query, kept] = row, scores[query, slot]
                kept += 1
        live_counts[query] = kept
        num_short += kept < live_rows.shape[1]
    return num_short
