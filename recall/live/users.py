"""Where recalls find what is stored of users."""

from __future__ import annotations

from typing import Protocol

from recall.schema import FeatureMap


class UserStore(Protocol):
    """What is stored of users; the catalogue is one."""

    def get_user(self, user_id: str) -> FeatureMap | None:
        """Returns raw features, or None for an unknown user."""

    def history(self, user_id: str, limit: int) -> tuple[str, ...]:
        """Returns the last `limit` item ids, oldest first."""


class RememberedUsers:
    """A `UserStore` that gives the same answer again, whatever was written since the first; for few questions."""

    def __init__(self, users: UserStore) -> None:
        """Takes whom to ask first."""
        self._users = users
        self._features: dict[str, FeatureMap | None] = {}
        self._histories: dict[tuple[str, int], tuple[str, ...]] = {}

    def get_user(self, user_id: str) -> FeatureMap | None:
        """Returns raw features, or None for an unknown user."""
        if user_id not in self._features:
            self._features[user_id] = self._users.get_user(user_id)
        return self._features[user_id]

    def history(self, user_id: str, limit: int) -> tuple[str, ...]:
        """Returns the last `limit` item ids, oldest first."""
        if (user_id, limit) not in self._histories:
            self._histories[user_id, limit] = self._users.history(user_id, limit)
        return self._histories[user_id, limit]
