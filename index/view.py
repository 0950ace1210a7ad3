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
from index.attributes import Attributes
from index.bags import Bags
from index.filtering import KeptBitmaps
from index.flat import FlatIndex
from index.fresh import FreshPart, NewRows
from index.fused import FusedRows
from index.id_rows import IdRows
from index.protocols import FloatArray, RowArray, RowBitmap, VectorIndex
from index.sparse import ScannedBags, SparseIndex
from index.subset import Subset
from index.view_join import IdArray

_MIN_DEAD_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Located:
    """Where a view holds items.

    Attributes:
        places: [num_found] int64, positions of the held items in the list that was looked up.
        fresh: [num_found] int64, fresh rows, -1 for an item of the base.
        base: [num_found] int64, base rows, -1 for a fresh item.
    """

    places: RowArray
    fresh: RowArray
    base: RowArray


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Base, fresh part and which of their rows are live.

    Attributes:
        item_ids: Ids of the base rows, ascending.
        id_array: The same, as an array.
        id_rows: The row of each.
        base: The immutable index over the base rows.
        exact: Exhaustive search over the same rows.
        content: Bags of the same rows, None where items have vectors alone.
        base_live: Base rows neither deleted nor replaced.
        num_base_live: How many they are.
        fresh: Rows written since; may already hold rows of later views.
        num_fresh_rows: Fresh rows that exist in this view.
        fresh_live: Those neither deleted nor replaced.
        num_fresh_live: How many they are.
        sequence: Number of the last write in this view.
        subset: Rows that are told apart; None where nobody asked for any.
        attributes: Columns of the base rows, None where items have no attributes.
        kept: Base rows that conditions hold for, as they were last asked for.
    """

    item_ids: Sequence[str]
    id_array: IdArray
    id_rows: IdRows
    base: VectorIndex
    exact: FlatIndex
    content: SparseIndex | None
    base_live: RowBitmap
    num_base_live: int
    fresh: FreshPart
    num_fresh_rows: int
    fresh_live: RowBitmap
    num_fresh_live: int
    sequence: int
    subset: Subset | None = None
    attributes: Attributes | None = None
    kept: KeptBitmaps | None = None

    @property
    def largest_norm(self) -> float:
        """Greatest length of any vector, live or not."""
        return max(self.exact.largest_norm, self.fresh.index.largest_norm)

    def base_row(self, item_id: str) -> int:
        """Returns the live base row of an item, or -1."""
        row = self.any_base_row(item_id)
        return row if row >= 0 and bitmap.contains(self.base_live, row) else -1

    def any_base_row(self, item_id: str) -> int:
        """Returns the base row of an item, live or not, or -1."""
        row = bisect_left(self.item_ids, item_id)
        return row if row < len(self.item_ids) and self.item_ids[row] == item_id else -1

    def fresh_row(self, item_id: str) -> int:
        """Returns the live fresh row of an item, or -1."""
        return self.fresh.find(item_id, self.fresh_live, self.num_fresh_rows)

    def holds(self, item_id: str) -> bool:
        """Returns whether an item is live."""
        return self.fresh_row(item_id) >= 0 or self.base_row(item_id) >= 0

    def live_ids(self) -> Iterator[str]:
        """Yields the ids of live items, ascending in UTF-8 byte order; base ids as they are asked for."""
        base = (self.item_ids[row] for row in bitmap.each_row(self.base_live, self.base.num_rows))
        fresh = (self.fresh.item_ids[row] for row in bitmap.to_rows(self.fresh_live, self.num_fresh_rows))
        return merge(base, sorted(fresh))

    def locate(self, item_ids: Sequence[str]) -> Located:
        """Looks items up; those that are not held are left out."""
        base = self.id_rows.find(item_ids)
        if self.num_base_live < self.base.num_rows:
            base[~bitmap.of_rows(self.base_live, base)] = -1
        fresh = np.full(len(item_ids), -1, dtype=np.int64)
        if self.num_fresh_live:
            fresh[:] = [self.fresh_row(item_id) for item_id in item_ids]
        places = np.flatnonzero((fresh >= 0) | (base >= 0))
        return Located(places, fresh[places], base[places])

    def vectors_at(self, located: Located) -> FloatArray:
        """Returns the vectors of located items, [num_found, dim] float32."""
        vectors = np.empty((located.places.size, self.exact.dim), dtype=np.float32)
        in_fresh = located.fresh >= 0
        vectors[in_fresh] = self.fresh.index.vectors[located.fresh[in_fresh]]
        vectors[~in_fresh] = self.exact.vectors[located.base[~in_fresh]]
        return vectors

    def bags_at(self, located: Located) -> Bags:
        """Returns the bags of located items; all empty where items have vectors alone."""
        if self.content is None or self.fresh.sparse is None:
            return Bags.none(located.places.size)
        in_fresh = located.fresh >= 0
        if not in_fresh.any():
            return self.content.bags.take(located.base)
        fresh = self.fresh.sparse.bags.take(located.fresh[in_fresh])
        base = self.content.bags.take(located.base[~in_fresh])
        order = np.argsort(np.concatenate((np.flatnonzero(in_fresh), np.flatnonzero(~in_fresh))))
        return Bags.joined([fresh, base]).take(order)

    def base_rows(self) -> FusedRows | None:
        """Returns the base rows with both parts, None where items have vectors alone."""
        if self.content is None:
            return None
        return FusedRows(vectors=self.exact.vectors, largest_norm=self.exact.largest_norm, sparse=self.content)

    def fresh_rows(self) -> FusedRows | None:
        """Returns the fresh rows of this view with both parts, None where items have vectors alone."""
        if self.fresh.sparse is None:
            return None
        return FusedRows(
            vectors=self.fresh.index.vectors[: self.num_fresh_rows],
            largest_norm=self.fresh.index.largest_norm,
            sparse=self.fresh.sparse.rows(self.num_fresh_rows),
        )

    def listed_rows(self, located: Located) -> FusedRows | None:
        """Returns located items as rows with both parts, None where items have vectors alone."""
        if self.content is None:
            return None
        bags = ScannedBags(self.bags_at(located))
        return FusedRows(vectors=self.vectors_at(located), largest_norm=self.largest_norm, sparse=bags)

    def narrowed(self, base_live: RowBitmap, fresh_live: RowBitmap) -> View:
        """Returns a view to read, not to write to, in which only these rows, all of them live here, are live."""
        return replace(
            self,
            base_live=base_live,
            num_base_live=bitmap.count(base_live, self.base.num_rows),
            fresh_live=fresh_live,
            num_fresh_live=bitmap.count(fresh_live, self.num_fresh_rows),
        )

    def written(self, new: NewRows, *, gone: Sequence[str], sequence: int) -> View:
        """Returns the view after a write.

        Args:
            new: Items to add, distinct and checked.
            gone: Items whose rows die, distinct: those replaced and those deleted.
            sequence: Number of the last write.
        """
        dead_base = _held(self.base_row(item_id) for item_id in gone)
        dead_fresh = _held(self.fresh_row(item_id) for item_id in gone)
        added = self.fresh.append(new) if new.item_ids else np.empty(0, dtype=np.int64)
        fresh_live = bitmap.resized(self.fresh_live, self.fresh.num_rows)
        after = replace(
            self,
            base_live=bitmap.without_rows(self.base_live, dead_base) if dead_base.size else self.base_live,
            num_base_live=self.num_base_live - dead_base.size,
            num_fresh_rows=self.fresh.num_rows,
            fresh_live=bitmap.with_rows(bitmap.without_rows(fresh_live, dead_fresh), added),
            num_fresh_live=self.num_fresh_live - dead_fresh.size + added.size,
            sequence=sequence,
            subset=None if self.subset is None else self.subset.appended(new.item_ids, added, self.fresh.num_rows),
        )
        return after._compacted()

    def _compacted(self) -> View:
        """Drops dead fresh rows once they outnumber the live ones, or an item rewritten for ever would fill memory."""
        if self.num_fresh_rows - self.num_fresh_live <= max(_MIN_DEAD_ROWS, self.num_fresh_live):
            return self
        fresh = self.fresh.compacted(self.fresh_live, self.num_fresh_rows)
        rows = bitmap.to_rows(self.fresh_live, self.num_fresh_rows)
        return replace(
            self,
            fresh=fresh,
            num_fresh_rows=fresh.num_rows,
            fresh_live=bitmap.full(fresh.num_rows),
            subset=None if self.subset is None else self.subset.compacted(rows),
        )


def empty_view(
    item_ids: Sequence[str], base: VectorIndex, exact: FlatIndex, *, content: SparseIndex | None, sequence: int
) -> View:
    """Returns the view of a base to which nothing was written yet."""
    return View(
        item_ids=item_ids,
        id_array=np.array(item_ids, dtype=object),
        id_rows=IdRows(item_ids),
        base=base,
        exact=exact,
        content=content,
        base_live=bitmap.full(base.num_rows),
        num_base_live=base.num_rows,
        fresh=FreshPart(base.dim, has_content=content is not None),
        num_fresh_rows=0,
        fresh_live=bitmap.empty(0),
        num_fresh_live=0,
        sequence=sequence,
    )


def _held(rows: Iterable[int]) -> RowArray:
    return np.array([row for row in rows if row >= 0], dtype=np.int64)
