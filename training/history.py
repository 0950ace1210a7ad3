"""Histories as the user tower sees them in training: the mean item vector of a user, without the target.

Item vectors are those of the last refresh and carry no gradient. A refresh embeds the whole catalogue and sums it up
once a user, so that the mean for one example is a subtraction, however long the history is. Where that would take too
much memory, the histories of a step are summed up when they are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.model.embedding import EmbeddingModel
from recall.model.inputs import PreparedRows

_MOST_SUMS = 1 << 26
"""Numbers that all sums together may have: 256 MiB."""


class HistoryPool:
    """Mean history vectors from a catalogue that changes while it is trained.

    Attributes:
        vectors: [num_items, dim] float32 item vectors of the last refresh.
    """

    def __init__(self, histories: csr_matrix, dim: int) -> None:
        """Starts with zero vectors; refresh before use.

        Args:
            histories: [num_users, num_items] float32, how often an item is in a history.
            dim: Length of a vector.
        """
        self._histories = histories
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
