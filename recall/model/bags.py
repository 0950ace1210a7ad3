"""Bags of hashed tokens, many side by side in three arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Bags:
    """Weighted tokens of some rows, one bag a row.

    Attributes:
        tokens: [num_tokens] uint64, the members of all bags, one bag after another.
        weights: [num_tokens] float32.
        offsets: [num_bags + 1] int64; bag b holds members `offsets[b]` to `offsets[b + 1]`.
    """

    tokens: NDArray[np.uint64]
    weights: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        """Returns the number of bags."""
        return len(self.offsets) - 1

    def without_zeros(self) -> Bags:
        """Returns the bags without the tokens whose weight is 0."""
        kept = self.weights != 0
        num_kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(kept, dtype=np.int64)])
        return Bags(tokens=self.tokens[kept], weights=self.weights[kept], offsets=num_kept[self.offsets])

    def take(self, rows: NDArray[np.int64]) -> Bags:
        """Returns some bags, in their order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
        places = np.arange(int(offsets[-1])) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Bags(tokens=self.tokens[places], weights=self.weights[places], offsets=offsets)

    @classmethod
    def joined(cls, parts: Sequence[Bags]) -> Bags:
        """Returns the bags of all parts, one part after another."""
        sizes = [np.zeros(1, dtype=np.int64), *(np.diff(part.offsets) for part in parts)]
        return cls(
            tokens=np.concatenate([np.empty(0, dtype=np.uint64), *(part.tokens for part in parts)]),
            weights=np.concatenate([np.empty(0, dtype=np.float32), *(part.weights for part in parts)]),
            offsets=np.cumsum(np.concatenate(sizes), dtype=np.int64),
        )


def unit_weights(weights: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns the weights of bags scaled so that each bag has length 1; one without any weight stays as it is.

    Args:
        weights: [num_tokens] float32.
        offsets: [num_bags + 1] int64, as in `Bags`.
    """
    bags = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    # Summed within each bag: a difference of running sums would depend on the other bags of the batch.
    lengths = np.sqrt(np.bincount(bags, weights=weights.astype(np.float64) ** 2, minlength=len(offsets) - 1))
    scaled: NDArray[np.float32] = (weights / np.where(lengths > 0, lengths, 1.0)[bags]).astype(np.float32)
    return scaled
