"""Exact ranking of candidates over vectors that may lie in a memory map: only the candidates' rows are read.

A quantised index finds more rows than are wanted by codes that fit in memory; the vectors themselves decide which of
them are the best and in which order.
"""

from __future__ import annotations

import numpy as np

from index.ordering import ordered
from index.protocols import FloatArray, Neighbors, RowArray
from index.rescore import score_rows

_MOST_ROWS = 2**31


def ranked(queries: FloatArray, vectors: FloatArray, candidates: RowArray, k: int) -> Neighbors:
    """Returns the best `k` candidates of each query by the scores of exact search.

    Args:
        queries: [num_queries, dim] float32, C-contiguous.
        vectors: [num_rows, dim] float32, C-contiguous, at most 2^31 rows; may be a memory map.
        candidates: [num_queries, num_candidates] int64, the rows of a query distinct, -1 where there are fewer.
        k: Width of the result, at least 1; slots past a query's candidates stay empty.
    """
    assert vectors.shape[0] <= _MOST_ROWS
    offsets = np.zeros(candidates.shape[0] + 1, dtype=np.int64)
    if candidates.size and candidates.min() < 0:
        found = candidates >= 0
        np.cumsum(np.count_nonzero(found, axis=1), out=offsets[1:])
        rows = candidates[found]
    else:
        offsets[1:] = np.arange(1, candidates.shape[0] + 1) * candidates.shape[1]
        rows = np.ascontiguousarray(candidates).reshape(-1)
    scores = score_rows(queries, vectors, rows, offsets=offsets)
    return ordered(rows, scores, offsets, k=k, width=k)
