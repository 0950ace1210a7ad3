"""Negatives that score high count more, or alone.

`weighted`: importance weights (Robinson et al., Contrastive learning with hard negative samples, ICLR 2021). Of a
user's negatives j with scores s_j = cosine / temperature, one counts

    w_j = exp(beta s_j) / mean of exp(beta s_k) over all items k

times, where the mean over all items is estimated from those of the step, each by 1 / q (`training.draws`). The weights
stand for another distribution to draw from, so they pass no gradient on; the authors' program lets them. `top`: only
the share of them with the highest cosines is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def weighted(scores: Tensor, *, log_q: Tensor, excluded: Tensor, hardness: float) -> Tensor:
    """Returns the scores with the logarithm of its weight added to each negative.

    Args:
        scores: [n, m] float32, corrected by log q.
        log_q: [m] float32.
        excluded: [n, m] bool, True where an item is no negative of the user; those scores stay as they are.
        hardness: The exponent beta; 0 gives all negatives the weight 1.
    """
    with torch.no_grad():
        harder = hardness * (scores + log_q)
        inverse_q = (-log_q).expand_as(scores).masked_fill(excluded, -torch.inf)
        log_mean = torch.logsumexp(harder + inverse_q, dim=1) - torch.logsumexp(inverse_q, dim=1)
        log_weights = (harder - log_mean[:, None]).masked_fill(excluded, 0.0)
    return scores + log_weights


def easy(scores: Tensor, *, excluded: Tensor, share: float) -> Tensor:
    """Returns which negatives are not among the hardest of their user, [n, m] bool.

    Args:
        scores: [n, m] float32, not corrected.
        excluded: [n, m] bool, True where an item is no negative of the user; never among those returned.
        share: Of a user's negatives, rounded up, at least one; of equal scores at the border all are kept.
    """
    values = scores.detach().masked_fill(excluded, -torch.inf)
    num_kept = torch.ceil(share * (~excluded).sum(dim=1)).long().clamp(min=1)
    # No row keeps more than that share of all columns: a bound that needs no look at the numbers on the device.
    most = min(values.shape[1], math.ceil(share * values.shape[1]) + 1)
    border = values.topk(most, dim=1).values.gather(1, (num_kept - 1)[:, None])
    return (values < border) & ~excluded
