"""The fresh part of a live index: what was written since the base was built, in insertion order.

Only the writer changes it, and only by adding at the end. A reader holds a row count and a live bitmap, so rows added
later do not exist for it. An item that is written again gets a new row; at most one of its rows is live in a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index import bitmap
from index.attribute_growth import GrowingAttributes
from index.attributes import AttributeMap, ColumnSpec
from index.bags import Bags
from index.flat import AppendableFlat
from index.fresh_codes import GrowingCodes
from index.lsh import LshIndex
from index.lsh_parameters import LshParameters
from index.protocols import FloatArray, RowArray, RowBitmap
from index.sparse import AppendableSparse

HASHING = LshParameters()
"""Of a fresh part: measured on its rows, and on what was asked lately, when it is hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Items to be added, one row each.

    Attributes:
        item_ids: Items.
        vectors: [len(item_ids), dim] float32.
        bags: One an item where items have bags, else None.
        attributes: One mapping an item where items have attributes, checked, else None.
    """

    item_ids: Sequence[str]
    vectors: FloatArray
    bags: Bags | None = None
    attributes: Sequence[AttributeMap] | None = None

    def copied(self) -> NewRows:
        """Returns the same in memory of its own, for the time after a caller may have written to its arrays."""
        return NewRows(
            item_ids=list(self.item_ids),
            vectors=self.vectors.copy(),
            bags=None if self.bags is None else self.bags.take(np.arange(len(self.bags))),
            attributes=None if self.attributes is None else [dict(row) for row in self.attributes],
        )


class FreshPart:
    """Rows of an `AppendableFlat` with their item ids, and with what items have besides: bags, attributes or both."""

    def __init__(self, dim: int, *, has_content: bool = False, specs: Sequence[ColumnSpec] | None = None) -> None:
        """Starts empty, for vectors of length `dim`, with or without bags, and with these columns if any."""
        self.index = AppendableFlat(dim)
        self.codes = GrowingCodes(dim)
        self.sparse = AppendableSparse() if has_content else None
        self.attributes = None if specs is None else GrowingAttributes(specs)
        self._hashed: LshIndex | None = None
        self.item_ids: list[str] = []
        self._last_row: dict[str, int] = {}
        self._row_before: list[int] = []

    @property
    def num_rows(self) -> int:
        """Rows added so far, live or not."""
        return self.index.num_rows

    def append(self, new: NewRows) -> RowArray:
        """Adds rows and returns which they are, [len(item_ids)] int64.

        Raises:
            InvalidVectorError: A vector is not finite, is zero or has another dimension; nothing was added.
        """
        first, last = self.num_rows, self.num_rows + len(new.item_ids)
        # Whatever fails for want of memory fails before a row is there.
        if self.sparse is not None and new.bags is not None:
            self.sparse.make_room(new.bags)
        if self.attributes is not None and new.attributes is not None:
            self.attributes.make_room(new.attributes)
        self.codes.put(first, new.vectors)
        self.index.append(new.vectors)
        self._append_hashed(new.vectors)
        if self.sparse is not None and new.bags is not None:
            self.sparse.append(new.bags)
        if self.attributes is not None and new.attributes is not None:
            self.attributes.append(new.attributes)
        for row, item_id in enumerate(new.item_ids, start=first):
            # The id leads to the row only once everything about the row is there.
            self.item_ids.append(item_id)
            self._row_before.append(self._last_row.get(item_id, -1))
            self._last_row[item_id] = row
        return np.arange(first, last, dtype=np.int64)

    @property
    def hashed(self) -> LshIndex | None:
        """The same vectors in hash tables, at least as many rows as any view has; None while they are scanned."""
        return self._hashed

    def as_hashed(self, num_rows: int, queries: FloatArray | None) -> LshIndex:
        """Returns hash tables of the first rows, which suit queries, [num_queries, dim] float32; changes nothing."""
        return LshIndex.build(self.index.vectors[:num_rows], replace(HASHING, threads=1), queries=queries)

    def take_hashed(self, hashed: LshIndex) -> None:
        """Searches hash tables of the first rows from now on, to which the rows since are added; for the writer."""
        hashed.append(self.index.vectors[hashed.num_rows :])
        self._hashed = hashed

    def _append_hashed(self, vectors: FloatArray) -> None:
        if self._hashed is not None:
            try:
                self._hashed.append(vectors)
            except MemoryError:  # scans need nothing more; a view that finds no tables scans
                self._hashed = None

    def find(self, item_id: str, live: RowBitmap, num_rows: int) -> int:
        """Returns the row that holds an item in the view of `live` and `num_rows`, or -1."""
        row = self._last_row.get(item_id, -1)
        while row >= num_rows:
            row = self._row_before[row]
        return row if row >= 0 and bitmap.contains(live, row) else -1

    def compacted(self, live: RowBitmap, num_rows: int) -> FreshPart:
        """Returns a new part with the live rows of a view alone, in their order, not hashed."""
        rows = bitmap.to_rows(live, num_rows)
        part = FreshPart(self.index.dim, has_content=self.sparse is not None)
        if rows.size:
            bags = None if self.sparse is None else self.sparse.bags.take(rows)
            item_ids = [self.item_ids[row] for row in rows]
            part.append(NewRows(item_ids=item_ids, vectors=self.index.vectors[rows], bags=bags))
        part.attributes = None if self.attributes is None else self.attributes.taken(rows)
        return part
