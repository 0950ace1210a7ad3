"""Friends: what the people whom a user names have had, the plain answer to a user without any history.

Friends of a user are the other users whom the user's features name. A feature names users where it is a set whose hash
domain is `user_id`: declared in `dataset.toml` (`[domains]`), or found by `training.references`; several such features
count together, each friend once. Only friends with a train interaction count.

score(user, item) = share of these friends with a train interaction with the item, that is the mean of their train
histories as zeros and ones. Ties stand in id order. A user without such a friend gets the items by popularity, as the
channel `popularity` orders them. The user's own history has no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recall.errors import DataError
from recall.schema import FeatureMap, FeatureSpec
from recall.tables import ITEM_ID, USER_ID
from training.baselines.ranking import ItemRows, rank_by_score
from training.recommender import CandidateSet, EvaluationUser
from training.references import Side, with_references

_SEED = 0
"""Of the links that are looked at to tell references from other numbers."""


class Friends:
    """Ranks items by the share of the user's friends who have had them."""

    channel = "friends"

    def __init__(self, item_ids: Sequence[str], train: pl.DataFrame, *, features: Sequence[str]) -> None:
        """Keeps the train histories.

        Args:
            item_ids: All items.
            train: `user_id` and `item_id` of the train interactions.
            features: User features that name users, see `friend_features`.
        """
        self._items = ItemRows.of(item_ids)
        user_ids = train[USER_ID].unique().sort().to_list()
        self._row_of = {user_id: row for row, user_id in enumerate(user_ids)}
        self._had = _ones(train, self._row_of, self._items.row_of)
        self._features = tuple(features)
        self._counts = np.bincount(self._items.rows(train[ITEM_ID]), minlength=len(self._items.item_ids))

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates a user by share of friends; see `Recommender`."""
        return rank_by_score(users, k, candidates, items=self._items, score=self._scores)

    def _scores(self, users: Sequence[EvaluationUser], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        friends = [self._friends(user) for user in users]
        counts = np.array([len(found) for found in friends], dtype=np.int64)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        named = np.array([row for found in friends for row in found], dtype=np.int64)
        ones = np.ones(len(named), dtype=np.float32)
        links = sparse.csr_matrix((ones, named, indptr), shape=(len(users), len(self._row_of)))
        # Whole numbers divided by one number: equal shares are equal floats.
        shares = (links @ self._had[:, rows]).toarray() / np.maximum(counts, 1)[:, None]
        scores: NDArray[np.float32] = np.where(counts[:, None] > 0, shares, self._counts[rows]).astype(np.float32)
        return scores

    def _friends(self, user: EvaluationUser) -> list[int]:
        named = {value for name in self._features for value in _named(user.features, name)} - {user.user_id}
        return sorted(self._row_of[value] for value in named if value in self._row_of)


def friend_features(
    specs: Sequence[FeatureSpec], users: Mapping[str, FeatureMap], train: pl.DataFrame
) -> tuple[str, ...]:
    """Returns the user features that name other users, at least one.

    Args:
        specs: User features of the data folder.
        users: Raw features by user id.
        train: `user_id` and `item_id` of the train interactions.

    Raises:
        DataError: There is no such feature.
    """
    found = find_friend_features(specs, users, train)
    if not found:
        seen = ", ".join(f"{spec.name} ({spec.kind})" for spec in specs) or "none"
        raise DataError(
            f"channel {Friends.channel!r} needs a user feature whose values are user ids, and there is none among:"
            f' {seen}; declare a set column as such in dataset.toml ([domains] "users.COLUMN" = "{USER_ID}"), or leave'
            " the channel out"
        )
    return found


def find_friend_features(
    specs: Sequence[FeatureSpec], users: Mapping[str, FeatureMap], train: pl.DataFrame
) -> tuple[str, ...]:
    """Returns the user features that name other users, none where there is none; arguments as `friend_features`."""
    if not any(spec.kind == "set" for spec in specs):
        return ()
    user_ids = list(dict.fromkeys([*users, *train[USER_ID].to_list()]))
    row_of = {user_id: row for row, user_id in enumerate(user_ids)}
    columns = {item_id: row for row, item_id in enumerate(train[ITEM_ID].unique().sort().to_list())}
    side = Side(id_domain=USER_ID, ids=user_ids, rows=list(users.values()), seen=lambda: _ones(train, row_of, columns))
    named = with_references(specs, side, seed=_SEED)
    return tuple(spec.name for spec in named if spec.kind == "set" and spec.domain == USER_ID)


def _named(features: FeatureMap, name: str) -> tuple[str, ...]:
    value = features.get(name, ())
    assert isinstance(value, tuple)  # it is a set feature
    return value


def _ones(train: pl.DataFrame, user_rows: Mapping[str, int], item_rows: Mapping[str, int]) -> sparse.csr_matrix:
    """Returns [num_users, num_items] float32 ones."""
    distinct = train.select(USER_ID, ITEM_ID).unique(maintain_order=True)
    users = [user_rows[user_id] for user_id in distinct[USER_ID].to_list()]
    items = [item_rows[item_id] for item_id in distinct[ITEM_ID].to_list()]
    shape = (len(user_rows), len(item_rows))
    return sparse.csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=shape)
