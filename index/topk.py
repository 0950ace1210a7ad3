"""The one order of results: score descending, then row ascending.

Scores are never NaN: vectors and queries are checked where they come in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index import bitmap
from index.errors import InvalidQueryError
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap


def best(rows: RowArray, scores: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    """Returns the best `k` of one query's candidates, in order.

    Args:
        rows: [n] int64, distinct.
        scores: [n] float32, never NaN.
        k: At least 1; fewer candidates are all returned.
    """
    if rows.size > 2 * k:
        last = np.partition(scores, scores.size - k)[scores.size - k]
        kept = np.flatnonzero(scores >= last)
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def gather_neighbors(found: Sequence[tuple[RowArray, FloatArray]], width: int) -> Neighbors:
    """Joins ordered results of several queries to one value of `width` slots a query."""
    joined = Neighbors.none(len(found), width)
    for i, (rows, scores) in enumerate(found):
        joined.rows[i, : rows.size] = rows
        joined.scores[i, : rows.size] = scores
        joined.counts[i] = rows.size
    return joined


def top_k(scores: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
    """Returns the best `k` rows of each query from a full score matrix.

    Args:
        scores: [num_queries, num_rows] float32, never NaN; column r is row r.
        k: Rows wanted, at least 1.
        allowed: Rows that may be returned; None allows every row.

    Raises:
        InvalidQueryError: `k` is below 1.
    """
    if k < 1:
        raise InvalidQueryError(f"k is {k}; want at least 1")
    num_rows = scores.shape[1]
    rows = np.arange(num_rows, dtype=np.int64) if allowed is None else bitmap.to_rows(allowed, num_rows)
    found = [best(rows, line if allowed is None else line[rows], k) for line in scores]
    return gather_neighbors(found, min(k, num_rows))
