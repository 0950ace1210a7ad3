"""What is evaluated: a `Recommender` ranks candidates for users. Baselines, models, snapshots and servers are ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recall.schema import FeatureMap


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationUser:
    """What a recommender may know of a user.

    Attributes:
        user_id: The user.
        features: Raw user features; empty where there are none.
        history: Items of the parts that come before the evaluated one, oldest first.
        exclude: Items left out of the ranking; holds the history and all interactions of the other parts.
    """

    user_id: str
    features: FeatureMap
    history: tuple[str, ...]
    exclude: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """The items that are ranked.

    Attributes:
        name: `all`, `warm`, `cold`, `cold-split`, or the name of the file that lists them.
        item_ids: The items, ascending in UTF-8 byte order.
        is_everything: Whether these are all items, so that no restriction need be sent along.
    """

    name: str
    item_ids: tuple[str, ...]
    is_everything: bool


class Recommender(Protocol):
    """Ranks candidates for users."""

    @property
    def channel(self) -> str:
        """Name of the channel, for example `content`."""

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns up to `k` candidates for each user, best first, none of `user.exclude`.

        Args:
            users: Any number; implementations work in batches.
            k: Items wanted, at least 1.
            candidates: The only items that may be returned.
        """
