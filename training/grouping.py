"""In which order an epoch takes the interactions, so that a step holds several of a user."""

from __future__ import annotations

import numpy as np

from training.dataset import RowArray


def epoch_order(users: RowArray, together: int, rng: np.random.Generator) -> RowArray:
    """Returns a random order of the interactions in which up to `together` of a user follow each other.

    Each user's interactions are shuffled and cut into groups, and the groups are shuffled. A step takes the next so
    many interactions, so only its first and last group may be cut.

    Args:
        users: [n] int64 user row of each interaction.
        together: Interactions of a user a group; 1 is a plain permutation.
        rng: Draws the order.
    """
    shuffled: RowArray = rng.permutation(len(users))
    if together == 1:
        return shuffled
    order = shuffled[np.argsort(users[shuffled], kind="stable")]
    by_user = users[order]
    is_first = np.concatenate([[True], by_user[1:] != by_user[:-1]])
    starts = np.flatnonzero(is_first)
    place = np.arange(len(order)) - starts[np.cumsum(is_first) - 1]
    group = np.cumsum(place % together == 0) - 1
    ranks = rng.permutation(int(group[-1]) + 1)
    return order[np.argsort(ranks[group], kind="stable")]
