"""The last step of an LSH search: candidates of many queries in the one order, cut at k."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from index.lsh_instructions import rising_bits, score_of
from index.protocols import FloatArray, Neighbors, RowArray

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_SCORES = types.Array(types.float32, 1, "C", readonly=True)
_MASK = np.uint64(0xFFFFFFFF)


def ordered(rows: RowArray, scores: FloatArray, offsets: RowArray, *, k: int, width: int) -> Neighbors:
    """Returns the best `k` candidates of each query: score descending, then row ascending, as `index.topk.best`.

    Args:
        rows: [num_pairs] int64, those of query i at `offsets[i]:offsets[i + 1]`, distinct, below 2^32.
        scores: [num_pairs] float32, never NaN.
        offsets: [num_queries + 1] int64.
        k: At least 1.
        width: Slots a query, at least what is used of them.
    """
    shape = (offsets.size - 1, width)
    found = Neighbors(
        rows=np.empty(shape, dtype=np.int64),
        scores=np.empty(shape, dtype=np.float32),
        counts=np.empty(shape[0], dtype=np.int64),
    )
    _order(rows, scores, offsets, k, found.rows, found.scores, found.counts)
    return found


@njit(
    types.void(_ROWS, _SCORES, _ROWS, types.int64, types.int64[:, ::1], types.float32[:, ::1], types.int64[::1]),
    nogil=True,
    cache=True,
)
def _order(rows, scores, offsets, k, out_rows, out_scores, counts):  # type: ignore[no-untyped-def]
    for query in range(counts.shape[0]):
        first, end = offsets[query], offsets[query + 1]
        keys = np.empty(end - first, dtype=np.uint64)
        for slot in range(first, end):
            keys[slot - first] = np.uint64((0xFFFFFFFF - rising_bits(scores[slot])) << 32 | rows[slot])
        keys.sort()
        counts[query] = min(k, end - first)
        for place in range(counts[query]):
            out_rows[query, place] = np.int64(keys[place] & _MASK)
            out_scores[query, place] = score_of(0xFFFFFFFF - np.int64(keys[place] >> np.uint64(32)))
        out_rows[query, counts[query] :] = -1
        out_scores[query, counts[query] :] = -np.inf
