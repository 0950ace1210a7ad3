"""Where recalls find what is stored of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from recall.schema import FeatureMap


class UserStore(Protocol):
    """What is stored of users, who are asked for together; the catalogue is one."""

    def features_of(self, user_ids: Sequence[str]) -> Mapping[str, FeatureMap]:
        """Returns raw features of those users that are known, by id."""

    def histories(self, user_ids: Sequence[str], limit: int) -> Mapping[str, tuple[str, ...]]:
        """Returns the last `limit` item ids of each user, oldest first; none of an unknown one."""


class RememberedUsers:
    """A `UserStore` that gives the same answer again, whatever was written since the first; for few questions."""

    def __init__(self, users: UserStore) -> None:
        """Takes whom to ask first."""
        self._users = users
        self._features: dict[str, FeatureMap | None] = {}
        self._histories: dict[int, dict[str, tuple[str, ...]]] = {}

    def features_of(self, user_ids: Sequence[str]) -> Mapping[str, FeatureMap]:
        """Returns raw features of those users that were known when they were first asked for, by id."""
        new = [user_id for user_id in user_ids if user_id not in self._features]
        if new:
            self._features |= dict.fromkeys(new) | dict(self._users.features_of(new))
        kept = ((user_id, self._features[user_id]) for user_id in user_ids)
        return {user_id: features for user_id, features in kept if features is not None}

    def histories(self, user_ids: Sequence[str], limit: int) -> Mapping[str, tuple[str, ...]]:
        """Returns the last `limit` item ids of each user, oldest first."""
        known = self._histories.setdefault(limit, {})
        new = [user_id for user_id in user_ids if user_id not in known]
        if new:
            known |= self._users.histories(new, limit)
        return {user_id: known[user_id] for user_id in user_ids}
