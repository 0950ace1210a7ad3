"""The validation score that chooses the epoch: recall@K by exact search over the towers' own vectors.

The score is the mean over the parts there are of: Recall@K of warm items among all warm items, and Recall@K of cold
items among the cold items of the validation part. So a data set with a cold validation part is judged on its cold items
and one without on its warm ones. Where the validation part was carved out of train only warm items count.

Two things keep noise from choosing. K is at most a fifth of the candidates: a list that holds nearly all of them finds
everything, whatever the model. And a part with fewer than a tenth of the users of the other is left out of the mean:
one user of it would move the score as ten of the other do, as where a split by time leaves a handful of cold items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.model.hashing import hash_values
from training.dataset import RowArray, TrainingData

_CHUNK = 512
_SCORES_AT_ONCE = 1 << 25
_CANDIDATES_PER_PLACE = 5
_LEAST_SHARE_OF_USERS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPart:
    """Users with a validation item among the candidates.

    Attributes:
        users: [n] user rows.
        candidates: [c] item rows, ascending.
        relevant: [n, c] ones at validation items.
        seen: [n, c] ones at training items, which are left out of the ranking.
    """

    users: RowArray
    candidates: RowArray
    relevant: csr_matrix
    seen: csr_matrix

    def depth(self, k: int) -> int:
        """Returns the length of the lists that are looked at: `k`, or less where there are few candidates."""
        return max(1, min(k, len(self.candidates) // _CANDIDATES_PER_PLACE))

    def chunks(self, most: int) -> Iterator[slice]:
        """Yields some users after others, at most so many, and fewer where each has a great many candidates."""
        size = max(1, min(most, _SCORES_AT_ONCE // max(1, len(self.candidates))))
        for start in range(0, len(self.users), size):
            yield slice(start, min(start + size, len(self.users)))


def validation_parts(data: TrainingData, *, max_users: int, seed: int) -> list[ValidationPart]:
    """Returns the warm and the cold part of the validation interactions, those that are not empty."""
    pairs = _not_in_train(_sampled(data, max_users, seed), data)
    cold = data.item_counts() == 0
    parts = []
    # In a carved part an item is cold only because its few interactions all fell into it: that tells nothing.
    for is_cold in (False,) if data.carved and not cold[pairs[:, 1]].all() else (False, True):
        chosen = pairs[cold[pairs[:, 1]] == is_cold]
        if len(chosen):
            candidates = np.unique(chosen[:, 1]) if is_cold else np.flatnonzero(~cold)
            parts.append(_part(data, chosen, candidates))
    return parts


def telling_parts(parts: list[ValidationPart]) -> list[ValidationPart]:
    """Returns the parts without those that have too few users beside the largest."""
    most = max((len(part.users) for part in parts), default=0)
    return [part for part in parts if len(part.users) >= _LEAST_SHARE_OF_USERS * most]


def mixed_part(data: TrainingData, *, max_users: int, seed: int) -> ValidationPart:
    """Returns all validation interactions at once, with every item as a candidate."""
    return _part(data, _not_in_train(_sampled(data, max_users, seed), data), np.arange(len(data.item_ids)))


def recall_at(part: ValidationPart, users: NDArray[np.float32], items: NDArray[np.float32], *, k: int) -> float:
    """Returns the mean Recall@K of a part.

    Args:
        part: Whom to rank what for.
        users: [n, dim] float32, the vectors of `part.users`.
        items: [num_items, dim] float32, all item vectors.
        k: Length of the lists.
    """
    k = min(k, len(part.candidates))
    hits = np.empty((len(users), k), dtype=np.bool_)
    columns = items[part.candidates]
    for rows in part.chunks(_CHUNK):
        scores = users[rows] @ columns.T
        scores[part.seen[rows].nonzero()] = -np.inf
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        hits[rows] = np.take_along_axis(part.relevant[rows].toarray() > 0, top, axis=1)
    return float((hits.sum(axis=1) / np.diff(part.relevant.indptr)).mean())


def _sampled(data: TrainingData, max_users: int, seed: int) -> RowArray:
    users = np.unique(data.validation[:, 0])
    if len(users) <= max_users:
        return data.validation
    draws = hash_values(f"validation:{seed}", [data.user_ids[row] for row in users])
    return data.validation[np.isin(data.validation[:, 0], users[np.argsort(draws)[:max_users]])]


def _not_in_train(pairs: RowArray, data: TrainingData) -> RowArray:
    # An item that a user comes back to is left out of the ranking, so it cannot be found.
    num_items = len(data.item_ids)
    train = data.train[_among(pairs[:, 0], len(data.user_ids))[data.train[:, 0]]]
    keys, seen = (rows[:, 0] * num_items + rows[:, 1] for rows in (pairs, train))
    return pairs[~np.isin(keys, seen)]


def _part(data: TrainingData, pairs: RowArray, candidates: RowArray) -> ValidationPart:
    users = np.unique(pairs[:, 0])
    sides = (_among(users, len(data.user_ids)), _among(candidates, len(data.item_ids)))
    return ValidationPart(
        users=users,
        candidates=candidates,
        relevant=_ones(pairs, users, candidates, sides=sides),
        seen=_ones(data.train, users, candidates, sides=sides),
    )


def _among(rows: RowArray, num_rows: int) -> NDArray[np.bool_]:
    """Returns which of all rows are among some, [num_rows]."""
    among = np.zeros(num_rows, dtype=np.bool_)
    among[rows] = True
    return among


def _ones(
    pairs: RowArray, users: RowArray, candidates: RowArray, *, sides: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> csr_matrix:
    pairs = pairs[sides[0][pairs[:, 0]]]
    pairs = pairs[sides[1][pairs[:, 1]]]
    rows, columns = np.searchsorted(users, pairs[:, 0]), np.searchsorted(candidates, pairs[:, 1])
    matrix = csr_matrix((np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=(len(users), len(candidates)))
    matrix.sum_duplicates()
    return matrix
