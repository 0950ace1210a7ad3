"""How the learned and the exact score add up, by whether training saw the item.

    score(user, item) = <u, v> + weight * <profile, bag> + offset

u and v are the towers' vectors; bag is the item's weighted tokens and profile the sum of those of the history, both of
length 1. Weight and offset are one pair for items that training saw (its offset is 0) and another for unseen ones: what
is known of an unseen item comes from its features alone, so exact words say more about it, and its learned scores are
lower on the whole. A user whose history has no words has an empty profile, and an offset of its own.

An index adds up a profile and a bag and need not know any of this. For that the tokens of unseen items stand in a space
of their own: their highest bit is set, and that of all others clear. An unseen item holds the token `UNSEEN` besides,
with weight 1. A profile with its tokens in both spaces, in each with the weight of that space, and with `UNSEEN` of
weight `offset`, has the score above as its inner product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from recall.model.bags import Bags

UNSEEN = np.uint64((1 << 64) - 1)
"""The token that every item unseen in training holds."""

MAX_WEIGHT = 1000.0
"""A cosine is at most 1, so a greater weight or offset would only take precision from the rest."""

_HIGHEST = np.uint64(1 << 63)


class FusionWeights(BaseModel):
    """What the exact score counts beside the learned one, which is a cosine.

    Attributes:
        seen: Weight of the cosine of profile and bag for items that training saw.
        unseen: The same for all other items.
        unseen_offset: Added to the score of items that training did not see.
        unseen_offset_alone: Added to it instead where the profile is empty, so that the learned score stands alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seen: float = Field(default=0.0, ge=0, le=MAX_WEIGHT)
    unseen: float = Field(default=0.0, ge=0, le=MAX_WEIGHT)
    unseen_offset: float = Field(default=0.0, ge=-MAX_WEIGHT, le=MAX_WEIGHT)
    unseen_offset_alone: float = Field(default=0.0, ge=-MAX_WEIGHT, le=MAX_WEIGHT)

    @property
    def is_on(self) -> bool:
        """Whether an index has to hold bags."""
        return bool(self.seen or self.unseen or self.unseen_offset or self.unseen_offset_alone)

    def between_items(self) -> FusionWeights:
        """Returns what matches items with items: the mean weight for both kinds, and no offset.

        What tells seen items from unseen ones was fitted on users. Here nothing may be nearer to an item's features
        than the item itself.
        """
        weight = (self.seen + self.unseen) / 2
        return FusionWeights(seen=weight, unseen=weight)


def marked(bags: Bags, is_unseen: NDArray[np.bool_]) -> Bags:
    """Returns bags as an index holds them.

    Args:
        bags: Any hashed tokens; their highest bit is not read.
        is_unseen: [len(bags)], whose items training did not see.
    """
    lengths = np.diff(bags.offsets)
    shifted = bags.offsets[:-1] + np.cumsum(is_unseen) - is_unseen
    offsets = np.append(shifted, bags.offsets[-1] + is_unseen.sum()).astype(np.int64)
    places = np.arange(len(bags.tokens)) + np.repeat(shifted - bags.offsets[:-1], lengths)
    tokens = np.full(int(offsets[-1]), UNSEEN)
    weights = np.ones(int(offsets[-1]), dtype=np.float32)
    tokens[places] = in_space(bags.tokens, unseen=np.repeat(is_unseen, lengths))
    weights[places] = bags.weights
    return Bags(tokens=tokens, weights=weights, offsets=offsets)


def in_space(tokens: NDArray[np.uint64], *, unseen: NDArray[np.bool_] | bool) -> NDArray[np.uint64]:
    """Returns the tokens in the space of unseen items, or of all others.

    Args:
        tokens: [n] of either space, none of them `UNSEEN`.
        unseen: Which space, for all or for each.
    """
    moved: NDArray[np.uint64] = np.where(unseen, tokens | _HIGHEST, tokens & ~_HIGHEST)
    # The one hash that would be taken for the mark of its space stands beside itself.
    moved[moved == UNSEEN] = UNSEEN - np.uint64(1)
    return moved
