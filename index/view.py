"""One moment of a live index, as a frozen value: what is live where, and up to which write.

Writing makes the next value and leaves this one as it was, so a reader needs no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge

import numpy as np

from index import bitmap
from index.flat import FlatIndex
from index.fresh import FreshPart
from index.protocols import FloatArray, RowArray, RowBitmap, VectorIndex

_MIN_DEAD_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Base, fresh part and which of their rows are live.

    Attributes:
        item_ids: Ids of the base rows, ascending.
        base: The immutable index over the base rows.
        exact: Exhaustive search over the same rows.
        base_live: Base rows neither deleted nor replaced.
        num_base_live: How many they are.
        fresh: Rows written since; may already hold rows of later views.
        num_fresh_rows: Fresh rows that exist in this view.
        fresh_live: Those neither deleted nor replaced.
        num_fresh_live: How many they are.
        sequence: Number of the last write in this view.
    """

    item_ids: Sequence[str]
    base: VectorIndex
    exact: FlatIndex
    base_live: RowBitmap
    num_base_live: int
    fresh: FreshPart
    num_fresh_rows: int
    fresh_live: RowBitmap
    num_fresh_live: int
    sequence: int

    @property
    def largest_norm(self) -> float:
        """Greatest length of any vector, live or not."""
        return max(self.exact.largest_norm, self.fresh.index.largest_norm)

    def base_row(self, item_id: str) -> int:
        """Returns the live base row of an item, or -1."""
        row = bisect_left(self.item_ids, item_id)
        found = row < len(self.item_ids) and self.item_ids[row] == item_id and bitmap.contains(self.base_live, row)
        return row if found else -1

    def fresh_row(self, item_id: str) -> int:
        """Returns the live fresh row of an item, or -1."""
        return self.fresh.find(item_id, self.fresh_live, self.num_fresh_rows)

    def live_ids(self) -> Iterator[str]:
        """Yields the ids of live items, ascending in UTF-8 byte order; base ids as they are asked for."""
        base = (item_id for row, item_id in enumerate(self.item_ids) if bitmap.contains(self.base_live, row))
        fresh = (self.fresh.item_ids[row] for row in bitmap.to_rows(self.fresh_live, self.num_fresh_rows))
        return merge(base, sorted(fresh))

    def gather(self, item_ids: Sequence[str]) -> tuple[FloatArray, RowArray]:
        """Returns the vectors of the ids that are held, [num_found, dim] float32, and their places in `item_ids`."""
        fresh = np.array([self.fresh_row(item_id) for item_id in item_ids], dtype=np.int64)
        base = np.array([self.base_row(item_id) for item_id in item_ids], dtype=np.int64)
        places = np.flatnonzero((fresh >= 0) | (base >= 0))
        fresh, base = fresh[places], base[places]
        vectors = np.empty((places.size, self.exact.dim), dtype=np.float32)
        in_fresh = fresh >= 0
        vectors[in_fresh] = self.fresh.index.vectors[fresh[in_fresh]]
        vectors[~in_fresh] = self.exact.vectors[base[~in_fresh]]
        return vectors, places

    def written(self, item_ids: Sequence[str], vectors: FloatArray, gone: Sequence[str], sequence: int) -> View:
        """Returns the view after a write.

        Args:
            item_ids: Items to add, distinct.
            vectors: [len(item_ids), dim] float32, checked.
            gone: Items whose rows die, distinct: those replaced and those deleted.
            sequence: Number of the last write.
        """
        dead_base = _held(self.base_row(item_id) for item_id in gone)
        dead_fresh = _held(self.fresh_row(item_id) for item_id in gone)
        added = self.fresh.append(item_ids, vectors) if item_ids else np.empty(0, dtype=np.int64)
        fresh_live = bitmap.resized(self.fresh_live, self.fresh.num_rows)
        after = replace(
            self,
            base_live=bitmap.without_rows(self.base_live, dead_base) if dead_base.size else self.base_live,
            num_base_live=self.num_base_live - dead_base.size,
            num_fresh_rows=self.fresh.num_rows,
            fresh_live=bitmap.with_rows(bitmap.without_rows(fresh_live, dead_fresh), added),
            num_fresh_live=self.num_fresh_live - dead_fresh.size + added.size,
            sequence=sequence,
        )
        return after._compacted()

    def _compacted(self) -> View:
        """Drops dead fresh rows once they outnumber the live ones, or an item rewritten for ever would fill memory."""
        if self.num_fresh_rows - self.num_fresh_live <= max(_MIN_DEAD_ROWS, self.num_fresh_live):
            return self
        fresh = self.fresh.compacted(self.fresh_live, self.num_fresh_rows)
        return replace(self, fresh=fresh, num_fresh_rows=fresh.num_rows, fresh_live=bitmap.full(fresh.num_rows))


def empty_view(item_ids: Sequence[str], base: VectorIndex, exact: FlatIndex, *, sequence: int) -> View:
    """Returns the view of a base to which nothing was written yet."""
    return View(
        item_ids=item_ids,
        base=base,
        exact=exact,
        base_live=bitmap.full(base.num_rows),
        num_base_live=base.num_rows,
        fresh=FreshPart(base.dim),
        num_fresh_rows=0,
        fresh_live=bitmap.empty(0),
        num_fresh_live=0,
        sequence=sequence,
    )


def _held(rows: Iterable[int]) -> RowArray:
    return np.array([row for row in rows if row >= 0], dtype=np.int64)
