"""Items of a live index at one moment, for readers: all of them, or those that are told apart or filtered.

What several questions ask of one view is consistent, whatever is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.bags import Bags
from index.conditions import Condition
from index.filtering import filtered
from index.protocols import FloatArray, Hits, SearchOptions
from index.view import Located, View
from index.view_search import search_checked


class LiveView:
    """What `LiveIndex.view`, `subset` and `filtered` return; read like the index itself."""

    def __init__(self, view: View) -> None:
        """Takes a view in which the items alone are live."""
        self._view = view

    @property
    def sequence(self) -> int:
        """Number of the last write that the view reflects."""
        return self._view.sequence

    @property
    def num_items(self) -> int:
        """Items that a search may return."""
        return self._view.num_base_live + self._view.num_fresh_live

    def __contains__(self, item_id: str) -> bool:
        """Returns whether a search may return the item."""
        return self._view.holds(item_id)

    def item_ids(self) -> Iterator[str]:
        """Yields the items, ascending in UTF-8 byte order."""
        return self._view.live_ids()

    def part_of(self, item_id: str) -> Literal["base", "fresh"] | None:
        """Returns which part holds an item, None where none does."""
        if self._view.fresh_row(item_id) >= 0:
            return "fresh"
        return "base" if self._view.base_row(item_id) >= 0 else None

    def search(
        self,
        queries: FloatArray,
        k: int,
        options: Sequence[SearchOptions] | None = None,
        *,
        profiles: Bags | None = None,
    ) -> list[Hits]:
        """Returns up to `k` items a query, fewer only where fewer are eligible; see `LiveIndex.search`."""
        return search_checked(self._view, queries, k, options, profiles=profiles)

    def filtered(self, condition: Condition) -> LiveView:
        """Returns those of them for which a condition holds; see `LiveIndex.filtered`."""
        return LiveView(filtered(self._view, condition))

    def subset(self) -> LiveView | None:
        """Returns those of them that are told apart, None where none are; see `LiveIndex.tell_apart`."""
        subset = self._view.subset
        return None if subset is None else LiveView(subset.narrowed(self._view))

    def gather(self, item_ids: Sequence[str]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns vectors by item id; see `LiveIndex.gather`."""
        located = self._view.locate(item_ids)
        return self._view.vectors_at(located), _mask(located, len(item_ids))

    def gather_bags(self, item_ids: Sequence[str]) -> tuple[Bags, NDArray[np.bool_]]:
        """Returns bags by item id; see `LiveIndex.gather_bags`."""
        located = self._view.locate(item_ids)
        return self._view.bags_at(located), _mask(located, len(item_ids))


def _mask(located: Located, num_items: int) -> NDArray[np.bool_]:
    mask = np.zeros(num_items, dtype=np.bool_)
    mask[located.places] = True
    return mask
