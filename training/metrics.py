"""Ranking metrics, one value a user: recall, NDCG, hit rate and reciprocal rank at K.

Every metric reads the same two arrays: `hits[u, p]`, whether the item at place p (0 = best) of user u's ranking is
relevant, and `num_relevant[u]`, how many relevant items the user has among the candidates. With R = num_relevant and
h = the first K places:

    recall@K   = sum(h) / R
    ndcg@K     = sum(h[p] / log2(p + 2)) / sum(1 / log2(p + 2) for p < min(K, R))
    hit_rate@K = 1 where any of h, else 0
    mrr@K      = 1 / (p + 1) of the first hit, else 0

A user without a relevant item has no value; leave such users out before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

HitMatrix: TypeAlias = NDArray[np.bool_]
CountArray: TypeAlias = NDArray[np.int64]
ValueArray: TypeAlias = NDArray[np.float64]
Metric: TypeAlias = Callable[[HitMatrix, CountArray, int], ValueArray]


def recall_at_k(hits: HitMatrix, num_relevant: CountArray, k: int) -> ValueArray:
    """Returns hits within the first `k` / relevant items.

    Args:
        hits: [num_users, depth] bool; places beyond `depth` count as misses.
        num_relevant: [num_users] int64, at least 1.
        k: Places looked at, at least 1.

    Returns:
        [num_users] float64 in [0, 1].

    Raises:
        ValueError: `k` is below 1, the arrays do not fit, or a user has fewer relevant items than hits, or none.
    """
    _check(hits, num_relevant, k)
    values: ValueArray = hits[:, :k].sum(axis=1) / num_relevant
    return values


def ndcg_at_k(hits: HitMatrix, num_relevant: CountArray, k: int) -> ValueArray:
    """Returns the discounted gain of the first `k` / the greatest possible; arguments as `recall_at_k`."""
    _check(hits, num_relevant, k)
    depth = min(k, hits.shape[1])
    # Not np.arange(k): a K beyond every list and every user's items adds no term.
    discounts = 1.0 / np.log2(np.arange(max(depth, min(k, num_relevant.max(initial=0)))) + 2.0)
    ideal = np.cumsum(discounts)[np.minimum(num_relevant, k) - 1]
    values: ValueArray = hits[:, :depth] @ discounts[:depth] / ideal
    return values


def hit_rate_at_k(hits: HitMatrix, num_relevant: CountArray, k: int) -> ValueArray:
    """Returns 1 where there is a hit within the first `k`; arguments as `recall_at_k`."""
    _check(hits, num_relevant, k)
    return _has_hit(hits, k).astype(np.float64)


def mrr_at_k(hits: HitMatrix, num_relevant: CountArray, k: int) -> ValueArray:
    """Returns 1 / the place (from 1) of the first hit within the first `k`; arguments as `recall_at_k`."""
    _check(hits, num_relevant, k)
    if hits.shape[1] == 0:
        return np.zeros(len(hits))
    values: ValueArray = _has_hit(hits, k) / (hits[:, :k].argmax(axis=1) + 1.0)
    return values


METRICS: Mapping[str, Metric] = {
    "recall": recall_at_k,
    "ndcg": ndcg_at_k,
    "hit_rate": hit_rate_at_k,
    "mrr": mrr_at_k,
}


def ranked_hits(rankings: Sequence[Sequence[str]], relevant: Sequence[Collection[str]], k: int) -> HitMatrix:
    """Marks which of the first `k` places of each ranking hold a relevant item.

    Args:
        rankings: Item ids of each user, best first; shorter ones are filled with misses.
        relevant: Relevant item ids of each user; sets are fastest.
        k: Places looked at.

    Returns:
        [len(rankings), the longest ranking or k if that is less] bool.
    """
    depth = min(k, max(map(len, rankings), default=0))
    hits = np.zeros((len(rankings), depth), dtype=np.bool_)
    for row, (ranking, wanted) in enumerate(zip(rankings, relevant, strict=True)):
        found = [item_id in wanted for item_id in ranking[:k]]
        hits[row, : len(found)] = found
    return hits


def _has_hit(hits: HitMatrix, k: int) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.any(hits[:, :k], axis=1)
    return found


def _check(hits: HitMatrix, num_relevant: CountArray, k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    if hits.ndim != 2 or num_relevant.shape != (len(hits),):
        raise ValueError(f"hits {hits.shape} and num_relevant {num_relevant.shape} do not fit; want [n, depth] and [n]")
    wrong = (num_relevant < 1) | (num_relevant < hits.sum(axis=1))
    if wrong.any():
        user = int(wrong.argmax())
        raise ValueError(
            f"user {user} has {num_relevant[user]} relevant items and {hits[user].sum()} hits; "
            "leave out users without relevant items and count every relevant candidate"
        )
