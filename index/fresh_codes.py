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
from index.simd import LINE, aligned_zeros

_LARGEST, _MIDDLE = 127, 128
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


def reaching(codes: Codes, query: FloatArray, floor: float, *, allowed: RowBitmap, num_rows: int) -> RowArray:
    """Returns every allowed row that may score at least the floor, and few others, ascending int64.

    Args:
        codes: Of the rows.
        query: [dim] float32, finite.
        floor: Finite; less than what is wanted by as much as products of float32 may be off.
        allowed: Rows that may be returned.
        num_rows: Rows from here on do not exist.
    """
    rows = np.empty(num_rows, dtype=np.int64)
    return rows[: _reaching(codes.codes, codes.steps, codes.sums, query, floor, allowed, rows)]


def _blank(capacity: int, dim: int) -> Codes:
    return Codes(
        aligned_zeros(capacity, -(-dim // LINE) * LINE),
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


@njit(
    types.int64(
        types.Array(types.uint8, 2, "C", readonly=True),
        _FLOATS,
        _FLOATS,
        _FLOATS,
        types.float64,
        _BYTES,
        types.int64[::1],
    ),
    cache=True,
    nogil=True,
)
def _reaching(codes, steps, sums, query, floor, allowed, rows):  # type: ignore[no-untyped-def]
    stride, count = codes.shape[1], 0
    largest, length = np.float32(0), np.float32(0)
    for d in range(query.size):
        largest = max(largest, abs(query[d]))
        length += abs(query[d])
    coded = np.zeros(stride, dtype=np.int8)
    step, middle = largest / np.float32(_LARGEST), np.int32(0)
    for d in range(query.size):
        coded[d] = np.int8(np.rint(query[d] / step)) if step > 0 else 0
        middle += _MIDDLE * np.int32(coded[d])
    flat = codes.reshape(-1)
    half_step, half_length = step / 2 * np.float32(1 + _SLACK), length / 2 * np.float32(1 + _SLACK)
    for row in range(rows.size):
        total = -middle
        for start in range(0, stride, LINE):
            total += byte_product(flat, row * stride + start, coded, start)
        most = np.float32(total) * steps[row] * step + sums[row] * half_step + steps[row] * half_length
        if most >= floor and allowed[row >> 3] >> (row & 7) & 1:
            rows[count] = row
            count += 1
    return count
