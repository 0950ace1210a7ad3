"""The content of an item beside its learned vector, in one vector, so that one index finds by both.

    item  [v ; sqrt(w) c]    c = L2(first columns of the item's projected bag)
    user  [u ; sqrt(w) p]    p = L2(sum of c over the items of the history)

v and u are the towers' vectors. The product of two such vectors is the cosine of their learned parts plus w times that
of their content. c and p are 0 where there is no content, so a vector has length sqrt(1 + w) or 1. The first columns of
a truncated SVD (`projection.py`) are the best choice of so many. This is the dense form of what `fusion.py` adds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from recall.model.config import MAX_DIM

_LEAST_LENGTH = 1e-6


class ContentPart(BaseModel):
    """How much of the content stands in a vector, and what it counts.

    Attributes:
        dim: Its number of columns.
        weight: Of the cosine of content beside that of the learned parts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(ge=1, lt=MAX_DIM)
    weight: float = Field(gt=0, allow_inf_nan=False)

    def joined(self, learned: NDArray[np.float32], content: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns learned and content parts side by side, [n, d + dim] float32.

        Args:
            learned: [n, d] float32, of length 1.
            content: [n, at least dim] float32, of any length; zeros where there is none.
        """
        part = unit_rows(content[:, : self.dim]) * np.float32(math.sqrt(self.weight))
        return np.concatenate([learned, part], axis=1)


def columns_beside(dim: int, rank: int) -> int:
    """Returns how many columns of a projection of `rank` fit beside a learned part of `dim`."""
    return min(MAX_DIM - dim, rank)


def unit_rows(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns [n, d] float32 with each row scaled to length 1, or 0 where it is too short to have a direction."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.where(lengths > _LEAST_LENGTH, matrix / np.maximum(lengths, _LEAST_LENGTH), 0.0)
    return scaled.astype(np.float32, copy=False)
