"""Exact ranking of candidates over vectors that may lie in a memory map: only the candidates' rows are read.

A quantised index finds more rows than are wanted by codes that fit in memory; the vectors themselves decide which of
them are the best and in which order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.protocols import FloatArray, Neighbors, RowArray
from index.rescore import score_rows

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1
_MAGNITUDE = 0x7FFFFFFF
_NO_ROW = np.iinfo(np.int64).max


def ranked(queries: FloatArray, vectors: FloatArray, candidates: RowArray, k: int) -> Neighbors:
    """Returns the best `k` candidates of each query by the scores of exact search.

    Args:
        queries: [num_queries, dim] float32, C-contiguous.
        vectors: [num_rows, dim] float32, C-contiguous, fewer than 2^32 rows; may be a memory map.
        candidates: [num_queries, num_candidates] int64, the rows of a query distinct, -1 where there are fewer.
        k: Width of the result, at least 1; slots past a query's candidates stay empty.
    """
    num_queries, num_candidates = candidates.shape
    assert vectors.shape[0] <= _ROW_MASK
    found = candidates >= 0
    rows = np.where(found, candidates, 0)
    offsets = np.arange(num_queries + 1, dtype=np.int64) * num_candidates
    scores = score_rows(queries, vectors, rows.reshape(-1), offsets=offsets).reshape(rows.shape)
    keys = np.where(found, _keys(scores, rows), _NO_ROW)
    kept = min(k, num_candidates)
    if kept < num_candidates:
        keys = np.partition(keys, kept - 1, axis=1)[:, :kept]
    keys = np.sort(keys, axis=1)
    result = Neighbors(
        rows=np.full((num_queries, k), -1, dtype=np.int64),
        scores=np.full((num_queries, k), -np.inf, dtype=np.float32),
        counts=np.count_nonzero(keys != _NO_ROW, axis=1),
    )
    used = keys != _NO_ROW
    result.rows[:, :kept] = np.where(used, keys & _ROW_MASK, -1)
    result.scores[:, :kept] = np.where(used, _scores(keys), -np.inf)
    return result


def _keys(scores: FloatArray, rows: RowArray) -> RowArray:
    """Returns whole numbers that ascend as scores descend, then as rows ascend: one sort gives the one order."""
    # The bits of a float ascend with it once those of a negative number are turned round. Adding 0 makes -0 a 0.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, bits ^ _MAGNITUDE, bits)
    return (~ordered << _ROW_BITS) | rows


def _scores(keys: RowArray) -> NDArray[np.float32]:
    ordered = ~(keys >> _ROW_BITS)
    return np.where(ordered < 0, ordered ^ _MAGNITUDE, ordered).astype(np.int32).view(np.float32)
