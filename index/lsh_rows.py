"""The rows of an LSH index: vectors, quantised copies and tables, added by one writer while searches go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from index import checks
from index.lsh_candidates import Memory
from index.lsh_families import Family
from index.lsh_quantised import Quantised
from index.lsh_tables import BucketArray, Tables
from index.protocols import FloatArray

_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What readers see: arrays whose first `num_rows` rows stay as they are.

    Attributes:
        vectors: [capacity, dim] float32; may be a memory map.
        quantised: Of the same rows.
        tables: Over the same rows.
        num_rows: Rows there are.
        largest_norm: Greatest length of a vector.
    """

    vectors: FloatArray
    quantised: Quantised
    tables: Tables
    num_rows: int
    largest_norm: float


class LshRows:
    """Rows that grow at the end, shared by the indexes that search them in different ways."""

    def __init__(
        self, family: Family, vectors: FloatArray, *, threads: int = 1, known: BucketArray | None = None
    ) -> None:
        """Starts with rows.

        Args:
            family: Functions of the tables.
            vectors: [n, dim] float32, kept, may be a memory map.
            threads: Threads that hash them; 0 takes every core.
            known: [n, tables] uint32, their buckets where these are known.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
        """
        self.family = family
        vectors = checks.as_matrix(vectors, dim=None, what="vectors")
        norm = checks.largest_norm(vectors, what="vectors")
        quantised = Quantised.blank(*vectors.shape)
        if known is None:
            buckets = self._added(vectors, quantised, 0, threads=threads)
        else:
            quantised.write(vectors, 0)
            buckets = known
        self.published = Published(
            vectors=vectors,
            quantised=quantised,
            tables=Tables.of(buckets, family.bits),
            num_rows=vectors.shape[0],
            largest_norm=norm,
        )
        self._rooms: list[tuple[Published, Memory]] = []

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.published.vectors.shape[1])

    def append(self, vectors: FloatArray) -> None:
        """Adds rows, [n, dim] float32, at the end; see `AppendableIndex.append`."""
        vectors = checks.as_matrix(vectors, dim=self.dim, what="vectors")
        norm = checks.largest_norm(vectors, what="vectors")
        old = self.published
        if not vectors.size:  # nothing may be written, not even that, where vectors are a read-only memory map
            return
        num_rows = old.num_rows + vectors.shape[0]
        kept, quantised = old.vectors, old.quantised
        if num_rows > kept.shape[0]:
            capacity = max(num_rows, 2 * old.num_rows)
            kept = np.empty((capacity, self.dim), dtype=np.float32)
            kept[: old.num_rows] = old.vectors[: old.num_rows]
            quantised = quantised.grown(capacity, self.dim)
        kept[old.num_rows : num_rows] = vectors
        buckets = self._added(vectors, quantised, old.num_rows)
        if kept is not old.vectors:
            self._rooms = []  # they would keep the old arrays in memory
        self.published = Published(
            vectors=kept,
            quantised=quantised,
            tables=old.tables.with_rows(buckets, old.num_rows),
            num_rows=num_rows,
            largest_norm=max(old.largest_norm, norm),
        )

    def buckets(self) -> BucketArray:
        """Returns the bucket of each row in each table, [num_rows, tables] uint32; rows in lists are hashed again."""
        published = self.published
        packed = published.tables.packed_buckets()
        return np.concatenate((packed, self.family.buckets(published.vectors[len(packed) : published.num_rows])))

    @contextmanager
    def room(self, published: Published) -> Iterator[Memory]:
        """Lends the arrays of a search, kept for the next one: fresh memory would cost more than the search."""
        try:
            held, memory = self._rooms.pop()
        except IndexError:  # every one is lent, or there is none yet
            memory = _memory(published, None)
        else:
            memory = memory if held is published else _memory(published, memory)
        yield memory
        self._rooms.append((published, memory))  # not after an error: counters might be left

    def resident_bytes(self) -> int:
        """Returns the bytes of tables, quantised rows and hash functions."""
        published = self.published
        parts = (published.tables, published.quantised, self.family)
        return sum(part.resident_bytes() for part in parts)

    def _added(self, vectors: FloatArray, quantised: Quantised, first_row: int, *, threads: int = 1) -> BucketArray:
        """Quantises rows and returns their buckets, [n, tables] uint32."""
        starts = range(0, vectors.shape[0], _ROWS_AT_ONCE)

        def add(start: int) -> BucketArray:
            some = vectors[start : start + _ROWS_AT_ONCE]
            quantised.write(some, first_row + start)
            return self.family.buckets(some)

        if len(starts) <= 1:
            return add(0)
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            return np.concatenate(list(pool.map(add, starts)))


def _memory(published: Published, old: Memory | None) -> Memory:
    """Returns what a search reads, with the room of an earlier one where that is large enough."""
    tables, quantised, capacity = published.tables, published.quantised, published.vectors.shape[0]
    if old is None or old.hits.size < published.num_rows:
        hits, found = np.zeros(capacity, dtype=np.uint8), np.empty(capacity, dtype=np.int32)
        keys = np.empty(capacity, dtype=np.uint64)
    else:
        hits, found, keys = old.hits, old.found, old.keys
    return Memory(
        offsets=tables.offsets.reshape(-1),
        entries=tables.entries.reshape(-1),
        heads=tables.heads.reshape(-1),
        following=tables.following,
        rows=quantised.rows.reshape(-1),
        scales=quantised.scales,
        hits=hits,
        found=found,
        keys=keys,
    )
