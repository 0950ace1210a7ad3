"""Hash tables over rows in flat arrays: contiguous buckets, with lists for the rows that came later.

The first `num_packed` rows lie in `entries`: those of bucket b of table t, ascending, at
`entries[t, offsets[t, b]:offsets[t, b + 1]]`. Later rows are linked lists in front of that: `heads[t, b]` is the newest
row of a bucket, `following[row - num_packed, t]` the one before it, -1 ends. So an insert is one step a table, and
now and then, when lists hold a fourth as many rows as the buckets, all is packed anew: a constant number of copies a
row in the long run.

One writer, readers beside it: a reader takes the arrays and a row count as one value. Packing and growth make new
arrays. The links of a row are written before the head that leads to it is, with release and acquire (they are what
`heads` is read and written with), so a reader meets whole lists; rows from its row count on are stepped over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.lsh_instructions import store_release

BucketArray: TypeAlias = NDArray[np.uint32]
IntArray: TypeAlias = NDArray[np.int32]

_BUCKETS = types.Array(types.uint32, 2, "C", readonly=True)
_INTS = types.Array(types.int32, 2, "C", readonly=True)
_OUT_INTS = types.int32[:, ::1]
_OUT_FLAT = types.int32[::1]
_LEAST_TAIL = 1024
_TAIL_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The arrays described above.

    Attributes:
        offsets: [tables, buckets + 1] int32.
        entries: [tables, num_packed] int32.
        heads: [tables, buckets] int32.
        following: [capacity - num_packed, tables] int32.
    """

    offsets: IntArray
    entries: IntArray
    heads: IntArray
    following: IntArray

    @classmethod
    def of(cls, buckets: BucketArray, bits: int) -> Tables:
        """Packs rows whose bucket in each table is given, [n, tables] uint32 below 2^bits."""
        num_rows, tables = buckets.shape
        offsets = np.zeros((tables, (1 << bits) + 1), dtype=np.int32)
        entries = np.empty((tables, num_rows), dtype=np.int32)
        _fill(buckets, offsets, entries)
        return cls(offsets=offsets, entries=entries, heads=_no_heads(tables), following=_no_rows(tables))

    @property
    def num_packed(self) -> int:
        """Rows in contiguous buckets."""
        return int(self.entries.shape[1])

    def with_rows(self, buckets: BucketArray, first_row: int) -> Tables:
        """Adds rows at the end, `first_row` being the first of them, and returns what new readers take.

        Args:
            buckets: [n, tables] uint32.
            first_row: Rows there are.
        """
        num_rows = first_row + buckets.shape[0]
        if num_rows - self.num_packed > max(_LEAST_TAIL, self.num_packed // _TAIL_SHARE):
            packed = self._packed(first_row)
            if buckets.shape[0] > _LEAST_TAIL:
                return packed._joined(Tables.of(buckets, self._bits))
            return packed._linked(buckets, first_row)
        return self._linked(buckets, first_row)

    def packed_buckets(self) -> BucketArray:
        """Returns the bucket of each of the first `num_packed` rows in each table, [num_packed, tables] uint32."""
        buckets = np.empty((self.num_packed, self.offsets.shape[0]), dtype=np.uint32)
        numbers = np.arange(self.offsets.shape[1] - 1, dtype=np.uint32)
        for table, (offsets, entries) in enumerate(zip(self.offsets, self.entries, strict=True)):
            buckets[entries, table] = np.repeat(numbers, np.diff(offsets))
        return buckets

    @property
    def _bits(self) -> int:
        return (int(self.offsets.shape[1]) - 1).bit_length() - 1

    def _linked(self, buckets: BucketArray, first_row: int) -> Tables:
        tables = self
        if not self.heads.size:
            heads = np.full((self.offsets.shape[0], self.offsets.shape[1] - 1), -1, dtype=np.int32)
            tables = replace(tables, heads=heads)
        used = first_row - self.num_packed
        if used + buckets.shape[0] > self.following.shape[0]:
            room = max(used + buckets.shape[0], 2 * self.following.shape[0], _LEAST_TAIL)
            following = np.empty((room, self.offsets.shape[0]), dtype=np.int32)
            following[:used] = self.following[:used]
            # Readers of the old, shorter array must not be led past its end.
            tables = replace(tables, heads=tables.heads.copy(), following=following)
        _link(buckets, first_row, self.num_packed, tables.heads.reshape(-1), tables.following)
        return tables

    def _packed(self, num_rows: int) -> Tables:
        """Returns tables with the same rows, all in contiguous buckets."""
        if num_rows == self.num_packed:
            return self
        entries = np.empty((self.offsets.shape[0], num_rows), dtype=np.int32)
        offsets = np.zeros_like(self.offsets)
        _pack(self.offsets, self.entries, self.heads, self.following, offsets, entries)
        return Tables(
            offsets=offsets,
            entries=entries,
            heads=_no_heads(entries.shape[0]),
            following=_no_rows(entries.shape[0]),
        )

    def _joined(self, later: Tables) -> Tables:
        """Returns packed tables with the rows of `later` after their own."""
        entries = np.empty((self.entries.shape[0], self.num_packed + later.num_packed), dtype=np.int32)
        _join(self.offsets, self.entries, later.offsets, later.entries, entries)
        return replace(self, offsets=self.offsets + later.offsets, entries=entries)

    def resident_bytes(self) -> int:
        """Returns the bytes of the arrays."""
        return self.offsets.nbytes + self.entries.nbytes + self.heads.nbytes + self.following.nbytes


def _no_heads(tables: int) -> IntArray:
    return np.empty((tables, 0), dtype=np.int32)


def _no_rows(tables: int) -> IntArray:
    return np.empty((0, tables), dtype=np.int32)


@njit(types.void(_BUCKETS, _OUT_INTS, _OUT_INTS), nogil=True, cache=True)
def _fill(buckets: BucketArray, offsets: IntArray, entries: IntArray) -> None:
    places = np.empty(offsets.shape[1], dtype=np.int64)
    for table in range(buckets.shape[1]):
        places[:] = 0
        for row in range(buckets.shape[0]):
            places[buckets[row, table] + 1] += 1
        for bucket in range(1, offsets.shape[1]):
            places[bucket] += places[bucket - 1]
            offsets[table, bucket] = places[bucket]
        for row in range(buckets.shape[0]):
            bucket = buckets[row, table]
            entries[table, places[bucket]] = row
            places[bucket] += 1


@njit(types.void(_BUCKETS, types.int64, types.int64, _OUT_FLAT, _OUT_INTS), nogil=True, cache=True)
def _link(buckets: BucketArray, first_row: int, num_packed: int, heads: IntArray, following: IntArray) -> None:
    num_buckets = heads.shape[0] // buckets.shape[1]
    for i in range(buckets.shape[0]):
        row = first_row + i
        for table in range(buckets.shape[1]):
            place = table * num_buckets + np.int64(buckets[i, table])
            following[row - num_packed, table] = heads[place]
            store_release(heads, place, np.int32(row))


@njit(types.void(_INTS, _INTS, _OUT_INTS, _OUT_INTS, _OUT_INTS, _OUT_INTS), nogil=True, cache=True)
def _pack(
    offsets: IntArray, entries: IntArray, heads: IntArray, following: IntArray, new_offsets: IntArray, packed: IntArray
) -> None:
    num_packed = entries.shape[1]
    for table in range(offsets.shape[0]):
        end = 0
        for bucket in range(heads.shape[1]):
            for slot in range(offsets[table, bucket], offsets[table, bucket + 1]):
                packed[table, end] = entries[table, slot]
                end += 1
            first = end
            row = heads[table, bucket]
            while row >= 0:
                packed[table, end] = row
                end += 1
                row = following[row - num_packed, table]
            packed[table, first:end] = packed[table, first:end][::-1].copy()
            new_offsets[table, bucket + 1] = end


@njit(types.void(_INTS, _INTS, _INTS, _INTS, _OUT_INTS), nogil=True, cache=True)
def _join(offsets: IntArray, entries: IntArray, later_offsets: IntArray, later: IntArray, joined: IntArray) -> None:
    num_packed = entries.shape[1]
    for table in range(offsets.shape[0]):
        end = 0
        for bucket in range(offsets.shape[1] - 1):
            for slot in range(offsets[table, bucket], offsets[table, bucket + 1]):
                joined[table, end] = entries[table, slot]
                end += 1
            for slot in range(later_offsets[table, bucket], later_offsets[table, bucket + 1]):
                joined[table, end] = num_packed + later[table, slot]
                end += 1
