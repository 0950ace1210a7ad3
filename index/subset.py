"""Items of a live index that a fixed test of ids picks, told apart in every view and searched like the whole.

Each view has two more bitmaps: base and fresh rows whose ids pass the test, live or not. They are made once from the
ids that are held, and every write adds the fresh rows that it appends, so an id is tested once a row. Which of these
rows are live is the view's to say; a view with the others taken for dead is searched as any view is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index import bitmap
from index.protocols import RowArray, RowBitmap

if TYPE_CHECKING:
    from index.view import View

Test: TypeAlias = Callable[[Sequence[str]], NDArray[np.bool_]]
"""Returns which of some ids it picks, [len(item_ids)] bool; always the same for one id."""

_IDS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The rows of one view whose ids a test picks.

    Attributes:
        test: The test.
        base: Base rows, live or not.
        fresh: Fresh rows, live or not.
    """

    test: Test
    base: RowBitmap
    fresh: RowBitmap

    @classmethod
    def of(cls, test: Test, base_ids: Sequence[str], fresh_ids: Sequence[str]) -> Subset:
        """Tests the ids of all rows."""
        base, fresh = (bitmap.from_mask(tested(test, item_ids)) for item_ids in (base_ids, fresh_ids))
        return cls(test=test, base=base, fresh=fresh)

    def appended(self, item_ids: Sequence[str], rows: RowArray, num_rows: int) -> Subset:
        """Returns the subset where fresh `rows`, the last of `num_rows`, hold `item_ids`."""
        fresh = bitmap.resized(self.fresh, num_rows)
        return replace(self, fresh=bitmap.with_rows(fresh, rows[tested(self.test, item_ids)]))

    def compacted(self, rows: RowArray) -> Subset:
        """Returns the subset where of the fresh rows only `rows` are kept, in this order."""
        mask = bitmap.to_mask(self.fresh, 0, 8 * self.fresh.size)
        return replace(self, fresh=bitmap.from_mask(mask[rows]))

    def narrowed(self, view: View) -> View:
        """Returns a view to read in which every row outside of the subset is dead."""
        return view.narrowed(view.base_live & self.base, view.fresh_live & self.fresh)


def tested(test: Test, item_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Returns which ids the test picks, [len(item_ids)] bool, asking for a bounded number at once."""
    parts: Iterator[NDArray[np.bool_]] = (
        test(item_ids[start : start + _IDS_AT_ONCE]) for start in range(0, len(item_ids), _IDS_AT_ONCE)
    )
    return np.concatenate([np.empty(0, dtype=np.bool_), *parts])
