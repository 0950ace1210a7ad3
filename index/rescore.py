"""The one kernel that scores a query against a row.

Every index kind finds candidates its own way and then scores them here, so that the same query and vector give the
same float32 whatever found them and however many queries came together. The sum is taken in one order, fixed when
the kernel is compiled: eager single compilation, one layout, no branch on the number of queries or rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from index.protocols import FloatArray, RowArray

_VECTORS = types.Array(types.float32, 2, "C", readonly=True)
_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_SIGNATURE = types.void(_VECTORS, _VECTORS, _ROWS, _ROWS, types.float32[::1])


@njit(_SIGNATURE, cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _score(queries: FloatArray, vectors: FloatArray, rows: RowArray, offsets: RowArray, scores: FloatArray) -> None:
    for query in range(queries.shape[0]):
        for slot in range(offsets[query], offsets[query + 1]):
            row = rows[slot]
            total = np.float32(0)
            for d in range(queries.shape[1]):
                total += queries[query, d] * vectors[row, d]
            scores[slot] = total


def score_rows(queries: FloatArray, vectors: FloatArray, rows: RowArray, *, offsets: RowArray) -> FloatArray:
    """Returns the inner product of each query with its own rows.

    Args:
        queries: [num_queries, dim] float32, C-contiguous.
        vectors: [num_rows, dim] float32, C-contiguous.
        rows: [num_pairs] int64, all in range; those of query i are `rows[offsets[i]:offsets[i + 1]]`.
        offsets: [num_queries + 1] int64, ascending from 0 to num_pairs.

    Returns:
        [num_pairs] float32.
    """
    assert offsets.size == queries.shape[0] + 1
    assert int(offsets[-1]) == rows.size
    scores = np.empty(rows.size, dtype=np.float32)
    _score(queries, vectors, rows, offsets, scores)
    return scores


def score_one(query: FloatArray, vectors: FloatArray, rows: RowArray) -> FloatArray:
    """Returns the inner product of one [dim] query with each of `rows`, [len(rows)] float32."""
    return score_rows(query[None, :], vectors, rows, offsets=np.array([0, rows.size], dtype=np.int64))
