"""The users of a data folder as the retriever asks for them: what a catalogue answers after a load of the folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from recall.schema import FeatureMap
from recall.tables import ITEM_ID, SPLIT, TIMESTAMP, TRAIN, USER_ID, DataFolder


class FolderUsers:
    """Features and histories by user id.

    Attributes:
        user_ids: The users of `users.parquet`, then those that have only interactions, each in file order.
    """

    def __init__(self, data: DataFolder, interactions: pl.DataFrame) -> None:
        """Reads the users.

        Args:
            data: The folder.
            interactions: Those of the folder; with a `split` column only the train part makes histories.

        Raises:
            DataError: The table of users breaks its contract.
        """
        known, features = data.users()
        self._features: dict[str, FeatureMap] = dict(zip(known, features, strict=True))
        self.user_ids: Sequence[str] = list(
            dict.fromkeys(known + interactions[USER_ID].unique(maintain_order=True).to_list())
        )
        past = _train(interactions)
        bounds = past.group_by(USER_ID, maintain_order=True).len()
        ends = np.cumsum(bounds["len"].to_numpy(), dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        self._bounds = dict(
            zip(bounds[USER_ID].to_list(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True)
        )
        self._items = past[ITEM_ID]

    def get_user(self, user_id: str) -> FeatureMap | None:
        """Returns the raw features of a user, or None for one without a row."""
        return self._features.get(user_id)

    def features_of(self, user_ids: Sequence[str]) -> dict[str, FeatureMap]:
        """Returns the raw features of those users that have a row, by id."""
        return {user_id: self._features[user_id] for user_id in user_ids if user_id in self._features}

    def histories(self, user_ids: Sequence[str], limit: int) -> dict[str, tuple[str, ...]]:
        """Returns the last `limit` distinct items of each user, oldest first: by time, then in file order."""
        return {user_id: self.history(user_id, limit) for user_id in user_ids}

    def history(self, user_id: str, limit: int) -> tuple[str, ...]:
        """Returns the same of one user."""
        start, end = self._bounds.get(user_id, (0, 0))
        latest = dict.fromkeys(reversed(self._items[start:end].to_list()))
        return tuple(reversed(list(latest)[:limit]))


def _train(interactions: pl.DataFrame) -> pl.DataFrame:
    """Returns the train part, by user, each user's in time order."""
    if SPLIT in interactions.columns:
        interactions = interactions.filter(pl.col(SPLIT) == TRAIN)
    order = [USER_ID] + [TIMESTAMP] * (TIMESTAMP in interactions.columns)
    return interactions.sort(order, maintain_order=True).select(USER_ID, ITEM_ID)
