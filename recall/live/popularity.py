"""The answer where nothing is known of a user: the most interacted-with items, then all others in id order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, compress, islice

import numpy as np

from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import Hits, SearchOptions
from index.subset import Test, tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Popularity:
    """Items ranked by how many interactions they have.

    Attributes:
        ranking: Count by item id, from 1 up, in the order count descending, then id ascending.
    """

    ranking: Mapping[str, int]

    @classmethod
    def from_counts(cls, counts: Iterable[tuple[str, int]]) -> Popularity:
        """Ranks items by their counts; those without an interaction are left out."""
        seen = ((item_id, int(count)) for item_id, count in counts if count > 0)
        return cls(ranking=dict(sorted(seen, key=lambda pair: (-pair[1], pair[0]))))

    def among(self, test: Test) -> Popularity:
        """Returns the ranking of those items alone that a test of ids picks."""
        item_ids = list(self.ranking)
        return Popularity(ranking={i: self.ranking[i] for i in compress(item_ids, tested(test, item_ids))})

    def top(self, index: LiveIndex | LiveView, limit: int, options: SearchOptions) -> Hits:
        """Returns the most popular live items; fewer than `limit` only where fewer are eligible.

        Scores are interaction counts, 0 for items without one.
        """
        excluded = frozenset(options.exclude)
        if options.filter is not None:
            index = index.filtered(options.filter)
        eligible = (i for i in self._ordered(index, options) if i not in excluded and i in index)
        item_ids = list(islice(eligible, limit))
        return Hits(item_ids, np.array([self.ranking.get(i, 0) for i in item_ids], dtype=np.float32))

    def _ordered(self, index: LiveIndex | LiveView, options: SearchOptions) -> Iterable[str]:
        if options.candidates is not None:
            return sorted(set(options.candidates), key=lambda i: (-self.ranking.get(i, 0), i))
        return chain(self.ranking, (i for i in index.item_ids() if i not in self.ranking))
