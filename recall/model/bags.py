"""Bags of hashed tokens, many side by side in three arrays."""

from __future__ import annotations

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
