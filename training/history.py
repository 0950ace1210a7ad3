"""Histories as the user tower sees them in training: what a user had besides the target, or had before it.

Item vectors are those of the last refresh and carry no gradient. A refresh embeds the whole catalogue; for means it is
summed up once a user, so that the mean for one example is a subtraction, however long the history is, or, where that
would take too much memory, when a step asks for it. Where the order counts (the pooling `recent`), an example sees only
what came before it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.model.inputs import PreparedRows
from training.dataset import TrainingData

_MOST_SUMS = 1 << 26
"""Numbers that all sums together may have: 256 MiB."""


class Histories(Protocol):
    """Histories from a catalogue that changes while it is trained."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[num_items, dim] float32 item vectors of the last refresh."""

    def refresh(self, model: EmbeddingModel, items: PreparedRows) -> None:
        """Embeds all items with the model as it is now."""

    def hold(self, vectors: NDArray[np.float32]) -> None:
        """Takes item vectors, [num_items, dim] float32, as those of the last refresh."""

    def whole(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns all that each user had, as `UserTower` takes it."""

    def of_examples(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns what the users of some train interactions, by their place, had without them."""


def histories_of(data: TrainingData, config: TowerConfig) -> Histories:
    """Returns the histories that the pooling of a model wants."""
    if config.pooling == "recent":
        return LatestHistories(data, latest=config.latest, dim=config.dim)
    return HistoryPool(data.histories(config.max_history), config.dim, pairs=data.train)


class LatestHistories:
    """The latest items of each user, newest first, and before each interaction.

    Attributes:
        vectors: [num_items, dim] float32 item vectors of the last refresh.
    """

    def __init__(self, data: TrainingData, *, latest: int, dim: int) -> None:
        """Starts with zero vectors; refresh before use."""
        self._items = data.train[:, 1]
        self._targets = data.train[:, 1]
        counts = data.user_counts()
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts
        self._first = np.repeat(self._starts, counts)  # of the user of each interaction
        self._ages = np.arange(1, latest + 1)
        self.vectors: NDArray[np.float32] = np.zeros((len(data.item_ids), dim), dtype=np.float32)

    def refresh(self, model: EmbeddingModel, items: PreparedRows) -> None:
        """Embeds all items with the model as it is now."""
        self.hold(model.embed_prepared_items(items))

    def hold(self, vectors: NDArray[np.float32]) -> None:
        """Takes item vectors, [num_items, dim] float32, as those of the last refresh."""
        self.vectors = vectors

    def whole(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the last items of each user, [n, latest, dim] float32, zeros behind the first."""
        return self._gathered(self._ends[users], self._starts[users])[0]

    def of_examples(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the items before each interaction, likewise; one that is the target itself is left out."""
        histories, items = self._gathered(places, self._first[places])
        histories[items == self._targets[places][:, None]] = 0.0
        return histories

    def _gathered(
        self, ends: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        places = ends[:, None] - self._ages
        is_there = places >= starts[:, None]
        items = self._items[np.maximum(places, 0)]
        histories = self.vectors[items]
        histories[~is_there] = 0.0
        return histories, items


class HistoryPool:
    """Mean history vectors, of all that a user had but the target.

    Attributes:
        vectors: [num_items, dim] float32 item vectors of the last refresh.
    """

    def __init__(self, histories: csr_matrix, dim: int, *, pairs: NDArray[np.int64] | None = None) -> None:
        """Starts with zero vectors; refresh before use.

        Args:
            histories: [num_users, num_items] float32, how often an item is in a history.
            dim: Length of a vector.
            pairs: [num_train, 2] int64 (user row, item row) of the train interactions, for `of_examples`.
        """
        self._histories = histories
        self._pairs = pairs
        self._lengths = np.asarray(histories.sum(axis=1)).reshape(-1).astype(np.int64)
        self.vectors: NDArray[np.float32] = np.zeros((histories.shape[1], dim), dtype=np.float32)
        self._sums: NDArray[np.float32] | None = None

    def refresh(self, model: EmbeddingModel, items: PreparedRows) -> None:
        """Embeds all items with the model as it is now."""
        self.hold(model.embed_prepared_items(items))

    def hold(self, vectors: NDArray[np.float32]) -> None:
        """Takes item vectors, [num_items, dim] float32, as those of the last refresh."""
        self.vectors = vectors
        is_small = len(self._lengths) * vectors.shape[1] <= _MOST_SUMS
        self._sums = self._histories @ vectors if is_small else None

    def whole(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the mean of all that each user had, [n, dim] float32."""
        return self.means(users)

    def of_examples(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the mean of what the users of some train interactions had besides these, [n, dim] float32."""
        assert self._pairs is not None
        users, items = self._pairs[places].T
        return self.means(users, items)

    def means(self, users: NDArray[np.int64], without: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Returns the mean history vector of each user, [n, dim] float32; zeros where there is nothing left.

        Args:
            users: [n] user rows.
            without: [n] item rows to leave out, one a user; None leaves none out.
        """
        sums = self._histories[users] @ self.vectors if self._sums is None else self._sums[users]
        lengths = self._lengths[users]
        if without is not None:
            held = np.asarray(self._histories[users, without]).reshape(-1).astype(np.int64)
            sums = sums - self.vectors[without] * held[:, None].astype(np.float32)
            lengths = lengths - held
        means: NDArray[np.float32] = np.where(lengths[:, None] > 0, sums / np.maximum(lengths, 1)[:, None], 0.0).astype(
            np.float32
        )
        return means
