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

from index.flat import margin_per_length, product_lines, product_margins
from index.fresh_codes import Codes, Near, reaching
from index.line_scan import LineScan
from index.ordering import ordered
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_rows

_LINES_BYTES = 1 << 22
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
    floors = None if wanted.floors is None else wanted.floors[some]
    found = LineScan(k, product_margins(queries, wanted.norm), floors)
    found.add(product_lines(vectors, queries), allowed=wanted.allowed)
    return _scored(vectors, queries, *found.kept())


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
