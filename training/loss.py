"""The training objective: softmax over the distinct items of a step, corrected for how they were drawn.

The items of a step are the positives of the batch (drawn in proportion to their interactions) and uniform negatives.
Each distinct item is one column. Its score is cosine / temperature - log q, with q the expected number of times that it
is drawn (Yi et al., RecSys 2019, equation 4, for the positives; Yang et al., WWW 2020, for the mixture with uniform
draws), at most 1 since a repeated draw adds no column. Items that a user has interacted with are no negatives of that
user; they are masked (accidental hits).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy


def log_draws(
    counts: NDArray[np.int64], *, batch_size: int, uniform_negatives: int, drawable: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Returns log q of each item, [num_items] float32.

    Args:
        counts: [num_items] training interactions of each item.
        batch_size: Positives a step.
        uniform_negatives: Uniform draws a step.
        drawable: [num_drawable] int64, the item rows that uniform draws are from.
    """
    expected = batch_size * counts / max(int(counts.sum()), 1)
    expected[drawable] += uniform_negatives / len(drawable)
    log_q: NDArray[np.float32] = np.log(np.clip(expected, 1e-12, 1.0)).astype(np.float32)
    return log_q


def corrected_scores(users: Tensor, items: Tensor, *, log_q: Tensor, temperature: float) -> Tensor:
    """Returns cosine / temperature - log q, [n, m] float32.

    Args:
        users: [n, dim] float32 unit vectors.
        items: [m, dim] float32 unit vectors of the step's distinct items.
        log_q: [m] float32, zeros for no correction.
        temperature: Divides the cosine.
    """
    return users @ items.T / temperature - log_q


def with_targets(scores: Tensor, targets: Tensor, own: Tensor) -> Tensor:
    """Returns the scores with each user's positive scored apart, [n, m] float32.

    Args:
        scores: [n, m] float32.
        targets: [n] int64, the column of each user's positive.
        own: [n] float32, its score.
    """
    return scores.scatter(1, targets[:, None], own[:, None])


def sampled_softmax(scores: Tensor, targets: Tensor, *, masked: Tensor) -> Tensor:
    """Returns the mean cross entropy of the targets.

    Args:
        scores: [n, m] float32, of each user and distinct item of the step.
        targets: [n] int64, the column of each user's positive.
        masked: [n, m] bool, True where an item is another positive of the user; False at the target.
    """
    return cross_entropy(scores.masked_fill(masked, float("-inf")), targets)


def accidental_hits(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    targets: NDArray[np.int64],
    histories: tuple[NDArray[np.int32], NDArray[np.int32]],
    num_items: int,
) -> Tensor:
    """Returns which of the step's items are other positives of each user, [n, m] bool.

    Args:
        users: [n] user rows.
        items: [m] distinct item rows of the step.
        targets: [n] column of each positive.
        histories: `indptr` and `indices` of all positives by user row.
        num_items: Items of the catalogue.
    """
    indptr, indices = histories
    columns = np.full(num_items, -1, dtype=np.int64)
    columns[items] = np.arange(len(items))
    lengths = (indptr[users + 1] - indptr[users]).astype(np.int64)
    ends = np.cumsum(lengths)
    places = np.arange(int(ends[-1])) + np.repeat(indptr[users] - (ends - lengths), lengths)
    rows, hits = np.repeat(np.arange(len(users)), lengths), columns[indices[places]]
    mask = np.zeros((len(users), len(items)), dtype=np.bool_)
    mask[rows[hits >= 0], hits[hits >= 0]] = True
    mask[np.arange(len(users)), targets] = False
    return torch.from_numpy(mask)
