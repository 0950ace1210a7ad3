"""Compiled loops of `index.lsh`: hashing, choosing buckets, linking rows into buckets and collecting them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import FloatArray, RowArray

IntArray: TypeAlias = NDArray[np.int32]

_VECTORS = types.Array(types.float32, 2, "C", readonly=True)
_PLANES = types.Array(types.float32, 3, "C", readonly=True)
_CODES = types.Array(types.int32, 2, "C", readonly=True)
_OUT_CODES = types.Array(types.int32, 2, "C")
_OUT_BUCKETS = types.Array(types.int32, 3, "C")
_OUT_MARGINS = types.Array(types.float32, 3, "C")
_OUT_SEEN = types.Array(types.uint8, 1, "C")
_OUT_ROWS = types.Array(types.int64, 1, "C")


def hash_vectors(vectors: FloatArray, planes: FloatArray) -> tuple[IntArray, FloatArray]:
    """Returns codes, [n, tables] int32, and signed distances to the planes, [n, tables, bits] float32.

    Args:
        vectors: [n, dim] float32, C-contiguous.
        planes: [tables, bits, dim] float32; bit b of a code is set where the vector is on the positive side.
    """
    codes = np.empty((vectors.shape[0], planes.shape[0]), dtype=np.int32)
    margins = np.empty((vectors.shape[0], *planes.shape[:2]), dtype=np.float32)
    _hash(vectors, planes, codes, margins)
    return codes, margins


def probed_buckets(codes: IntArray, margins: FloatArray, probes: int) -> IntArray:
    """Returns the buckets to try for each query and table, likeliest first, [n, tables, probes] int32.

    Args:
        codes: [n, tables] int32, the queries' own buckets.
        margins: [n, tables, bits] float32, distances to the planes.
        probes: At least 1, at most 2^bits.
    """
    buckets = np.empty((*codes.shape, probes), dtype=np.int32)
    _probe(codes, margins, buckets)
    return buckets


# Eager signatures: one compilation each, loaded from the cache afterwards. The sum of a hash has one order, fixed when
# compiled, so a vector always gets the same code.
@njit(
    types.void(_VECTORS, _PLANES, _OUT_CODES, _OUT_MARGINS),
    cache=True,
    nogil=True,
    fastmath={"reassoc", "contract", "nsz"},
)
def _hash(vectors: FloatArray, planes: FloatArray, codes: IntArray, margins: FloatArray) -> None:
    for i in range(vectors.shape[0]):
        for table in range(planes.shape[0]):
            code = 0
            for bit in range(planes.shape[1]):
                total = np.float32(0)
                for d in range(vectors.shape[1]):
                    total += planes[table, bit, d] * vectors[i, d]
                margins[i, table, bit] = total
                if total >= 0:
                    code |= 1 << bit
            codes[i, table] = code


@njit(types.void(_CODES, _PLANES, _OUT_BUCKETS), cache=True, nogil=True)
def _probe(codes: IntArray, margins: FloatArray, buckets: IntArray) -> None:
    # A set of flips is a bit mask over the planes sorted by distance. From a set with greatest member j come two that
    # cost no less: shift (j becomes j + 1) and expand (j + 1 joins). Each set comes up once, in order of cost.
    num_bits, probes = margins.shape[2], buckets.shape[2]
    flips = np.empty(2 * probes + 1, dtype=np.int64)
    greatest = np.empty(2 * probes + 1, dtype=np.int64)
    costs = np.empty(2 * probes + 1, dtype=np.float64)
    for i in range(codes.shape[0]):
        for table in range(codes.shape[1]):
            squares = margins[i, table].astype(np.float64) ** 2
            order = np.argsort(squares)
            buckets[i, table, 0] = codes[i, table]
            flips[0], greatest[0], costs[0], size = 1, 0, squares[order[0]], 1
            for probe in range(1, probes):
                least = 0
                for j in range(1, size):
                    if costs[j] < costs[least]:
                        least = j
                flip, last, cost = flips[least], greatest[least], costs[least]
                code = codes[i, table]
                for j in range(last + 1):
                    if flip >> j & 1:
                        code ^= 1 << order[j]
                buckets[i, table, probe] = code
                if last + 1 < num_bits:
                    expanded = cost + squares[order[last + 1]]
                    shifted = expanded - squares[order[last]]
                    flips[least], greatest[least], costs[least] = flip ^ (3 << last), last + 1, shifted
                    flips[size], greatest[size], costs[size] = flip | (2 << last), last + 1, expanded
                    size += 1
                else:
                    costs[least] = np.inf


@njit(types.void(_CODES, types.int64, _OUT_CODES, _OUT_CODES), cache=True)
def link(codes: IntArray, first_row: int, heads: IntArray, following: IntArray) -> None:
    """Puts the rows of `codes`, from `first_row` on, at the front of their buckets; see `index.lsh` for the lists."""
    for i in range(codes.shape[0]):
        for table in range(codes.shape[1]):
            following[table, first_row + i] = heads[table, codes[i, table]]
            heads[table, codes[i, table]] = first_row + i


@njit(types.int64(_CODES, _CODES, _CODES, _OUT_SEEN, _OUT_ROWS), cache=True)
def collect(buckets: IntArray, heads: IntArray, following: IntArray, seen: NDArray[np.uint8], rows: RowArray) -> int:
    """Writes the distinct rows of one query's buckets to the front of `rows` and returns how many they are.

    Args:
        buckets: [tables, probes] int32.
        heads: [tables, 2^bits] int32.
        following: [tables, capacity] int32.
        seen: [num_rows] uint8, all zero; zero again afterwards. Rows from `num_rows` on are stepped over.
        rows: [num_rows] int64.
    """
    count = 0
    for table in range(buckets.shape[0]):
        for probe in range(buckets.shape[1]):
            row = heads[table, buckets[table, probe]]
            while row >= 0:
                if row < seen.size and not seen[row]:
                    seen[row] = 1
                    rows[count] = row
                    count += 1
                row = following[table, row]
    for slot in range(count):
        seen[rows[slot]] = 0
    return count
