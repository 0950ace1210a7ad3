"""Histories in their order: the latest items of a user, pooled by attention.

    pooled = sum over i of a_i v_i,   a = softmax over i of (q . v_i + b_i)

with v_i the vector of the i-th latest item, q a learned query and b_i a learned number for each age. It is the
attention pooling of Yang et al., Hierarchical attention networks for document classification (NAACL 2016, equations 5
to 7), without their hidden layer and with a bias by place, as relative positions have in T5 (Raffel et al., JMLR 2020,
section 2.1). The bias starts as a decay by age, so an untrained user points to what came last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_DECAY = 0.2


class LatestPool(nn.Module):
    """Pools the latest items of each user, [n, latest, dim] to [n, dim]."""

    def __init__(self, dim: int, latest: int) -> None:
        """Starts with a query of zero and a bias that falls with age."""
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim))
        self.age = nn.Parameter(-_DECAY * torch.arange(latest, dtype=torch.float32))

    def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and the attention-weighted sum of each history, both [n, dim] float32.

        Args:
            items: [n, latest, dim] float32, newest first, zeros behind the oldest; a history may be empty.
        """
        is_there = (items != 0).any(dim=2)
        num = is_there.sum(dim=1, keepdim=True)
        logits = (items @ self.query + self.age).masked_fill(~is_there, -1e9)
        weights = torch.softmax(logits, dim=1) * is_there
        mean = items.sum(dim=1) / num.clamp(min=1)
        return mean, (weights[:, :, None] * items).sum(dim=1)


def newest_first(histories: Sequence[NDArray[np.float32]], latest: int, dim: int) -> NDArray[np.float32]:
    """Returns the last items of some histories as `LatestPool` takes them, [n, latest, dim] float32.

    Args:
        histories: [h, dim] float32 each, oldest first.
        latest: Items to keep.
        dim: Length of a vector.
    """
    out = np.zeros((len(histories), latest, dim), dtype=np.float32)
    for row, history in enumerate(histories):
        last = history[-latest:][::-1] if len(history) else history
        out[row, : len(last)] = last
    return out
