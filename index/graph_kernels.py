"""Compiled loops of `index.graph_search`: a best-first walk along the links of a graph.

Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs, 2018, algorithms 2 and 5. Where we differ: candidates and results are one sorted list, as in Fu, Xiang, Wang
and Cai, Fast approximate nearest neighbor search with the navigating spreading-out graph, 2019, algorithm 1; and only
the links of its best `breadth` entries are followed, which may be fewer than the list holds.

An entry of the list is one int64: the score, negated, in the upper half, then the row, then a bit that is set once its
links have been followed. Entries are distinct, so the order is total and a walk is the same each time. Scores are
those of byte codes (`index.quantised`), or inner products of the vectors where there are no codes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from index.byte_scoring import coded_product, encode, njit_uncounted, product
from index.graph_simd import move_up
from index.ordering import descending_bits
from index.protocols import FloatArray, RowArray, RowBitmap
from index.simd import LINE, prefetch

_Int: TypeAlias = int | np.int64
_Float: TypeAlias = float | np.float32
Entries = NDArray[np.int64]
Codes = NDArray[np.uint8]
Links = NDArray[np.int32]

_LAST = np.int64(2**63 - 1)
_LOWER = np.int64(2**32 - 1)
_FLOATS_A_LINE = LINE // 4


@njit_uncounted(forceinline=True)
def _entry(space: Any, query: _Int, row: _Int) -> _Int:
    queries, vectors, codes, code = space
    if codes.shape[0] == 0:
        score: _Int = descending_bits(product(queries, query, vectors, row))
    else:
        score = -coded_product(codes, row, code)
    return (score << np.int64(32)) | (np.int64(row) << np.int64(1))


@njit_uncounted(forceinline=True)
def _row_of(entry: _Int) -> _Int:
    return (entry & _LOWER) >> np.int64(1)


@njit_uncounted(forceinline=True)
def _admits(allowed: RowBitmap, row: _Int) -> bool:
    return allowed.size == 0 or (allowed[np.uint64(row) >> np.uint64(3)] >> np.uint8(row & 7)) & np.uint8(1) != 0


@njit_uncounted(forceinline=True)
def _descend(space: Any, query: _Int, graph: Any) -> _Int:
    """Returns the entry of the best row of layer 1 that steps to ever better rows lead to, layer by layer."""
    m, upper_rows, upper_starts, upper_links, entry, top = graph
    best: _Int = _entry(space, query, entry)
    for above in range(top):
        before: _Int = _LAST
        while best < before:
            before = best
            place = np.searchsorted(upper_rows, np.int32(_row_of(best)))
            first = upper_starts[place] + (top - above - 1) * m
            for slot in range(first, first + m):
                if upper_links[slot] < 0:
                    break
                best = min(best, _entry(space, query, np.int64(upper_links[slot])))
    return best


@njit_uncounted(forceinline=True)
def _gather(space: Any, links: Links, row: _Int, visited: Codes, fresh: Links) -> _Int:
    """Writes the rows linked to `row` that were not visited before to `fresh`, and returns how many they are."""
    _, vectors, codes, _ = space
    num_fresh = np.uint64(0)
    for slot in range(links.shape[1]):
        linked = links[row, slot]
        if linked < 0:
            break
        place, bit = np.uint64(linked) >> np.uint64(3), np.uint8(1) << np.uint8(linked & 7)
        if visited[place] & bit == 0:
            visited[place] |= bit
            if codes.shape[0] > 0:
                for start in range(0, codes.shape[1], LINE):
                    prefetch(codes, np.int64(linked) * codes.shape[1] + start)
            else:
                for d in range(0, vectors.shape[1], _FLOATS_A_LINE):
                    prefetch(vectors, np.int64(linked) * vectors.shape[1] + d)
            fresh[num_fresh] = linked
            num_fresh += np.uint64(1)
    return np.int64(num_fresh)


@njit_uncounted(forceinline=True)
def _place_of(pool: Entries, size: _Int, entry: _Int) -> _Int:
    first, left = np.uint64(0), np.uint64(size)
    while left > np.uint64(0):
        half = left >> np.uint64(1)
        is_below = pool[first + half] < entry
        first = first + half + np.uint64(1) if is_below else first
        left = left - half - np.uint64(1) if is_below else half
    return np.int64(first)


@njit_uncounted(forceinline=True)
def _trim(pool: Entries, size: _Int, num_allowed: _Int, allowed: RowBitmap, limits: Any) -> tuple[_Int, _Int]:
    """Drops the end of a list that one entry joined, down to the last allowed row that may be kept."""
    capacity, most_allowed = limits[0], limits[1]
    if size > capacity or num_allowed > most_allowed:
        size -= 1
        num_allowed -= _admits(allowed, _row_of(pool[size]))
    while num_allowed == most_allowed and not _admits(allowed, _row_of(pool[size - 1])):
        size -= 1
    return size, num_allowed


@njit_uncounted(forceinline=True)
def _follow(space: Any, query: _Int, start: _Int, links: Links, allowed: RowBitmap, limits: Any, scratch: Any) -> _Int:
    """Fills the list with the best entries that lead on from `start`, and returns how many they are."""
    visited, pool, fresh = scratch
    width, breadth = links.shape[1], limits[2]
    row = _row_of(start)
    visited[row >> 3] |= np.uint8(1) << np.uint8(row & 7)
    pool[0], worst = start, _LAST
    size: _Int = 1
    current: _Int = 0
    num_allowed: _Int = np.int64(_admits(allowed, row))
    while current < min(size, breadth):
        row = _row_of(pool[current])
        pool[current] |= 1
        following: _Int = current + 1
        for i in range(_gather(space, links, row, visited, fresh)):
            linked = np.int64(fresh[np.uint64(i)])
            entry = _entry(space, query, linked)
            if entry >= worst:
                continue
            prefetch(links, linked * width)
            prefetch(links, linked * width + 16)
            place = _place_of(pool, size, entry)
            move_up(pool, place, size - place)
            pool[place] = entry
            size += 1
            num_allowed += _admits(allowed, linked)
            if allowed.size == 0:
                size = min(size, limits[0])
                worst = pool[size - 1] if size == limits[0] else _LAST
            else:
                size, num_allowed = _trim(pool, size, num_allowed, allowed, limits)
                worst = pool[size - 1] if size == limits[0] or num_allowed == limits[1] else _LAST
            following = min(following, place)
        current = following
        while current < size and pool[current] & 1:
            current += 1
        if current < size:
            for d in range(0, width, _FLOATS_A_LINE):
                prefetch(links, _row_of(pool[current]) * width + d)
    return size


@njit_uncounted(forceinline=True)
def _list(pool: Entries, size: _Int, vectors: FloatArray, allowed: RowBitmap, rows: RowArray, first: _Int) -> _Int:
    """Writes the allowed rows of a list from `rows[first]` on, asks for their vectors, and returns where they end."""
    for place in range(size):
        row = _row_of(pool[place])
        if _admits(allowed, row):
            for d in range(0, vectors.shape[1], _FLOATS_A_LINE):
                prefetch(vectors, row * vectors.shape[1] + d)
            rows[first] = row
            first += 1
    return first


def _readonly(scalar: Any, num_axes: int) -> types.Array:
    return types.Array(scalar, num_axes, "C", readonly=True)


_WALK = types.void(
    _readonly(types.float32, 2),
    _readonly(types.float32, 2),
    _readonly(types.uint8, 2),
    _readonly(types.float32, 1),
    _readonly(types.int32, 2),
    _readonly(types.int32, 1),
    _readonly(types.int64, 1),
    _readonly(types.int32, 1),
    types.int64,
    types.int64,
    _readonly(types.uint8, 1),
    types.int64,
    types.int64,
    types.int64,
    types.uint8[::1],
    types.int64[::1],
    types.int32[::1],
    types.int8[::1],
    types.int64[::1],
    types.int64[::1],
)


# One compilation, loaded from the cache afterwards.
@njit_uncounted(_WALK, cache=True)
def walk(
    queries: FloatArray,
    vectors: FloatArray,
    codes: Codes,
    steps: FloatArray,
    links: Links,
    upper_rows: Links,
    upper_starts: RowArray,
    upper_links: Links,
    entry: int,
    top: int,
    allowed: RowBitmap,
    capacity: int,
    kept: int,
    breadth: int,
    visited: Codes,
    pool: Entries,
    fresh: Links,
    code: NDArray[np.int8],
    rows: RowArray,
    offsets: RowArray,
) -> None:
    """Writes the allowed rows that a walk for each query finds, likely best first.

    `codes` and `steps` are those of `ByteCodes`, or of no row to walk by the vectors; `links` to `top` are those of a
    `Graph` with at least one row; an empty `allowed` allows every row. `capacity`, `kept` and `breadth`, each at least
    1, are those of `Walk`. Scratch, of any values: `visited` [(n + 7) / 8] uint8, `pool` [capacity + 1] int64, `fresh`
    [width of links] int32; `code` [stride] int8 is 0 from dim on. `rows`, [num_queries * kept] int64, is filled from
    the front: those of query i get to `rows[offsets[i]:offsets[i + 1]]`; `offsets`, [num_queries + 1] int64, begins
    with 0.
    """
    limits = (capacity if allowed.size > 0 else min(capacity, kept), kept, breadth)
    for query in range(queries.shape[0]):
        if codes.shape[0] > 0:
            encode(queries[query], steps, code)
        visited[:] = 0
        space = (queries, vectors, codes, code)
        start = _descend(space, query, (links.shape[1] // 2, upper_rows, upper_starts, upper_links, entry, top))
        size = _follow(space, query, start, links, allowed, limits, (visited, pool, fresh))
        offsets[query + 1] = _list(pool, size, vectors, allowed, rows, offsets[query])
