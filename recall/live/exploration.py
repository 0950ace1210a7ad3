"""The share of a recall that goes to items which the served model has never seen in training.

A new item has no interactions, and stays without while proven ones are ahead of it. With a share f, at least
floor(f x N) of N results are unseen: the best of them by score take the places of the lowest-scored others, and the
list stays in the one order. They are found by asking for twice as many items until there are enough, everything
eligible was looked at, or `MAX_FETCH` items were; then the list holds as many unseen ones as were found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.protocols import Hits
from recall.live.generation import Embedder

MAX_FETCH = 20_000
"""Most items that one recall looks at in search of unseen ones."""

Search: TypeAlias = Callable[[Sequence[int], int], list[Hits]]
"""Called with places of questions and a number of items; returns the best so many of each, fewer only where fewer are
eligible."""

_HITS_AT_ONCE = 1 << 19
_ROUNDING = 1e-9


def with_unseen(search: Search, num_questions: int, limit: int, *, model: Embedder, share: float) -> list[Hits]:
    """Returns the hits of each question, at least the share of them unseen by `model` as far as there are any.

    Args:
        search: Finds the best items of questions.
        num_questions: Their number.
        limit: Items wanted by each.
        model: Tells which items were seen in training.
        share: In [0, 1); 0 costs nothing.
    """
    hits = search(range(num_questions), limit)
    wanted = num_wanted(limit, share)
    waiting, fetch = list(range(num_questions)) if wanted else [], limit
    while waiting:
        unseen = _unseen(model, [hits[place] for place in waiting])
        short = []
        for place, mask in zip(waiting, unseen, strict=True):
            if mask.sum() < wanted and len(mask) >= fetch and fetch < MAX_FETCH:
                short.append(place)
            else:
                hits[place] = _mixed(hits[place], mask, limit, wanted)
        waiting, fetch = short, min(2 * fetch, MAX_FETCH)
        at_once = max(1, _HITS_AT_ONCE // fetch)
        for some in (waiting[start : start + at_once] for start in range(0, len(waiting), at_once)):
            for place, more in zip(some, search(some, fetch), strict=True):
                hits[place] = more
    return hits


def num_wanted(limit: int, share: float) -> int:
    """Returns floor(share x limit); a share of 0.29 of 100 is 29, whatever the binary form of 0.29."""
    return math.floor(share * limit + _ROUNDING)


def _unseen(model: Embedder, hits: Sequence[Hits]) -> list[NDArray[np.bool_]]:
    counts = model.item_counts([item_id for found in hits for item_id in found.item_ids])
    ends = np.cumsum([len(found.item_ids) for found in hits])
    return np.split(counts == 0, ends[:-1])


def _mixed(hits: Hits, unseen: NDArray[np.bool_], limit: int, wanted: int) -> Hits:
    """Returns `limit` of the hits, in their order, of which `wanted` are unseen where so many are."""
    missing = max(0, wanted - int(unseen[:limit].sum()))
    added = limit + np.flatnonzero(unseen[limit:])[:missing]
    seen = np.flatnonzero(~unseen[:limit])
    removed = seen[len(seen) - len(added) :]
    places = np.concatenate([np.setdiff1d(np.arange(min(limit, len(unseen))), removed), added])
    return Hits([hits.item_ids[place] for place in places.tolist()], hits.scores[places])
