"""Compiled search of `index.byte_lists`: the nearest centroids, then the codes of their lists, for many queries.

Centroids are first ranked by codes of a byte a value, the best of them again by their floats. A row of a list scores
the product of the query with the centroid, exact, and with what the row is off from it, by codes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from index.byte_scoring import coded_product, encode, njit_uncounted, product
from index.ordering import descending_bits, score_of
from index.protocols import FloatArray, RowArray, RowBitmap
from index.simd import prefetch

_Int: TypeAlias = int | np.int64
_Float: TypeAlias = float | np.float32
_Codes: TypeAlias = NDArray[np.uint8]
_Entries: TypeAlias = NDArray[np.int64]
_LOWER = np.int64(2**32 - 1)
_AHEAD = 8
"""Rows whose codes are asked for in advance."""
_ZERO = np.float32(128)
"""Code of a row that is its centroid."""
_SORTED = 64
"""Lists that are read nearest first; of more, the order gains less than sorting takes."""


@njit_uncounted()
def _select(entries: _Entries, size: _Int, wanted: _Int) -> None:
    """Moves the `wanted` least of the first `size` entries to the front, in no order (quickselect)."""
    low, high = np.int64(0), np.int64(size - 1)
    while low < high:
        pivot = entries[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while entries[left] < pivot:
                left += 1
            while entries[right] > pivot:
                right -= 1
            if left <= right:
                entries[left], entries[right] = entries[right], entries[left]
                left += 1
                right -= 1
        if wanted - 1 <= right:
            high = right
        elif wanted - 1 >= left:
            low = left
        else:
            return


@njit_uncounted()
def _sort(entries: _Entries, size: _Int) -> None:
    """Sorts the first `size` entries, which are few."""
    for place in range(1, size):
        entry, hole = entries[place], place
        while hole > 0 and entries[hole - 1] > entry:
            entries[hole] = entries[hole - 1]
            hole -= 1
        entries[hole] = entry


@njit_uncounted()
def _nearest(
    queries: FloatArray,
    query: _Int,
    centroids: FloatArray,
    codes: _Codes,
    probes: _Int,
    code: NDArray[np.int8],
    entries: _Entries,
) -> None:
    """Writes the `probes` nearest lists, nearest first, each below the bits of its score."""
    size = np.int64(centroids.shape[0])
    for number in range(size):
        entries[number] = (-coded_product(codes, number, code) << np.int64(32)) | number
    near = min(size, probes + (probes >> np.int64(1)) + 8)
    if near < size:
        _select(entries, size, near)
    for place in range(near):
        number = entries[place] & _LOWER
        entries[place] = (descending_bits(product(queries, query, centroids, number)) << np.int64(32)) | number
    if probes < near:
        _select(entries, near, probes)
    if probes <= _SORTED:
        _sort(entries, probes)


@njit_uncounted()
def _scan(lists: Any, read: Any, query: Any, allowed: RowBitmap, kept: Any) -> _Int:
    """Puts the best allowed rows of the lists read to the front of the pool; returns how many, at most those wanted."""
    (offsets, rows, codes, scales), (near, probes), (code, factor), (pool, wanted) = lists, read, query, kept
    size, stride = np.int64(0), codes.shape[1]
    zero = np.float32(0)
    cut: _Float = np.float32(-np.inf)
    for d in range(code.size):
        zero += _ZERO * np.float32(code[d])
    for place in range(probes):
        number = near[place] & _LOWER
        worth = factor * scales[number]
        base = score_of(near[place]) - worth * zero
        for slot in range(offsets[number], offsets[number + 1]):
            prefetch(codes, (slot + _AHEAD) * stride)
            score = base + worth * np.float32(coded_product(codes, slot, code))
            row = np.int64(rows[slot])
            if score < cut or (allowed.size > 0 and not allowed[row >> 3] >> (row & 7) & 1):
                continue
            pool[size] = (descending_bits(score) << np.int64(32)) | row
            size += 1
            if size == pool.size:
                _select(pool, size, wanted)
                size, cut = np.int64(wanted), score_of(pool[wanted - 1])
    if size > wanted:
        _select(pool, size, wanted)
    number_kept: _Int = min(size, wanted)
    return number_kept


def _readonly(kind: Any, num_axes: int) -> types.Array:
    return types.Array(kind, num_axes, "C", readonly=True)


_FLOATS, _BYTES = _readonly(types.float32, 2), _readonly(types.uint8, 2)
_STEPS = _readonly(types.float32, 1)


@njit_uncounted(
    types.void(
        _FLOATS,
        _FLOATS,
        _BYTES,
        _STEPS,
        _readonly(types.int64, 1),
        _readonly(types.int32, 1),
        _BYTES,
        _STEPS,
        _STEPS,
        _readonly(types.uint8, 1),
        types.int64,
        types.int8[::1],
        types.int64[::1],
        types.int64[::1],
        types.int64[:, ::1],
    ),
    cache=True,
)
def probe(
    queries: FloatArray,
    centroids: FloatArray,
    coarse: _Codes,
    coarse_steps: FloatArray,
    offsets: RowArray,
    rows: NDArray[np.int32],
    codes: _Codes,
    steps: FloatArray,
    scales: FloatArray,
    allowed: RowBitmap,
    probes: int,
    code: NDArray[np.int8],
    near: _Entries,
    pool: _Entries,
    found: RowArray,
) -> None:
    """Writes the rows that look best by codes, in no order, -1 where lists hold too few.

    Args:
        queries: [num_queries, dim] float32.
        centroids: [lists, dim] float32.
        coarse: [lists, stride] uint8, codes of the centroids.
        coarse_steps: [dim] float32, what a step of these is worth in each dimension.
        offsets: [lists + 1] int64, where the rows of each list begin.
        rows: [n] int32, the rows of one list after the other.
        codes: [n, stride] uint8, theirs.
        steps: [dim] float32, what a step of these is worth in each dimension.
        scales: [lists] float32, what of that it is worth in each list.
        allowed: Rows that may be found; empty allows every row.
        probes: Lists read of each query, at most all.
        code: Scratch, [stride] int8, 0 from dim on.
        near: Scratch, [lists] int64.
        pool: Scratch, int64, more than there are columns in `found`.
        found: [num_queries, wanted] int64.
    """
    wanted = found.shape[1]
    for query in range(queries.shape[0]):
        encode(queries[query], coarse_steps, code)
        _nearest(queries, query, centroids, coarse, probes, code, near)
        factor = encode(queries[query], steps, code)
        size = _scan((offsets, rows, codes, scales), (near, probes), (code, factor), allowed, (pool, wanted))
        for place in range(wanted):
            found[query, place] = pool[place] & _LOWER if place < size else np.int64(-1)
