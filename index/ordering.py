"""The last step of an approximate search: candidates of many queries in the one order, cut at k.

A candidate is one int64: the bits of its score, made to ascend as scores descend, then its row. So one sort of numbers
gives the one order, score descending, then row ascending, as `index.topk.best` has it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit, types

from index.protocols import FloatArray, Neighbors, RowArray

_Int: TypeAlias = int | np.int64
_Float: TypeAlias = float | np.float32

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_SCORES = types.Array(types.float32, 1, "C", readonly=True)
_LOWER = np.int64(2**32 - 1)
_SELECTED_FROM = 4
"""Candidates for each one wanted from which it is quicker to select those wanted before they are sorted."""


@njit(forceinline=True)
def descending_bits(score: _Float) -> _Int:
    """Returns an int64 of 32 bits that ascends as scores descend; 0 and -0 are the same."""
    bits = np.int64(np.float32(np.float32(0) - np.float32(score)).view(np.int32))
    return bits if bits >= 0 else bits ^ np.int64(0x7FFFFFFF)


@njit(forceinline=True)
def score_of(entry: _Int) -> _Float:
    """Returns the score in the upper half of an entry."""
    bits = entry >> np.int64(32)
    bits = bits if bits >= 0 else bits ^ np.int64(0x7FFFFFFF)
    return np.float32(0) - np.int32(bits).view(np.float32)


def ordered(rows: RowArray, scores: FloatArray, offsets: RowArray, *, k: int, width: int) -> Neighbors:
    """Returns the best `k` candidates of each query.

    Args:
        rows: [num_pairs] int64, those of query i at `offsets[i]:offsets[i + 1]`, distinct, below 2^31.
        scores: [num_pairs] float32, never NaN.
        offsets: [num_queries + 1] int64.
        k: At least 1.
        width: Slots a query, at least what is used of them.
    """
    found = Neighbors.none(offsets.size - 1, width)
    order(rows, offsets, scores, k, found.rows, found.scores, found.counts)
    return found


@njit(
    types.int64(_ROWS, _ROWS, _SCORES, types.int64, types.int64[:, ::1], types.float32[:, ::1], types.int64[::1]),
    cache=True,
    nogil=True,
)
def order(
    rows: RowArray,
    offsets: RowArray,
    scores: FloatArray,
    wanted: int,
    best_rows: RowArray,
    best_scores: FloatArray,
    counts: RowArray,
) -> int:
    """Writes the best rows of each query in order, and returns how many queries have fewer than `wanted`.

    Args:
        rows: [num_pairs] int64; those of query i are `rows[offsets[i]:offsets[i + 1]]`, distinct, below 2^31.
        offsets: [num_queries + 1] int64.
        scores: [num_pairs] float32, never NaN.
        wanted: Rows wanted of each query; of fewer candidates all are.
        best_rows: [num_queries, width] int64; slots without a row are left alone, here and below.
        best_scores: [num_queries, width] float32.
        counts: [num_queries] int64.
    """
    num_short = 0
    for query in range(counts.size):
        first = offsets[query]
        size = offsets[query + 1] - first
        entries = np.empty(size, dtype=np.int64)
        for i in range(size):
            entries[i] = (descending_bits(scores[first + i]) << np.int64(32)) | rows[first + i]
        if size > _SELECTED_FROM * wanted:
            entries = np.partition(entries, wanted - 1)[:wanted]
        entries.sort()
        counts[query] = min(size, wanted)
        num_short += size < wanted
        for i in range(min(size, wanted)):
            best_rows[query, i], best_scores[query, i] = entries[i] & _LOWER, score_of(entries[i])
    return num_short
