"""The share of a recall that goes to items which the served model has never seen in training.

A new item has no interactions, and stays without while proven ones are ahead of it. With a share f, at least
floor(f x N) of N results are unseen: the best of them by score take the places of the lowest-scored others, and the
list stays in the one order; it holds as many as there are where these are fewer.

Whether an item was seen never changes under one model, so the index tells the unseen ones apart from the moment a
generation is loaded (`index.subset`), and a question whose list lacks some is asked again among them alone. Where they
are so many that this may be the dearer way, the whole index is asked first, once, for so many items that unseen ones
spread evenly would be enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import Hits
from recall.live.generation import Embedder, Generation

Search: TypeAlias = Callable[[Sequence[int], int], list[Hits]]
"""Called with places of questions and a number of items; returns the best so many of each, fewer only where fewer are
eligible."""

_HITS_AT_ONCE = 1 << 19
_ROUNDING = 1e-9
_SCANNED_PER_HIT = 30
"""Unseen items to be scanned for each hit of a wider search before that is tried first; above the ratio of their times,
as it may find too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """Where unseen items are looked for.

    Attributes:
        everything: Finds the best items of questions.
        unseen: Finds the best unseen ones.
        widened: Items to ask `everything` for where a list lacks unseen ones, before `unseen` is asked; 0 does not.
    """

    everything: Search
    unseen: Search
    widened: int = 0


def explorable(generation: Generation) -> Generation:
    """Returns a generation whose unseen items are told apart; looks once at the id of every item."""
    model = generation.model

    def is_unseen(item_ids: Sequence[str]) -> NDArray[np.bool_]:
        return _is_unseen(model, item_ids)  # the index keeps this; to keep itself would keep its memory after a switch

    generation.index.tell_apart(is_unseen)
    return replace(generation, unseen_popularity=generation.popularity.among(is_unseen))


def with_unseen(searches: Searches, num_questions: int, limit: int, *, model: Embedder, share: float) -> list[Hits]:
    """Returns the hits of each question, at least the share of them unseen by `model` as far as there are any.

    Args:
        searches: Find items of questions.
        num_questions: Their number.
        limit: Items wanted by each.
        model: Tells which items were seen in training.
        share: In [0, 1).
    """
    hits = searches.everything(range(num_questions), limit)
    wanted = num_wanted(limit, share)
    masks = _unseen(model, hits)
    lacking = [place for place, mask in enumerate(masks) if mask.sum() < wanted and len(mask) >= limit]
    more = _found_widely(searches, lacking, wanted, model=model)
    rest = [place for place in lacking if place not in more]
    more.update(zip(rest, searches.unseen(rest, wanted) if rest else [], strict=True))
    for place, found in more.items():
        hits[place] = _mixed(hits[place], masks[place], found, wanted)
    return hits


def num_wanted(limit: int, share: float) -> int:
    """Returns floor(share x limit); a share of 0.29 of 100 is 29, whatever the binary form of 0.29."""
    return math.floor(share * limit + _ROUNDING)


def worth_widening(index: LiveIndex, unseen: LiveView, limit: int, *, share: float) -> int:
    """Returns how many items of `index` have twice the unseen ones wanted, were they spread evenly; 0 to scan these."""
    even = math.ceil(2 * num_wanted(limit, share) * index.num_items / max(unseen.num_items, 1))
    widened = max(2 * limit, even)
    return widened if widened * _SCANNED_PER_HIT < unseen.num_items else 0


def _found_widely(searches: Searches, places: Sequence[int], wanted: int, *, model: Embedder) -> dict[int, Hits]:
    """Returns the unseen hits of those questions for which a wider search finds enough, or all that are eligible."""
    enough: dict[int, Hits] = {}
    if searches.widened == 0:
        return enough
    at_once = max(1, _HITS_AT_ONCE // searches.widened)
    for some in (places[start : start + at_once] for start in range(0, len(places), at_once)):
        wider = searches.everything(some, searches.widened)
        for place, found, mask in zip(some, wider, _unseen(model, wider), strict=True):
            if mask.sum() >= wanted or len(mask) < searches.widened:
                enough[place] = Hits(list(compress(found.item_ids, mask)), found.scores[mask])
    return enough


def _unseen(model: Embedder, hits: Sequence[Hits]) -> list[NDArray[np.bool_]]:
    mask = _is_unseen(model, [item_id for found in hits for item_id in found.item_ids])
    return np.split(mask, np.cumsum([len(found.item_ids) for found in hits])[:-1])


def _is_unseen(model: Embedder, item_ids: Sequence[str]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = model.item_counts(item_ids) == 0
    return mask


def _mixed(hits: Hits, mask: NDArray[np.bool_], unseen: Hits, wanted: int) -> Hits:
    """Returns as many hits, in the one order, with the best of `unseen` in the places of the last that are not.

    Args:
        hits: A whole list.
        mask: Which of them are unseen, fewer than `wanted`.
        unseen: Unseen ones, best first; may be among the hits.
        wanted: How many are to be unseen.
    """
    held = frozenset(hits.item_ids)
    others = (pair for pair in _scored(unseen) if pair[1] not in held)
    added = list(islice(others, wanted - int(mask.sum())))
    removed = frozenset(np.flatnonzero(~mask)[len(mask) - int(mask.sum()) - len(added) :].tolist())
    kept = [pair for place, pair in enumerate(_scored(hits)) if place not in removed]
    mixed = sorted([*kept, *added])
    return Hits([item_id for _, item_id in mixed], -np.array([score for score, _ in mixed], dtype=np.float32))


def _scored(hits: Hits) -> list[tuple[float, str]]:
    """Returns negated scores and ids, which sort in the one order."""
    return list(zip((-hits.scores).tolist(), hits.item_ids, strict=True))
