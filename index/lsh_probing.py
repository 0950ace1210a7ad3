"""Which buckets a query tries: those likeliest to hold its neighbors first, over all tables together.

Query-directed probing after Lv, Josephson, Wang, Charikar and Li, Multi-Probe LSH, 2007, section 4.4. What a query
might change in the key of a table (a plane crossed, a neighboring slot, another coordinate) is a list of perturbations
in order of their cost; a set of them costs their sum. Sets come from a heap: from a set whose last member is j come
two that cost no less, one with j + 1 in place of j (shift) and one with j + 1 added (expand), so each set comes up once
and in order. Two members that change the same function are no bucket; such a j + 1 is passed over.

Where we differ: one heap holds the sets of all tables, so a table in which the query lies near many borders is tried
more often than one in which it lies in the middle of its bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import FloatArray, RowArray

_KEYS = types.Array(types.uint32, 2, "C", readonly=True)
_SIZES = types.Array(types.int32, 2, "C", readonly=True)
_COSTS = types.Array(types.float32, 3, "C", readonly=True)
_DELTAS = types.Array(types.uint32, 3, "C", readonly=True)
_FUNCTIONS = types.Array(types.uint8, 3, "C", readonly=True)
_TABLE_FUNCTIONS = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_SLOTS = types.int64[:, ::1]
_OUT_COUNTS = types.int64[::1]
_HEAP_COSTS = types.float32[::1]
_HEAP_NODES = types.int32[::1]


@dataclass(frozen=True, slots=True)
class Perturbations:
    """The keys of queries and how they may be changed.

    Attributes:
        keys: [num_queries, tables] uint32.
        sizes: [num_queries, tables] int32, how many perturbations are listed.
        costs: [num_queries, tables, most] float32, ascending, above 0.
        deltas: Likewise, uint32: what is added to the key, modulo 2^32.
        functions: Likewise, uint8 below 64: which function of the table is changed.
    """

    keys: NDArray[np.uint32]
    sizes: NDArray[np.int32]
    costs: FloatArray
    deltas: NDArray[np.uint32]
    functions: NDArray[np.uint8]

    @classmethod
    def blank(cls, num_queries: int, tables: int, most: int) -> Perturbations:
        """Returns room for up to `most` perturbations a table."""
        shape = (num_queries, tables, most)
        return cls(
            np.empty(shape[:2], dtype=np.uint32),
            np.empty(shape[:2], dtype=np.int32),
            np.empty(shape, dtype=np.float32),
            np.empty(shape, dtype=np.uint32),
            np.empty(shape, dtype=np.uint8),
        )


def probed_slots(perturbations: Perturbations, probes: int, *, factor: int, bits: int) -> tuple[RowArray, RowArray]:
    """Returns the buckets to try, likeliest first: those of the queries themselves, then by cost.

    Args:
        perturbations: Of some queries.
        probes: Buckets wanted a query over all tables; each table's own is tried in any case.
        factor: Odd 32-bit number that a key is multiplied with before its highest `bits` bits name the bucket; 1 means
            that keys are buckets.
        bits: Binary logarithm of the number of buckets of a table.

    Returns:
        [num_queries, max(probes, tables)] int64, `table << bits | bucket`, and how many of them are used, [num_queries]
        int64.
    """
    keys = perturbations.keys
    slots = np.empty((keys.shape[0], max(probes, keys.shape[1])), dtype=np.int64)
    counts = np.empty(keys.shape[0], dtype=np.int64)
    p = perturbations
    _probe(keys, p.sizes, p.costs, p.deltas, p.functions, factor, bits, slots, counts)
    return slots, counts


@njit(types.int64(types.uint32, types.int64, types.int64, types.int64), nogil=True, cache=True)
def _slot(key, table, factor, bits):  # type: ignore[no-untyped-def]
    bucket = np.int64(key)
    if factor != 1:
        bucket = ((bucket * factor) & 0xFFFFFFFF) >> (32 - bits)
    return (table << bits) | bucket


@njit(types.void(_HEAP_COSTS, _HEAP_NODES, types.int64, types.float32, types.int64), nogil=True, cache=True)
def _push(costs: FloatArray, nodes: NDArray[np.int32], size: int, cost: float, node: int) -> None:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if costs[parent] <= cost:
            break
        costs[place], nodes[place] = costs[parent], nodes[parent]
        place = parent
    costs[place], nodes[place] = cost, node


@njit(types.void(_HEAP_COSTS, _HEAP_NODES, types.int64, types.float32, types.int64), nogil=True, cache=True)
def _replace_least(costs: FloatArray, nodes: NDArray[np.int32], size: int, cost: float, node: int) -> None:
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and costs[child + 1] < costs[child]:
            child += 1
        if cost <= costs[child]:
            break
        costs[place], nodes[place] = costs[child], nodes[child]
        place = child
    costs[place], nodes[place] = cost, node


@njit(types.int64(_TABLE_FUNCTIONS, types.int64, types.int64, types.int64), nogil=True, cache=True)
def _fitting(functions, size, member, changed):  # type: ignore[no-untyped-def]
    # The first member from `member` on that changes another function than those changed already, else `size`.
    while member < size and changed >> functions[member] & 1:
        member += 1
    return member


@njit(
    types.void(_KEYS, _SIZES, _COSTS, _DELTAS, _FUNCTIONS, types.int64, types.int64, _OUT_SLOTS, _OUT_COUNTS),
    nogil=True,
    cache=True,
)
def _probe(keys, sizes, costs, deltas, functions, factor, bits, slots, counts):  # type: ignore[no-untyped-def]
    # A node is a set without its last member (its cost, key and functions), the last member and the table.
    tables, probes = keys.shape[1], slots.shape[1]
    base_cost = np.empty(2 * probes + tables, dtype=np.float32)
    base_key = np.empty(2 * probes + tables, dtype=np.uint32)
    changed = np.empty(2 * probes + tables, dtype=np.int64)
    last = np.empty(2 * probes + tables, dtype=np.int32)
    of_table = np.empty(2 * probes + tables, dtype=np.int32)
    heap_costs = np.empty(2 * probes + tables, dtype=np.float32)
    heap_nodes = np.empty(2 * probes + tables, dtype=np.int32)
    for i in range(keys.shape[0]):
        size, num_nodes, count = 0, tables, tables
        for table in range(tables):
            slots[i, table] = _slot(keys[i, table], table, factor, bits)
            base_cost[table], base_key[table], changed[table] = 0, keys[i, table], 0
            last[table], of_table[table] = 0, table
            if sizes[i, table]:
                _push(heap_costs, heap_nodes, size, costs[i, table, 0], table)
                size += 1
        while count < probes and size:
            node = heap_nodes[0]
            table, member = of_table[node], last[node]
            key = np.uint32(base_key[node] + deltas[i, table, member])
            cost = base_cost[node] + costs[i, table, member]
            taken = changed[node] | np.int64(1) << functions[i, table, member]
            slots[i, count] = _slot(key, table, factor, bits)
            count += 1
            shifted = _fitting(functions[i, table], sizes[i, table], member + 1, changed[node])
            if shifted < sizes[i, table]:
                last[node] = shifted
                _replace_least(heap_costs, heap_nodes, size, base_cost[node] + costs[i, table, shifted], node)
            else:
                size -= 1
                _replace_least(heap_costs, heap_nodes, size, heap_costs[size], heap_nodes[size])
            expanded = _fitting(functions[i, table], sizes[i, table], member + 1, taken)
            if expanded < sizes[i, table]:
                base_cost[num_nodes], base_key[num_nodes], changed[num_nodes] = cost, key, taken
                last[num_nodes], of_table[num_nodes] = expanded, table
                _push(heap_costs, heap_nodes, size, cost + costs[i, table, expanded], num_nodes)
                num_nodes += 1
                size += 1
        counts[i] = count
