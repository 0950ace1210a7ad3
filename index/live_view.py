"""Some items of a live index at one moment, for readers: those that are told apart, or those that pass a filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index.bags import Bags
from index.conditions import Condition
from index.filtering import filtered
from index.protocols import FloatArray, Hits, SearchOptions
from index.view import View
from index.view_search import search_checked


class LiveView:
    """What `LiveIndex.subset` and `LiveIndex.filtered` return; read like the index itself."""

    def __init__(self, view: View) -> None:
        """Takes a view in which the items alone are live."""
        self._view = view

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
