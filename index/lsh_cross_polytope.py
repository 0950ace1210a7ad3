"""Compiled loops of cross-polytope hashing: pseudo-random rotations, the hash of a row and what a query probes.

Andoni, Indyk, Laarhoven, Razenshteyn and Schmidt, Practical and optimal LSH for angular distance, 2015: a hash is the
largest coordinate, with its sign, of a randomly rotated vector (section 3); three rounds of random signs and the fast
Hadamard transform stand for the rotation, vectors of other lengths are padded with zeros, and the last function of a
table may look at the first few coordinates only, so that tables of any size can be made (section 4).

Functions are computed 16 at a time, side by side: function j of table t is number t * K + j, and lane l of group g is
function 16 g + l. Transforms are not scaled: within one query only the order of magnitudes counts.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.lsh_instructions import (
    LANES,
    bit_count,
    butterflies,
    butterfly,
    keep_largest,
    lanes_within,
    lowest_bit,
    multiply,
)
from index.protocols import FloatArray

KeyArray: TypeAlias = NDArray[np.uint32]

_VECTOR = types.Array(types.float32, 1, "C", readonly=True)
_VECTORS = types.Array(types.float32, 2, "C", readonly=True)
_TURNS = types.Array(types.float32, 2, "C", readonly=True)
_SIGNS = types.Array(types.float32, 3, "C", readonly=True)
_STRIDES = types.Array(types.uint32, 1, "C", readonly=True)
_FLOATS = types.float32[::1]
_PLACES = types.int32[::1]
_OUT_KEYS = types.uint32[:, ::1]
_OUT_SIZES = types.int32[:, ::1]
_OUT_COSTS = types.float32[:, :, ::1]
_OUT_DELTAS = types.uint32[:, :, ::1]
_OUT_FUNCTIONS = types.uint8[:, :, ::1]
_COSTS = types.float32[:, ::1]
_DELTAS = types.uint32[:, ::1]
_FUNCTIONS = types.uint8[:, ::1]
_BISECTIONS = 12


@njit(types.void(_FLOATS), nogil=True, cache=True)
def hadamard(lanes: FloatArray) -> None:
    """Transforms each lane of [dim * 16] float32, dim a power of two, in place."""
    dim, half = lanes.shape[0] // LANES, 1
    while 4 * half <= dim:
        for first in range(0, dim, 4 * half):
            for place in range(first, first + half):
                butterflies(lanes, place * LANES, half * LANES)
        half *= 4
    if half < dim:
        for place in range(half):
            butterfly(lanes, place * LANES, half * LANES)


@njit(types.void(_VECTOR, _TURNS, _FLOATS, _FLOATS, _PLACES), nogil=True, cache=True)
def _rotate(
    vector: FloatArray,
    signs: FloatArray,
    lanes: FloatArray,
    tops: FloatArray,
    places: NDArray[np.int32],
) -> None:
    # Rotates one vector 16 ways and notes the largest coordinate of each, as 2 d, or 2 d + 1 where it is negative.
    dim = lanes.shape[0] // LANES
    for d in range(dim):
        value = vector[d] if d < vector.shape[0] else np.float32(0)
        for lane in range(LANES):
            lanes[d * LANES + lane] = value
    for turn in range(signs.shape[0]):
        for d in range(dim):
            multiply(lanes, signs[turn], d * LANES)
        if turn + 1 < signs.shape[0]:
            hadamard(lanes)
    for lane in range(LANES):
        tops[lane] = -1
        places[lane] = 0
    for d in range(dim):
        keep_largest(lanes, d, tops, places)


@njit(types.void(types.int32[:, ::1], _STRIDES, types.uint32[::1]), nogil=True, cache=True)
def _join(places: NDArray[np.int32], strides: KeyArray, keys: KeyArray) -> None:
    flat, function = places.reshape(-1), 0
    for table in range(keys.shape[0]):
        key = np.uint32(0)
        for j in range(strides.shape[0]):
            key += np.uint32(flat[function]) * strides[j]
            function += 1
        keys[table] = key


@njit(types.void(_VECTORS, _SIGNS, _STRIDES, _OUT_KEYS), nogil=True, cache=True)
def hash_rows(vectors: FloatArray, signs: FloatArray, strides: KeyArray, keys: KeyArray) -> None:
    """Writes the key of each vector in each table.

    Args:
        vectors: [n, dim] float32.
        signs: [groups, 4, padded dim * 16] float32: +1 and -1 for three rounds, then 1 for the coordinates that a
            function looks at and NaN for others.
        strides: [K] uint32, what the functions of a table are multiplied with in its key.
        keys: [n, tables] uint32.
    """
    lanes = np.empty(signs.shape[2], dtype=np.float32)
    tops = np.empty(LANES, dtype=np.float32)
    places = np.empty((signs.shape[0], LANES), dtype=np.int32)
    for i in range(vectors.shape[0]):
        for group in range(signs.shape[0]):
            _rotate(vectors[i], signs[group], lanes, tops, places[group])
        _join(places, strides, keys[i])


@njit(types.float32(types.float32[:, ::1], types.float32[:, ::1], types.int64), nogil=True, cache=True)
def _reach(lanes, tops, wanted):  # type: ignore[no-untyped-def]
    # The gap below which there are at least `wanted` coordinates (or all of them), and not many more.
    dim = lanes.shape[1] // LANES
    low, high = np.float32(0), np.float32(0)
    for group in range(tops.shape[0]):
        for lane in range(LANES):
            high = max(high, tops[group, lane])
    high *= np.float32(1.0001)
    middle = np.float32(0.25) * high
    for _ in range(_BISECTIONS):
        count = 0
        for group in range(tops.shape[0]):
            for d in range(dim):
                count += bit_count(lanes_within(lanes[group], d, tops[group], middle))
        if count < wanted:
            low = middle
        else:
            high = middle
            if count <= wanted + wanted // 4:
                break
        middle = np.float32(0.5) * (low + high)
    return high


@njit(
    types.void(_COSTS, _DELTAS, _FUNCTIONS, _PLACES, types.int64, types.float32, types.uint32, types.uint8),
    nogil=True,
    cache=True,
)
def _insert(costs, deltas, functions, sizes, table, cost, delta, function):  # type: ignore[no-untyped-def]
    size = sizes[table]
    if size == costs.shape[1]:
        if cost >= costs[table, size - 1]:
            return
        size -= 1
    place = size
    while place > 0 and costs[table, place - 1] > cost:
        costs[table, place] = costs[table, place - 1]
        deltas[table, place] = deltas[table, place - 1]
        functions[table, place] = functions[table, place - 1]
        place -= 1
    costs[table, place], deltas[table, place], functions[table, place] = cost, delta, function
    sizes[table] = size + 1


@njit(
    types.void(_VECTORS, _SIGNS, _STRIDES, types.int64, _OUT_KEYS, _OUT_SIZES, _OUT_COSTS, _OUT_DELTAS, _OUT_FUNCTIONS),
    nogil=True,
    cache=True,
)
def hash_queries(  # type: ignore[no-untyped-def]
    queries, signs, strides, wanted, keys, sizes, costs, deltas, functions
):
    """Writes the keys of queries and how they may be changed; see `index.lsh_probing.Perturbations` for the last five.

    A perturbation takes another coordinate for the largest; it costs the square of the gap between the two. For a
    neighbor, whose rotated coordinates are those of the query plus noise, the likelihood falls with about that square.

    Args:
        queries: [num_queries, dim] float32.
        signs: As for `hash_rows`, like strides.
        strides: Likewise.
        wanted: The cheapest perturbations that are needed over all tables; a few more may be listed.
        keys: Written, like the others below.
        sizes: Written.
        costs: Written.
        deltas: Written.
        functions: Written.
    """
    groups, dim, num_functions = signs.shape[0], signs.shape[2] // LANES, strides.shape[0]
    lanes = np.empty((groups, signs.shape[2]), dtype=np.float32)
    tops = np.empty((groups, LANES), dtype=np.float32)
    places = np.empty((groups, LANES), dtype=np.int32)
    for i in range(queries.shape[0]):
        sizes[i] = 0
        for group in range(groups):
            _rotate(queries[i], signs[group], lanes[group], tops[group], places[group])
        _join(places, strides, keys[i])
        reach = _reach(lanes, tops, wanted + keys.shape[1] * num_functions)
        for group in range(groups):
            for d in range(dim):
                bits = lanes_within(lanes[group], d, tops[group], reach)
                while bits:
                    lane = lowest_bit(bits)
                    bits &= bits - 1
                    value = lanes[group, d * LANES + lane]
                    place = 2 * d + (1 if value < 0 else 0)
                    if place == places[group, lane]:
                        continue
                    function = group * LANES + lane
                    table, j = function // num_functions, function % num_functions
                    gap = tops[group, lane] - abs(value)
                    delta = np.uint32(np.uint32(place - places[group, lane]) * strides[j])
                    _insert(costs[i], deltas[i], functions[i], sizes[i], table, gap * gap, delta, np.uint8(j))
