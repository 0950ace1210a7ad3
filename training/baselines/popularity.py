"""Popularity: the same ranking for everyone, by the number of train interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.baselines.ranking import ItemRows, rank_by_score
from training.recommender import CandidateSet, EvaluationUser


class Popularity:
    """Ranks items by how often they were seen; unseen items come last, in id order."""

    channel = "popularity"

    def __init__(self, item_ids: Sequence[str], counts: Mapping[str, int]) -> None:
        """Keeps the counts.

        Args:
            item_ids: All items.
            counts: Train interactions of each item; absent means 0.
        """
        self._items = ItemRows.of(item_ids)
        self._counts = np.array([counts.get(item_id, 0) for item_id in self._items.item_ids], dtype=np.float32)

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns the `k` most popular candidates that the user may get; see `Recommender`."""
        return rank_by_score(users, k, candidates, items=self._items, score=self._scores)

    def _scores(self, users: Sequence[EvaluationUser], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.broadcast_to(self._counts[rows], (len(users), len(rows)))
