"""Random: what a ranking without any knowledge gets, reproducible for each user and item.

score(user, item) = upper 24 bits of mix(hash(user) XOR hash(item)), where both hashes are xxh3_64 in domains that hold
the seed and mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"; constants of Stafford's variant 13). 24 bits are what a float32 holds exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recall.model.hashing import hash_values
from training.baselines.ranking import ItemRows, rank_by_score
from training.recommender import CandidateSet, EvaluationUser


class Random:
    """Ranks items by a hash of user, item and seed."""

    channel = "random"

    def __init__(self, item_ids: Sequence[str], *, seed: int = 0) -> None:
        """Hashes the items.

        Args:
            item_ids: All items.
            seed: Another one gives other rankings.
        """
        self._items = ItemRows.of(item_ids)
        self._user_domain = f"random:user:{seed}"
        self._item_hashes = hash_values(f"random:item:{seed}", self._items.item_ids)

    def recommend(self, users: Sequence[EvaluationUser], k: int, candidates: CandidateSet) -> list[list[str]]:
        """Returns `k` candidates drawn for the user; see `Recommender`."""
        return rank_by_score(users, k, candidates, items=self._items, score=self._scores)

    def _scores(self, users: Sequence[EvaluationUser], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        user_hashes = hash_values(self._user_domain, [user.user_id for user in users])
        mixed = _mix(user_hashes[:, None] ^ self._item_hashes[rows][None, :])
        return (mixed >> np.uint64(40)).astype(np.float32)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
