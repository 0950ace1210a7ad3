"""Content kNN: exact nearest neighbours over whole bags (`training.bags`), without any training.

score(user, item) = dot product of the user's profile, the sum of the bag rows of the history, with the item's bag row.
A user without history scores every item 0 and gets them in id order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recall.schema import FeatureMap, FeatureSpec
from training.bags import build_bags, user_profiles
from training.baselines.ranking import ItemRows, rank_by_score
from training.recommender import CandidateSet, EvaluationUser


class ContentKnn:
    """Ranks items by the words and set values that they share with the user's history."""

    channel = "content"

    def __init__(self, item_ids: Sequence[str], features: Sequence[FeatureMap], specs: Sequence[FeatureSpec]) -> None:
        """Builds the bags of all items.

        Args:
            item_ids: All items of the data folder; the IDF counts over them.
            features: Raw features, one map an item.
            specs: Features that enter the bag; other kinds than text and set add nothing.
        """
        self._items = ItemRows.of(item_ids)
        by_id = dict(zip(item_ids, features, strict=True))
        self._bags = build_bags([by_id[item_id] for item_id in self._items.item_ids], specs)

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates a user by dot product with the profile; see `Recommender`."""
        return rank_by_score(users, k, candidates, items=self._items, score=self._scores)

    def _scores(self, users: Sequence[EvaluationUser], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        profiles = user_profiles(self._bags, [self._items.rows(user.history) for user in users])
        scores: NDArray[np.float32] = (profiles @ self._bags.rows[rows].T).toarray().astype(np.float32)
        return scores
