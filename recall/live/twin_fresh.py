"""The token sets of items written since the snapshot, in insertion order.

Only the writer changes it, and only by adding at the end; arrays that are full give way to larger copies. A reader
holds a row count and a live bitmap, so rows added later do not exist for it. There are no tables: sets are compared one
by one, so that whatever was written is found for certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index import bitmap
from index.protocols import RowArray, RowBitmap
from recall.model.codes import IdArray
from recall.model.token_sets import TokenSets

_Scalar = TypeVar("_Scalar", np.int64, np.uint64)

_FIRST_ROWS, _FIRST_TOKENS = 64, 1024


class FreshTwins:
    """Rows of token sets with their item ids; at most one row of an item is live in a view."""

    def __init__(self) -> None:
        """Starts empty."""
        self.item_ids: list[str] = []
        self._last_row: dict[str, int] = {}
        self._row_before: list[int] = []
        self._tokens: IdArray = np.empty(_FIRST_TOKENS, dtype=np.uint64)
        self._offsets: RowArray = np.zeros(_FIRST_ROWS, dtype=np.int64)

    @property
    def num_rows(self) -> int:
        """Rows added so far, live or not."""
        return len(self.item_ids)

    def sets(self, num_rows: int) -> TokenSets:
        """Returns the first `num_rows` token sets; nothing is copied."""
        offsets = self._offsets[: num_rows + 1]
        return TokenSets(tokens=self._tokens[: offsets[-1]], offsets=offsets)

    def append(self, item_ids: Sequence[str], sets: TokenSets) -> RowArray:
        """Adds one row an item and returns the rows, [len(item_ids)] int64."""
        first, start = self.num_rows, int(self._offsets[self.num_rows])
        stop = start + int(sets.offsets[-1])
        self._tokens = _grown(self._tokens, stop)
        self._offsets = _grown(self._offsets, first + len(item_ids) + 1)
        self._tokens[start:stop] = sets.tokens[: stop - start]
        self._offsets[first + 1 : first + len(item_ids) + 1] = start + sets.offsets[1:]
        for row, item_id in enumerate(item_ids, start=first):
            # The id leads to the row only once everything about the row is there.
            self.item_ids.append(item_id)
            self._row_before.append(self._last_row.get(item_id, -1))
            self._last_row[item_id] = row
        return np.arange(first, first + len(item_ids), dtype=np.int64)

    def find(self, item_id: str, live: RowBitmap, num_rows: int) -> int:
        """Returns the row that holds an item in the view of `live` and `num_rows`, or -1."""
        row = self._last_row.get(item_id, -1)
        while row >= num_rows:
            row = self._row_before[row]
        return row if row >= 0 and bitmap.contains(live, row) else -1

    def compacted(self, live: RowBitmap, num_rows: int) -> FreshTwins:
        """Returns a new part with the live rows of a view alone, in their order."""
        rows = bitmap.to_rows(live, num_rows)
        part = FreshTwins()
        part.append([self.item_ids[row] for row in rows], self.sets(num_rows).take(rows))
        return part


def _grown(array: NDArray[_Scalar], size: int) -> NDArray[_Scalar]:
    if size <= array.size:
        return array
    grown = np.zeros(max(size, 2 * array.size), dtype=array.dtype)
    grown[: array.size] = array
    return grown
