"""Fresh rows in a byte a value, to tell which of them may score at least a floor without reading their vectors.

A row v is about s c, with whole numbers c from -127 to 127 and its own step s; a query q likewise about t p. What is
lost is bounded: |q.v - s t p.c| <= t/2 |s c|_1 + s/2 |q|_1, as each value is off by at most half a step. So a row whose
rounded product plus that bound stays below the floor cannot reach it, and the others, few, are scored exactly. That
reads a quarter of the memory, which is what takes time after a search of a large graph has filled the caches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, types

from index.graph_simd import byte_product
from index.protocols import FloatArray, RowArray, RowBitmap
from index.quantised import ByteArray
from index.simd import LINE, aligned_zeros, padded

_LARGEST, _MIDDLE = 127, 128
_ROOM = 256
_SLACK = 1e-4
"""Relative: above what float32 rounds off in the bound."""


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows in bytes, in buffers whose first rows never change.

    Attributes:
        codes: [capacity, stride] uint8, each value of c plus 128; stride is dim rounded up to whole cache lines.
        steps: [capacity] float32, s.
        sums: [capacity] float32, |s c|_1.
    """

    codes: ByteArray
    steps: FloatArray
    sums: FloatArray


@dataclass(frozen=True, slots=True)
class Near:
    """Of which rows, and how near to a floor, some are wanted.

    Attributes:
        num_rows: Rows from here on do not exist.
        margin: How far products of float32 may be off, for a query of length 1; see `index.flat.margin_per_length`.
    """

    num_rows: int
    margin: float


class GrowingCodes:
    """Codes that grow at their end, for one writer; readers take what is published once."""

    def __init__(self, dim: int, *, capacity: int = 1024) -> None:
        """Starts empty, with room for `capacity` rows of `dim` values."""
        self.published = _blank(capacity, dim)
        """At least the rows of any view."""

    def put(self, first_row: int, vectors: FloatArray) -> None:
        """Puts rows, [n, dim] float32, checked, behind the first `first_row`, in place of what came there before."""
        old, last = self.published, first_row + vectors.shape[0]
        made = old
        if last > old.steps.size:
            made = _blank(max(last, 2 * old.steps.size), vectors.shape[1])
            for array, kept in ((made.codes, old.codes), (made.steps, old.steps), (made.sums, old.sums)):
                array[:first_row] = kept[:first_row]
        some = slice(first_row, last)
        _encode(vectors, made.codes[some], made.steps[some], made.sums[some])
        self.published = made


def reaching(
    codes: Codes, queries: FloatArray, floors: FloatArray, *, allowed: RowBitmap, near: Near
) -> tuple[RowArray, RowArray]:
    """Returns every allowed row that may score at least the floor of a query, and few others.

    Args:
        codes: Of the rows.
        queries: [num_queries, dim] float32, C-contiguous, finite.
        floors: [num_queries] float32, finite.
        allowed: Rows that may be returned.
        near: How many rows there are, and how far products may be off.

    Returns:
        Rows, ascending for each query, and offsets: those of query i are `rows[offsets[i]:offsets[i + 1]]`, int64.
    """
    offsets = np.zeros(queries.shape[0] + 1, dtype=np.int64)
    rows = np.empty(_ROOM * queries.shape[0], dtype=np.int64)
    arrays = (codes.codes, codes.steps, codes.sums)
    total = _reaching(*arrays, queries, floors, near.margin, near.num_rows, allowed, rows, offsets)
    if total > rows.size:
        rows = np.empty(total, dtype=np.int64)
        _reaching(*arrays, queries, floors, near.margin, near.num_rows, allowed, rows, offsets)
    return rows[:total], offsets


def _blank(capacity: int, dim: int) -> Codes:
    return Codes(
        aligned_zeros(capacity, padded(dim)),
        np.empty(capacity, dtype=np.float32),
        np.empty(capacity, dtype=np.float32),
    )


_VECTORS = types.Array(types.float32, 2, "C", readonly=True)


@njit(types.void(_VECTORS, types.uint8[:, ::1], types.float32[::1], types.float32[::1]), cache=True, nogil=True)
def _encode(vectors: FloatArray, codes: ByteArray, steps: FloatArray, sums: FloatArray) -> None:
    for row in range(vectors.shape[0]):
        largest = np.float32(0)
        for d in range(vectors.shape[1]):
            largest = max(largest, abs(vectors[row, d]))
        factor, total = np.float32(_LARGEST) / largest, np.float32(0)
        for d in range(vectors.shape[1]):
            code = np.rint(vectors[row, d] * factor)
            codes[row, d] = np.uint8(np.int32(code) + _MIDDLE)
            total += abs(code)
        steps[row] = largest / np.float32(_LARGEST)
        sums[row] = total * steps[row]


_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_ROWS = types.int64[::1]


@njit(
    types.int64(
        types.Array(types.uint8, 2, "C", readonly=True),
        _FLOATS,
        _FLOATS,
        _VECTORS,
        _FLOATS,
        types.float64,
        types.int64,
        _BYTES,
        _ROWS,
        _ROWS,
    ),
    cache=True,
    nogil=True,
)
def _reaching(  # type: ignore[no-untyped-def]
    codes, steps, sums, queries, floors, margin, num_rows, allowed, rows, offsets
):
    """Writes what `reaching` returns; returns how many rows there are, also where they do not fit."""
    stride, dim, total = codes.shape[1], queries.shape[1], 0
    flat = codes.reshape(-1)
    coded = np.zeros(stride, dtype=np.int8)
    for query in range(queries.shape[0]):
        largest, length, square = np.float32(0), np.float32(0), 0.0
        for d in range(dim):
            value = abs(queries[query, d])
            largest, length, square = max(largest, value), length + value, square + np.float64(value) * value
        step, middle = largest / np.float32(_LARGEST), np.int32(0)
        for d in range(dim):
            coded[d] = np.int8(np.rint(queries[query, d] / step)) if step > 0 else 0
            middle += _MIDDLE * np.int32(coded[d])
        half_step, half_length = step / 2 * np.float32(1 + _SLACK), length / 2 * np.float32(1 + _SLACK)
        floor = floors[query] - margin * np.sqrt(square)
        for row in range(num_rows):
            product = -middle
            for start in range(0, stride, LINE):
                product += byte_product(flat, row * stride + start, coded, start)
            most = np.float32(product) * steps[row] * step + sums[row] * half_step + steps[row] * half_length
            if most >= floor and allowed[row >> 3] >> (row & 7) & 1:
                if total < rows.size:
                    rows[total] = row
                total += 1
        offsets[query + 1] = total
    return total
