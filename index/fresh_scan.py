"""Exact search of the fresh part, given what the base holds: only rows that reach the worst result of the base count.

Many queries score all rows by one matrix product, whose floats depend on its shape. A row is kept while its product is
within the rounding margin (`index.flat.product_margins`) of the floor: the score of the last row that the base
returned, or the k-th best of these rows, whichever is greater. Few queries with a floor read codes of the rows instead
(`index.fresh_codes`). What is kept is scored by `index.rescore`, so every row that belongs
into the result is there with its final score, ties at the last place included, and few others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.flat import product_margins
from index.fresh_codes import Codes, reaching
from index.lsh_order import ordered
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_rows

_LINES_BYTES = 1 << 22
_ROOM = 1024
_STRIP = 64
_FEW_QUERIES = 4
"""More of them share the reading of the vectors in one matrix product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a scan.

    Attributes:
        k: Rows, at least 1; those that tie with the k-th are all returned.
        floors: [num_queries] float32, below which no row is wanted; -inf where every row is.
        allowed: Rows that may be returned.
        norm: Greatest length of a vector.
        codes: Of the same rows; None reads the vectors.
    """

    k: int
    floors: FloatArray
    allowed: RowBitmap
    norm: float
    codes: Codes | None = None


def scan(vectors: FloatArray, queries: FloatArray, wanted: Wanted) -> Neighbors:
    """Returns, in order, the rows that may be among the best `k` and score at least the floor, and perhaps some more.

    Args:
        vectors: [num_rows, dim] float32, C-contiguous, num_rows below 2^31.
        queries: [num_queries, dim] float32, C-contiguous, finite.
        wanted: What of it.

    Returns:
        As many columns as the longest result has rows.
    """
    num_queries, size = queries.shape[0], max(_LINES_BYTES // (4 * vectors.shape[0]), 1)
    margins = product_margins(queries, wanted.norm)
    if wanted.codes is not None and num_queries <= _FEW_QUERIES and wanted.floors.min() > -np.inf:
        return _scan_codes(vectors, queries, wanted, margins)
    if num_queries <= size:
        return _scan_some(vectors, queries, wanted, margins)
    parts = []
    for start in range(0, num_queries, size):
        some = slice(start, start + size)
        parts.append(_scan_some(vectors, queries[some], replace(wanted, floors=wanted.floors[some]), margins[some]))
    return _stacked(parts)


def _scan_codes(vectors: FloatArray, queries: FloatArray, wanted: Wanted, margins: NDArray[np.float64]) -> Neighbors:
    assert wanted.codes is not None
    floors, num_rows = wanted.floors - margins, vectors.shape[0]
    found = [
        reaching(wanted.codes, query, float(floor), allowed=wanted.allowed, num_rows=num_rows)
        for query, floor in zip(queries, floors, strict=True)
    ]
    offsets = np.zeros(len(found) + 1, dtype=np.int64)
    for query, rows in enumerate(found):
        offsets[query + 1] = offsets[query] + rows.size
    return _scored(vectors, queries, found[0] if len(found) == 1 else np.concatenate(found), offsets)


def _scan_some(vectors: FloatArray, queries: FloatArray, wanted: Wanted, margins: NDArray[np.float64]) -> Neighbors:
    num_queries, k = queries.shape[0], wanted.k
    # One line is a product with a vector: faster than one with a matrix of one row.
    lines = np.dot(vectors, queries[0]).reshape(1, -1) if num_queries == 1 else queries @ vectors.T
    offsets = np.zeros(num_queries + 1, dtype=np.int64)
    rows = np.empty(num_queries * min(max(_ROOM, 2 * k), vectors.shape[0]), dtype=np.int64)
    if _near(lines, wanted.allowed, wanted.floors, margins, k, rows, offsets) > rows.size:
        rows = np.empty(offsets[-1], dtype=np.int64)
        _near(lines, wanted.allowed, wanted.floors, margins, k, rows, offsets)
    return _scored(vectors, queries, rows[: offsets[-1]], offsets)


def _scored(vectors: FloatArray, queries: FloatArray, rows: RowArray, offsets: RowArray) -> Neighbors:
    scores = score_rows(queries, vectors, rows, offsets=offsets)
    width = int(offsets[1]) if offsets.size == 2 else int(np.diff(offsets).max())
    return ordered(rows, scores, offsets, k=max(width, 1), width=width)


def _stacked(parts: list[Neighbors]) -> Neighbors:
    width = max(part.rows.shape[1] for part in parts)
    num_queries = sum(part.counts.size for part in parts)
    rows = np.full((num_queries, width), -1, dtype=np.int64)
    scores = np.full((num_queries, width), -np.inf, dtype=np.float32)
    first = 0
    for part in parts:
        last = first + part.counts.size
        rows[first:last, : part.rows.shape[1]] = part.rows
        scores[first:last, : part.rows.shape[1]] = part.scores
        first = last
    return Neighbors(rows=rows, scores=scores, counts=np.concatenate([part.counts for part in parts]))


_SCORES = types.Array(types.float32, 1, "C", readonly=True)
_BITMAP = types.Array(types.uint8, 1, "C", readonly=True)


@njit(types.float32(_SCORES, _BITMAP, types.int64), cache=True, nogil=True)
def _kth_best(scores: FloatArray, allowed: RowBitmap, k: int) -> np.float32:
    """Returns the k-th greatest score of the allowed rows, -inf where there are fewer."""
    heap: FloatArray = np.full(k, -np.inf, dtype=np.float32)  # the k best so far, the worst of them at the root
    for row in range(scores.size):
        score = scores[row]
        if score > heap[0] and allowed[row >> 3] >> (row & 7) & 1:
            hole, child = 0, 1
            while child < k:
                if child + 1 < k and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= score:
                    break
                heap[hole] = heap[child]
                hole, child = child, 2 * child + 1
            heap[hole] = score
    worst: np.float32 = heap[0]
    return worst


@njit(types.int64(_SCORES, types.float32), cache=True, nogil=True)
def _count(scores: FloatArray, cut: np.float32) -> int:
    number = 0
    for score in scores:
        number += score >= cut
    return number


@njit(
    types.int64(
        types.Array(types.float32, 2, "C", readonly=True),
        _BITMAP,
        _SCORES,
        types.Array(types.float64, 1, "C", readonly=True),
        types.int64,
        types.int64[::1],
        types.int64[::1],
    ),
    cache=True,
    nogil=True,
)
def _near(lines, allowed, floors, margins, k, rows, offsets):  # type: ignore[no-untyped-def]
    """Writes the rows to score for each query, ascending; returns how many there are, also where they do not fit."""
    total = 0
    for query in range(lines.shape[0]):
        line, margin = lines[query], margins[query]
        cut = np.float32(floors[query] - margin)
        if floors[query] == -np.inf or _count(line, cut) > 2 * k:
            best = _kth_best(line, allowed, min(k, line.size))
            cut = max(cut, np.float32(best - margin))
        # A strip without any candidate costs one comparison of its greatest value.
        for start in range(0, line.size, _STRIP):
            stop = min(start + _STRIP, line.size)
            passed = 0
            for row in range(start, stop):
                passed += line[row] >= cut
            if passed:
                for row in range(start, stop):
                    if line[row] >= cut and allowed[row >> 3] >> (row & 7) & 1:
                        if total < rows.size:
                            rows[total] = row
                        total += 1
        offsets[query + 1] = total
    return total
