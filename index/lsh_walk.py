"""When the probes of sampled queries meet their neighbors, and what else they meet, for several numbers of tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.lsh_families import Family, of_length
from index.lsh_probing import probed_slots
from index.lsh_sample import Sample

MOST_PROBES = 4096
MOST_HITS = 3
_NEVER = np.iinfo(np.int32).max

# Microseconds of the steps of a search on one core, measured at 64 dimensions: each table hashed, bucket probed, entry
# read and candidate ranked.
_HASHED, _PROBED, _READ, _RANKED = 0.5, 0.25, 0.005, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """When each row would be met by the probes of each query.

    Attributes:
        of_neighbors: [queries * neighbors, len(tables), 3] int32: probes until the row is met once, twice, three times
            in the first so many tables.
        of_background: [queries * background, len(tables), 3] int32, likewise.
        reads: [len(tables), queries, probes] float32: background rows read up to a probe.
        tables: [len(tables)] int64, numbers of tables.
        scale: Rows that one of the background stands for.
    """

    of_neighbors: NDArray[np.int32]
    of_background: NDArray[np.int32]
    reads: NDArray[np.float32]
    tables: NDArray[np.int64]
    scale: float

    @classmethod
    def along(cls, sample: Sample, family: Family, grid: NDArray[np.int64]) -> Walk:
        """Probes for every query of a sample, with the functions of a family, for so many first tables."""
        num_queries, num_neighbors, dim = sample.neighbors.shape
        # Who reads more rows than twice all of them had better search exactly.
        most = min(MOST_PROBES, max(2 << family.bits, 2 * int(grid[-1])), int(grid[-1]) << family.bits)
        queries = of_length(sample.queries, sample.largest_norm) if family.by_distance else sample.queries
        slots, counts = probed_slots(family.perturbations(queries, most), most, factor=family.factor, bits=family.bits)
        background = family.buckets(sample.background)
        neighbors = family.buckets(sample.neighbors.reshape(-1, dim)).reshape(num_queries, num_neighbors, -1)
        near = np.empty((num_queries, num_neighbors, grid.size, MOST_HITS), dtype=np.int32)
        far = np.empty((num_queries, background.shape[0], grid.size, MOST_HITS), dtype=np.int32)
        reads = np.empty((grid.size, num_queries, slots.shape[1]), dtype=np.float32)
        _walk(slots, counts, family.bits, neighbors, background, grid, near, far, reads)
        scale = sample.num_rows / background.shape[0]
        return cls(
            of_neighbors=near.reshape(-1, grid.size, MOST_HITS),
            of_background=far.reshape(-1, grid.size, MOST_HITS),
            reads=reads,
            tables=grid,
            scale=scale,
        )

    def cost(self, place: int, hits: int, probes: int) -> float:
        """Returns the microseconds of a search by the model.

        Args:
            place: Of the number of tables, in `tables`.
            hits: Buckets that a candidate must lie in.
            probes: Buckets tried.
        """
        num_queries = self.reads.shape[1]
        read = self.scale * float(self.reads[place, :, min(probes, self.reads.shape[2]) - 1].mean())
        met = np.count_nonzero(self.of_background[:, place, min(hits, MOST_HITS) - 1] <= probes)
        ranked = self.scale * float(met) / num_queries
        hashed = _HASHED * int(self.tables[place])
        cost: float = hashed + _PROBED * probes + _READ * read + _RANKED * ranked
        return cost


@njit(
    types.void(
        types.Array(types.uint32, 1, "C", readonly=True),
        types.int32[::1],
        types.int64,
        types.Array(types.int64, 1, "C", readonly=True),
        types.int32[:, ::1],
        types.int32[:, ::1],
    ),
    nogil=True,
    cache=True,
)
def _meet(buckets, turn, bits, grid, probes, out):  # type: ignore[no-untyped-def]
    # The first three turns at which a row is met are kept while tables come in; at each number of tables asked for they
    # are noted as numbers of probes.
    first, second, third, place = _NEVER, _NEVER, _NEVER, 0
    for table in range(buckets.shape[0]):
        at = turn[(table << bits) | np.int64(buckets[table])]
        if at < third:
            third = at
            if third < second:
                second, third = third, second
            if second < first:
                first, second = second, first
        if table + 1 == grid[place]:
            out[place, 0] = _NEVER if first == _NEVER else probes[place, first]
            out[place, 1] = _NEVER if second == _NEVER else probes[place, second]
            out[place, 2] = _NEVER if third == _NEVER else probes[place, third]
            place += 1


@njit(
    types.void(
        types.Array(types.int64, 1, "C", readonly=True),
        types.int64,
        types.int64,
        types.Array(types.int64, 1, "C", readonly=True),
        types.float32[::1],
        types.int32[:, ::1],
        types.float32[:, :],
    ),
    nogil=True,
    cache=True,
)
def _advance(slots, num_slots, bits, grid, loads, probes, reads):  # type: ignore[no-untyped-def]
    # Of the first so many tables alone: which probe each slot is, and what has been read after so many probes.
    for place in range(grid.size):
        count, read = 0, np.float32(0)
        for i in range(num_slots):
            if slots[i] >> bits < grid[place]:
                read += loads[slots[i]]
                reads[place, count] = read
                count += 1
            probes[place, i] = count
        reads[place, count:] = read


@njit(
    types.void(
        types.Array(types.int64, 2, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.int64,
        types.Array(types.uint32, 3, "C", readonly=True),
        types.Array(types.uint32, 2, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.int32[:, :, :, ::1],
        types.int32[:, :, :, ::1],
        types.float32[:, :, ::1],
    ),
    nogil=True,
    cache=True,
)
def _walk(slots, counts, bits, neighbors, background, grid, near, far, reads):  # type: ignore[no-untyped-def]
    tables = background.shape[1]
    turn = np.full(tables << bits, _NEVER, dtype=np.int32)
    loads = np.zeros(tables << bits, dtype=np.float32)
    for row in range(background.shape[0]):
        for table in range(tables):
            loads[(table << bits) | np.int64(background[row, table])] += 1
    probes = np.empty((grid.size, slots.shape[1]), dtype=np.int32)
    for query in range(slots.shape[0]):
        _advance(slots[query], counts[query], bits, grid, loads, probes, reads[:, query])
        for i in range(counts[query] - 1, -1, -1):
            turn[slots[query, i]] = i
        for row in range(neighbors.shape[1]):
            _meet(neighbors[query, row], turn, bits, grid, probes, near[query, row])
        for row in range(background.shape[0]):
            _meet(background[row], turn, bits, grid, probes, far[query, row])
        for i in range(counts[query]):
            turn[slots[query, i]] = _NEVER
