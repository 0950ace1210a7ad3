"""Compiled loops of the families that project on random directions: hyperplane and p-stable hashes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

_VECTOR = types.Array(types.float32, 1, "C", readonly=True)
_VECTORS = types.Array(types.float32, 2, "C", readonly=True)
_DIRECTIONS = types.Array(types.float32, 3, "C", readonly=True)
_SHIFTS = types.Array(types.float32, 2, "C", readonly=True)
_FACTORS = types.Array(types.uint32, 1, "C", readonly=True)
_OUT_KEYS = types.uint32[:, ::1]
_OUT_SIZES = types.int32[:, ::1]
_OUT_COSTS = types.float32[:, :, ::1]
_OUT_DELTAS = types.uint32[:, :, ::1]
_OUT_FUNCTIONS = types.uint8[:, :, ::1]
_WRITTEN = (_OUT_KEYS, _OUT_SIZES, _OUT_COSTS, _OUT_DELTAS, _OUT_FUNCTIONS)


# The sum has one order, fixed when compiled, so a vector always gets the same key.
@njit(types.float32(_VECTOR, _VECTOR), nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _product(vector, direction):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for d in range(vector.shape[0]):
        total += vector[d] * direction[d]
    return total


@njit(
    types.void(types.float32[::1], types.uint32[::1], types.uint8[::1], types.int64, types.float32, types.uint32),
    nogil=True,
    cache=True,
)
def _insert(costs, deltas, functions, size, cost, delta):  # type: ignore[no-untyped-def]
    # The function of the new perturbation already stands in `functions[size]`.
    function, place = functions[size], size
    while place > 0 and costs[place - 1] > cost:
        costs[place], deltas[place], functions[place] = costs[place - 1], deltas[place - 1], functions[place - 1]
        place -= 1
    costs[place], deltas[place], functions[place] = cost, delta, function


@njit(types.void(_VECTORS, _DIRECTIONS, *_WRITTEN), nogil=True, cache=True)
def hash_by_planes(vectors, planes, keys, sizes, costs, deltas, functions):  # type: ignore[no-untyped-def]
    """Writes on which side of the planes each vector lies, and what it costs to cross them.

    Args:
        vectors: [n, dim] float32.
        planes: [tables, K, dim] float32; bit b of a key is set where the vector is on the positive side of plane b.
        keys: [n, tables] uint32; see `index.lsh_probing.Perturbations` for this and the rest. A cost is the squared
            distance to the plane. With no room in `costs` ([n, tables, 0]) only keys are written.
        sizes: Written.
        costs: Written.
        deltas: Written.
        functions: Written.
    """
    for i in range(vectors.shape[0]):
        for table in range(planes.shape[0]):
            key = np.uint32(0)
            for j in range(planes.shape[1]):
                margin = _product(vectors[i], planes[table, j])
                bit = np.uint32(1 << j)
                if margin >= 0:
                    key |= bit
                if costs.shape[2]:
                    functions[i, table, j] = j
                    delta = np.uint32(-np.int64(bit)) if margin >= 0 else bit
                    _insert(costs[i, table], deltas[i, table], functions[i, table], j, margin * margin, delta)
            keys[i, table] = key
            sizes[i, table] = min(planes.shape[1], costs.shape[2])


@njit(types.void(_VECTORS, _DIRECTIONS, _SHIFTS, _FACTORS, *_WRITTEN), nogil=True, cache=True)
def hash_by_slots(vectors, directions, shifts, factors, keys, sizes, costs, deltas, functions):  # type: ignore[no-untyped-def]
    """Writes in which slots of the directions each vector lies, and what it costs to go to the neighboring ones.

    Args:
        vectors: [n, dim] float32.
        directions: [tables, K, dim] float32, normal, divided by the width of a slot.
        shifts: [tables, K] float32 in [0, 1), in widths.
        factors: [K] uint32, odd: a key is the sum of slot numbers times these, modulo 2^32.
        keys: [n, tables] uint32; see `index.lsh_probing.Perturbations` for this and the rest. A cost is the squared
            distance to the border, in widths. With no room in `costs` ([n, tables, 0]) only keys are written.
        sizes: Written.
        costs: Written.
        deltas: Written.
        functions: Written.
    """
    for i in range(vectors.shape[0]):
        for table in range(directions.shape[0]):
            key = np.uint32(0)
            for j in range(directions.shape[1]):
                place = _product(vectors[i], directions[table, j]) + shifts[table, j]
                slot = math.floor(place)
                key += np.uint32(np.int64(slot)) * factors[j]
                if costs.shape[2]:
                    above = np.float32(place - slot)
                    below = np.float32(1) - above
                    lower = np.uint32(-np.int64(factors[j]))
                    functions[i, table, 2 * j] = j
                    _insert(costs[i, table], deltas[i, table], functions[i, table], 2 * j, above * above, lower)
                    functions[i, table, 2 * j + 1] = j
                    _insert(
                        costs[i, table], deltas[i, table], functions[i, table], 2 * j + 1, below * below, factors[j]
                    )
            keys[i, table] = key
            sizes[i, table] = min(2 * directions.shape[1], costs.shape[2])
