"""Exact search of the fresh part, given what the base holds: only rows that reach the worst result of the base count.

That is the floor. Codes of the rows tell which may reach it (`index.fresh_codes`). Where the base returned too little
for a floor, or a crowd is above it, all rows are scored by one matrix product, whose floats depend on its shape; a row
is kept while its product is within the rounding margin (`index.flat.product_margins`) of the k-th best. What is kept is
scored by `index.rescore`, so every row that belongs into the result is there with its final score, ties at the last
place included, and few others.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit, types

from index.flat import margin_per_length, product_margins
from index.fresh_codes import Codes, Near, reaching
from index.ordering import ordered
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_rows

_LINES_BYTES = 1 << 22
_ROOM = 1024
_STRIP = 64
_AT_ONCE = 32
"""Queries of one thread's turn."""
_CROWD = 16
"""Where so many times the rows wanted reach the floor, the best of them are told apart before they are scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a scan.

    Attributes:
        k: Rows, at least 1; those that tie with the k-th are all returned.
        floors: [num_queries] float32, below which no row is wanted; None where every row is.
        allowed: Rows that may be returned.
        norm: Greatest length of a vector.
        codes: Of the same rows; None reads the vectors.
    """

    k: int
    floors: FloatArray | None
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
    if wanted.codes is not None and wanted.floors is not None:
        found = _scan_codes(vectors, queries, wanted, wanted.floors)
        if found.rows.shape[1] <= _CROWD * wanted.k:
            return found
    size = max(_LINES_BYTES // (4 * vectors.shape[0]), 1)
    return joined([_scan_lines(vectors, queries, wanted, slice(i, i + size)) for i in range(0, len(queries), size)])


def _scan_codes(vectors: FloatArray, queries: FloatArray, wanted: Wanted, floors: FloatArray) -> Neighbors:
    assert wanted.codes is not None
    codes, near = wanted.codes, Near(vectors.shape[0], margin_per_length(queries.shape[1], wanted.norm))

    def scan_some(start: int) -> Neighbors:
        some = queries[start : start + _AT_ONCE]
        rows, offsets = reaching(codes, some, floors[start : start + _AT_ONCE], allowed=wanted.allowed, near=near)
        return _scored(vectors, some, rows, offsets)

    if len(queries) <= _AT_ONCE:
        return scan_some(0)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return joined(list(pool.map(scan_some, range(0, len(queries), _AT_ONCE))))


def _scan_lines(vectors: FloatArray, queries: FloatArray, wanted: Wanted, some: slice) -> Neighbors:
    queries, k = queries[some], wanted.k
    margins = product_margins(queries, wanted.norm)
    floors = np.full(len(queries), -np.inf, dtype=np.float32) if wanted.floors is None else wanted.floors[some]
    # One line is a product with a vector: faster than one with a matrix of one row.
    lines = np.dot(vectors, queries[0]).reshape(1, -1) if len(queries) == 1 else queries @ vectors.T
    offsets = np.zeros(len(queries) + 1, dtype=np.int64)
    rows = np.empty(len(queries) * min(max(_ROOM, 2 * k), vectors.shape[0]), dtype=np.int64)
    if _near(lines, wanted.allowed, floors, margins, k, rows, offsets) > rows.size:
        rows = np.empty(offsets[-1], dtype=np.int64)
        _near(lines, wanted.allowed, floors, margins, k, rows, offsets)
    return _scored(vectors, queries, rows[: offsets[-1]], offsets)


def _scored(vectors: FloatArray, queries: FloatArray, rows: RowArray, offsets: RowArray) -> Neighbors:
    scores = score_rows(queries, vectors, rows, offsets=offsets)
    width = int(offsets[1]) if offsets.size == 2 else int(np.diff(offsets).max())
    return ordered(rows, scores, offsets, k=max(width, 1), width=width)


def joined(parts: list[Neighbors]) -> Neighbors:
    """Returns the results of several batches as one, as wide as the widest."""
    if len(parts) == 1:
        return parts[0]
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
