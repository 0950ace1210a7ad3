"""Compiled loops that turn buckets into the rows to be scored: counting collisions, ranking by quantised vectors.

A row that lies in at least `min_hits` of the buckets tried is a candidate (collision counting, Gan, Feng, Fang and Ng,
Locality-sensitive hashing scheme based on dynamic collision counting, 2012, here over fixed tables). Candidates are
ranked by the inner product of query and row as int8 values, and the best `rerank` are handed on to be scored exactly.
What is handed on depends on the rows alone, not on where in the tables they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.lsh_instructions import byte_products, load_acquire, rising_bits
from index.lsh_quantised import LARGEST
from index.protocols import FloatArray, RowArray, RowBitmap
from index.simd import LINE, prefetch


class Memory(NamedTuple):
    """The arrays that a search reads, and the room it works in.

    Attributes:
        offsets: As in `index.lsh_tables.Tables`, flat, like entries and heads.
        entries: Likewise.
        heads: Likewise.
        following: As there, [capacity - num_packed, tables].
        rows: As in `index.lsh_quantised.Quantised`, flat.
        scales: As there.
        hits: [at least num_rows] uint8, zero before and after a search.
        found: [at least num_rows] int32.
        keys: [at least num_rows] uint64.
    """

    offsets: NDArray[np.int32]
    entries: NDArray[np.int32]
    heads: NDArray[np.int32]
    following: NDArray[np.int32]
    rows: NDArray[np.int8]
    scales: FloatArray
    hits: NDArray[np.uint8]
    found: NDArray[np.int32]
    keys: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which rows are candidates, and how many are handed on.

    Attributes:
        num_rows: Rows from here on do not exist.
        allowed: Rows that may be handed on; None allows every row.
        min_hits: Buckets that a candidate must lie in.
        rerank: At most so many are handed on.
    """

    num_rows: int
    allowed: RowBitmap | None
    min_hits: int
    rerank: int


_INTS = types.int32[::1]
_MEMORY = types.NamedTuple(  # type: ignore[no-untyped-call]
    (
        _INTS,
        _INTS,
        _INTS,
        types.int32[:, ::1],
        types.int8[::1],
        types.float32[::1],
        types.uint8[::1],
        _INTS,
        types.uint64[::1],
    ),
    Memory,
)
_SPANS = types.int64[:, ::1]
_SHORTS = types.int16[::1]
_SLOTS = types.Array(types.int64, 1, "C", readonly=True)
_ALL_SLOTS = types.Array(types.int64, 2, "C", readonly=True)
_QUERIES = types.Array(types.float32, 2, "C", readonly=True)
_QUERY = types.Array(types.float32, 1, "C", readonly=True)
_BITMAP = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_ROWS = types.int64[::1]
_INTS_A_LINE, _AHEAD = LINE // 4, 2
_EVERY_ROW = np.empty(0, dtype=np.uint8)


def candidates(
    memory: Memory, queries: FloatArray, slots: RowArray, num_slots: RowArray, limits: Limits
) -> tuple[RowArray, RowArray]:
    """Returns the rows to be scored for each query.

    Args:
        memory: Tables and rows of one moment, and room that no other search uses.
        queries: [num_queries, dim] float32.
        slots: [num_queries, most] int64, buckets to try, as `index.lsh_probing.probed_slots` names them.
        num_slots: [num_queries] int64, how many of them are used.
        limits: Which rows, and how many.

    Returns:
        Rows, int64, those of query i at `offsets[i]:offsets[i + 1]` in no order, and offsets, [num_queries + 1] int64.
    """
    rows = np.empty(queries.shape[0] * min(limits.rerank, limits.num_rows), dtype=np.int64)
    offsets = np.zeros(queries.shape[0] + 1, dtype=np.int64)
    allowed = _EVERY_ROW if limits.allowed is None else limits.allowed
    _candidates(
        memory, queries, slots, num_slots, allowed, limits.num_rows, limits.min_hits, limits.rerank, rows, offsets
    )
    return rows[: offsets[-1]], offsets


@njit(types.void(_MEMORY, _SLOTS, types.int64, _SPANS), nogil=True, cache=True)
def _locate(memory, slots, num_slots, spans):  # type: ignore[no-untyped-def]
    # Where in `entries` each bucket begins and ends. Every line of memory is asked for well before it is read.
    tables = memory.following.shape[1]
    num_buckets, num_packed = memory.offsets.shape[0] // tables - 1, memory.entries.shape[0] // tables
    for i in range(num_slots):
        prefetch(memory.offsets, slots[i] + slots[i] // num_buckets)
    for i in range(num_slots):
        table = slots[i] // num_buckets
        spans[i, 0] = table * num_packed + memory.offsets[slots[i] + table]
        spans[i, 1] = table * num_packed + memory.offsets[slots[i] + table + 1]
        prefetch(memory.entries, spans[i, 0])
        prefetch(memory.entries, spans[i, 0] + _INTS_A_LINE)


@njit(types.int64(_MEMORY, _SPANS, types.int64, types.int64, types.int64), nogil=True, cache=True)
def _count_packed(memory, spans, num_slots, num_rows, min_hits):  # type: ignore[no-untyped-def]
    width, count = memory.rows.shape[0] // max(memory.scales.shape[0], 1), 0
    for i in range(num_slots):
        if i + _AHEAD < num_slots:
            for slot in range(spans[i + _AHEAD, 0] + 2 * _INTS_A_LINE, spans[i + _AHEAD, 1], _INTS_A_LINE):
                prefetch(memory.entries, slot)
        for slot in range(spans[i, 0], spans[i, 1]):
            row = memory.entries[slot]
            before = memory.hits[row]
            if before < min_hits:
                memory.hits[row] = before + 1
                if before + 1 == min_hits and row < num_rows:
                    memory.found[count] = row
                    count += 1
                    prefetch(memory.rows, row * width)
                    prefetch(memory.scales, row)
    return count


@njit(types.int64(_MEMORY, _SLOTS, types.int64, types.int64, types.int64, types.int64), nogil=True, cache=True)
def _count_lists(memory, slots, num_slots, num_rows, min_hits, count):  # type: ignore[no-untyped-def]
    # As for packed buckets, for the rows in lists. With `min_hits` 0 it takes their counts back.
    tables = memory.following.shape[1]
    num_buckets, num_packed = memory.heads.shape[0] // tables, memory.entries.shape[0] // tables
    for i in range(num_slots):
        table, row = slots[i] // num_buckets, load_acquire(memory.heads, slots[i])
        while row >= 0:
            if row < num_rows and min_hits == 0:
                memory.hits[row] = 0
            elif row < num_rows and memory.hits[row] < min_hits:
                memory.hits[row] += 1
                if memory.hits[row] == min_hits:
                    memory.found[count] = row
                    count += 1
            row = memory.following[row - num_packed, table]
    return count


@njit(types.void(_MEMORY, _SPANS, _SLOTS, types.int64, types.int64), nogil=True, cache=True)
def _forget(memory, spans, slots, num_slots, num_rows):  # type: ignore[no-untyped-def]
    for i in range(num_slots):
        for slot in range(spans[i, 0], spans[i, 1]):
            memory.hits[memory.entries[slot]] = 0
    if memory.heads.shape[0]:
        _count_lists(memory, slots, num_slots, num_rows, 0, 0)


@njit(types.void(_QUERY, _SHORTS), nogil=True, cache=True)
def _round(query, short):  # type: ignore[no-untyped-def]
    # As rows are quantised; the scale is the same for all of them and left out.
    largest = np.float32(0)
    for d in range(query.shape[0]):
        largest = max(largest, abs(query[d]))
    factor = np.float32(LARGEST) / largest if largest > 0 else np.float32(0)
    for d in range(query.shape[0]):
        short[d] = np.int16(np.rint(query[d] * factor))
    short[query.shape[0] :] = 0


@njit(types.void(_MEMORY, _SHORTS, types.int64), nogil=True, cache=True)
def _rank(memory, query, count):  # type: ignore[no-untyped-def]
    # Writes a key for each row found: better rows have smaller keys, and no two are alike.
    width = query.shape[0]
    for i in range(count):
        row = np.int64(memory.found[i])
        total = np.int32(0)
        for place in range(0, width, LINE):
            total += byte_products(memory.rows, row * width + place, query, place)
        score = rising_bits(np.float32(total) * memory.scales[row])
        memory.keys[i] = np.uint64((0xFFFFFFFF - score) << 32 | row)


@njit(types.void(types.uint64[::1], types.int64, types.int64), nogil=True, cache=True)
def _select(keys, size, wanted):  # type: ignore[no-untyped-def]
    # Puts the `wanted` least of distinct keys first (Hoare's selection, around the median of three).
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) >> 1
        a, b, c = keys[low], keys[middle], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if wanted - 1 <= j:
            high = j
        elif wanted - 1 >= i:
            low = i
        else:
            break


@njit(types.int64(_MEMORY, _BITMAP, types.int64), nogil=True, cache=True)
def _keep_allowed(memory, allowed, count):  # type: ignore[no-untyped-def]
    kept = 0
    for i in range(count):
        row = memory.found[i]
        if allowed[row >> 3] >> (row & 7) & 1:
            memory.found[kept] = row
            kept += 1
    return kept


@njit(
    types.void(
        _MEMORY,
        _QUERIES,
        _ALL_SLOTS,
        _SLOTS,
        _BITMAP,
        types.int64,
        types.int64,
        types.int64,
        _OUT_ROWS,
        _OUT_ROWS,
    ),
    nogil=True,
    cache=True,
)
def _candidates(  # type: ignore[no-untyped-def]
    memory, queries, slots, num_slots, allowed, num_rows, min_hits, rerank, rows, offsets
):
    spans = np.empty((slots.shape[1], 2), dtype=np.int64)
    short = np.empty(memory.rows.shape[0] // max(memory.scales.shape[0], 1), dtype=np.int16)
    for query in range(queries.shape[0]):
        some, end = num_slots[query], offsets[query]
        _locate(memory, slots[query], some, spans)
        count = _count_packed(memory, spans, some, num_rows, min_hits)
        if memory.heads.shape[0]:
            count = _count_lists(memory, slots[query], some, num_rows, min_hits, count)
        _forget(memory, spans, slots[query], some, num_rows)
        if allowed.shape[0]:
            count = _keep_allowed(memory, allowed, count)
        if count > rerank:
            _round(queries[query], short)
            _rank(memory, short, count)
            _select(memory.keys, count, rerank)
            for i in range(rerank):
                rows[end + i] = np.int64(memory.keys[i] & np.uint64(0xFFFFFFFF))
            count = rerank
        else:
            for i in range(count):
                rows[end + i] = memory.found[i]
        offsets[query + 1] = end + count
