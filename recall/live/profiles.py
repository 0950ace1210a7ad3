"""What a user is matched with exactly: the sum of the bags of the history's items, its strongest tokens kept.

The score of an item is the product of its vector and the user's, plus the product of its bag and this profile. A bag
has length 1 and a profile the length `content_weight` of the model, so that number alone says how much exact words
count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.bags import Bags
from index.live import LiveIndex

PROFILE_TOKENS = 512
"""Most tokens of a profile; more cost time with every posting and say little about the user."""


def user_profiles(index: LiveIndex, histories: Sequence[Sequence[str]], *, length: float) -> Bags:
    """Returns one profile a history; empty where no item of it is held or none has a token.

    Args:
        index: Holds the bags of the items.
        histories: Item ids; one that comes twice counts twice.
        length: Of each profile, above 0.
    """
    bags, held = index.gather_bags([item_id for history in histories for item_id in history])
    owners = np.repeat(np.arange(len(histories)), [len(history) for history in histories])[held]
    num_tokens = np.bincount(owners, weights=np.diff(bags.offsets), minlength=len(histories)).astype(np.int64)
    # The items of a history stand side by side, so their bags are one row already; equal tokens add up.
    sums = Bags.of(bags.tokens, bags.weights, np.concatenate([np.zeros(1, np.int64), np.cumsum(num_tokens)]))
    return scaled(strongest(sums, PROFILE_TOKENS), length)


def strongest(bags: Bags, num_tokens: int) -> Bags:
    """Returns the bags with their tokens of greatest weight, at most `num_tokens` each; of equal ones the lower."""
    if np.diff(bags.offsets).max(initial=0) <= num_tokens:
        return bags
    rows = _rows(bags)
    order = np.lexsort((-bags.weights, rows))  # stable: tokens ascend within a row
    kept = np.zeros(len(order), dtype=np.bool_)
    kept[order[np.arange(len(order)) - bags.offsets[rows] < num_tokens]] = True
    num_kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return Bags.of(bags.tokens[kept], bags.weights[kept], num_kept[bags.offsets])


def scaled(bags: Bags, length: float) -> Bags:
    """Returns the bags with each that is not empty scaled to `length`."""
    rows = _rows(bags)
    # Summed within each bag: a difference of running sums would depend on the other bags of the batch.
    squares = np.bincount(rows, weights=bags.weights.astype(np.float64) ** 2, minlength=len(bags))
    factors = length / np.sqrt(np.where(squares > 0, squares, 1.0))
    return Bags.of(bags.tokens, (bags.weights * factors[rows]).astype(np.float32), bags.offsets)


def _rows(bags: Bags) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = np.repeat(np.arange(len(bags)), np.diff(bags.offsets))
    return rows
