"""Ranking by a score of every candidate: what the baselines share beside the way they score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.topk import best
from training.recommender import CandidateSet, EvaluationUser

_BATCH_SCORES = 1 << 23
"""Scores held at once: 8 million."""

ScoreBatch: TypeAlias = Callable[[Sequence[EvaluationUser], NDArray[np.int64]], NDArray[np.float32]]
"""Users and candidate item rows to scores, [num_users, num_candidates]; greater is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRows:
    """Items by dense row, rows in the order that breaks ties.

    Attributes:
        item_ids: Ascending in UTF-8 byte order.
        row_of: Row of each item id.
    """

    item_ids: tuple[str, ...]
    row_of: Mapping[str, int]

    @classmethod
    def of(cls, item_ids: Iterable[str]) -> ItemRows:
        """Orders distinct item ids. Python orders strings by code point, which is UTF-8 byte order."""
        ordered = tuple(sorted(item_ids))
        return cls(item_ids=ordered, row_of={item_id: row for row, item_id in enumerate(ordered)})

    def rows(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """Returns the rows of those ids that are held, in the order given."""
        found = (self.row_of.get(item_id) for item_id in item_ids)
        return np.array([row for row in found if row is not None], dtype=np.int64)


def rank_by_score(
    users: Sequence[EvaluationUser], k: int, candidates: CandidateSet, *, items: ItemRows, score: ScoreBatch
) -> list[list[str]]:
    """Ranks the candidates of each user by score descending, then item id ascending, less `user.exclude`.

    Args:
        users: Any number; scored in batches of bounded memory.
        k: Items wanted.
        candidates: The only items that may be returned.
        items: Rows that `score` speaks of; candidates that they lack are never returned.
        score: Scores a batch of users.
    """
    rows = np.sort(items.rows(candidates.item_ids))
    batch_size = max(1, _BATCH_SCORES // max(1, len(rows)))
    rankings: list[list[str]] = []
    for start in range(0, len(users), batch_size):
        batch = users[start : start + batch_size]
        for user, line in zip(batch, score(batch, rows), strict=True):
            eligible = _eligible(rows, items.rows(user.exclude), len(items.item_ids))
            found, _ = best(rows[eligible], line[eligible], k)
            rankings.append([items.item_ids[row] for row in found])
    return rankings


def _eligible(rows: NDArray[np.int64], excluded: NDArray[np.int64], num_items: int) -> NDArray[np.int64]:
    is_excluded = np.zeros(num_items, dtype=np.bool_)
    is_excluded[excluded] = True
    return np.flatnonzero(~is_excluded[rows])
