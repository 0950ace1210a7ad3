"""The training objective: softmax over the distinct items of a step, corrected for how they were drawn.

The items of a step are the positives of the batch (drawn in proportion to their interactions) and uniform negatives.
Each distinct item is one column. Its score is cosine / temperature - log q, with q by `training.draws`. Items that a
user has interacted with are no negatives of that user; they are masked (accidental hits).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def corrected_scores(users: Tensor, items: Tensor, *, log_q: Tensor, temperature: float | Tensor) -> Tensor:
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


def with_certain_targets(scores: Tensor, targets: Tensor, *, log_q: Tensor) -> Tensor:
    """Returns the scores with those of the targets as they were before the correction.

    An example's own positive is in the step whatever else is drawn, so its q is 1. Corrected like a drawn item, a rare
    one would look far easier than it is (Khrylchenko et al., Correcting the LogQ Correction, RecSys 2025; their form
    takes the positive out of the sum and weighs the example instead, ours leaves it in).

    Args:
        scores: [n, m] float32, corrected.
        targets: [n] int64, the column of each user's positive.
        log_q: [m] float32.
    """
    is_target = one_hot(targets, scores.shape[1]).bool()
    return torch.where(is_target, scores + log_q, scores)


def sampled_softmax(scores: Tensor, targets: Tensor, *, masked: Tensor) -> Tensor:
    """Returns the mean cross entropy of the targets.

    Args:
        scores: [n, m] float32, of each user and distinct item of the step.
        targets: [n] int64, the column of each user's positive.
        masked: [n, m] bool, True where an item is another positive of the user; False at the target.
    """
    return cross_entropy(scores.masked_fill(masked, float("-inf")), targets)


def positive_side(cosines: Tensor, users: NDArray[np.int64], *, temperature: float | Tensor) -> Tensor:
    """Returns the mean over the examples of how well their user's positives score together.

    Together they score temperature x log mean exp(cosine / temperature), a soft maximum: a positive counts the more the
    better it scores, so that one which does not fit its user, a wrong click, counts little. With a single positive a
    user it is its cosine, whatever the temperature is.

    Args:
        cosines: [n] float32, of each example's user and positive.
        users: [n] user rows.
        temperature: Of the positive side; towards infinity all positives of a user count alike.
    """
    _, group, sizes = np.unique(users, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    place = np.empty_like(group)
    place[order] = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # One row a user: every cell is written at most once, so that the gradient is a plain look-up.
    rows = cosines.new_full((len(sizes), int(sizes.max())), -torch.inf)
    index = tuple(torch.from_numpy(values).to(cosines.device) for values in (group, place))
    sums = torch.logsumexp(rows.index_put(index, cosines / temperature), dim=1)
    counts = torch.from_numpy(sizes).to(cosines)
    return temperature * (counts * (sums - counts.log())).sum() / len(users)


def bilateral_softmax(scores: Tensor, positives: Tensor, *, excluded: Tensor, negative_weight: float) -> Tensor:
    """Returns the bilateral softmax loss (BSL: Wu et al., ICDE 2024), divided by the temperature of the negatives.

    - positives + negative_weight x mean over the examples of log sum exp(score) over their negatives

    With equal temperatures on both sides this is what the authors' program computes, whose second temperature is our
    `negative_weight`; with a weight of 1 it is the paper's equation. Sum and mean over negatives differ by a constant.

    Args:
        scores: [n, m] float32, of each user and distinct item of the step.
        positives: What `positive_side` returned, divided by the temperature of the scores.
        excluded: [n, m] bool, True where an item is a positive of the user, the target among them.
        negative_weight: Of the negative side against the positive one.
    """
    has_negatives = ~excluded.all(dim=1)
    # A row without any negative would be -inf, and its gradient not a number.
    kept = scores.masked_fill(excluded, float("-inf")).masked_fill(~has_negatives[:, None], 0.0)
    negatives = torch.logsumexp(kept, dim=1) * has_negatives
    return negative_weight * negatives.mean() - positives


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
