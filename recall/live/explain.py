"""Explains where an item stands in the answer to a recall: its exact score and rank, and all that keeps it out.

Everything is worked out from one moment of the index and by the code that answers recalls: whether the item is returned
from that answer itself, its score by the kernels that score it there, its rank from the exact search of the whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from index.bags import Bags
from index.conditions import Condition
from index.protocols import FloatArray, Hits, SearchOptions
from recall.live.barriers import ItemFacts, barriers
from recall.live.channels import answers
from recall.live.explanation import Explanation, Missing, MissingReason
from recall.live.generation import Generation
from recall.live.query import AnsweredFrom
from recall.live.questions import Question
from recall.live.ranking import Ranking
from recall.live.search_input import SearchInput, of_users
from recall.live.shortness import pool_of

_WIDENING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """Where an item stands by score.

    Attributes:
        score: Exact score; None where the answer is popularity.
        vector_score: What vectors give of it.
        content_score: What words give of it.
        num_ahead: Other eligible items that are ahead of it.
    """

    score: float | None
    vector_score: float = 0.0
    content_score: float = 0.0
    num_ahead: int


def explained(
    ranking: Ranking, question: Question, facts: ItemFacts, *, available: Condition | None, now: float
) -> Explanation:
    """Returns where an item stands.

    Args:
        ranking: How lists are made, of a generation with a frozen index.
        question: The recall; its channels play no part.
        facts: The item.
        available: What holds for the items that are available; None where all are.
        now: The same moment, in seconds since 1970.
    """
    moment, item_id = ranking.generation, facts.item_id
    question = replace(question, query=replace(question.query, channels=()))
    hits = answers(ranking, [question])[0].hits
    num_eligible = pool_of(moment.index, question.options).num_eligible
    missing = list(barriers(moment, question, facts, available=available, now=now))
    is_eligible = not missing
    standing = _standing(moment, question, item_id, num_eligible) if item_id in moment.index else None
    if standing is not None and item_id not in hits.item_ids:
        missing += _outranked(ranking, question, item_id, num_ahead=standing.num_ahead, is_eligible=is_eligible)
    has_rank = standing is not None and standing.score is not None and is_eligible
    return Explanation(
        model_id=moment.model.model_id,
        sequence=moment.index.sequence,
        is_returned=item_id in hits.item_ids,
        missing=tuple(missing),
        score=None if standing is None else standing.score,
        vector_score=0.0 if standing is None else standing.vector_score,
        content_score=0.0 if standing is None else standing.content_score,
        rank=standing.num_ahead + 1 if standing is not None and has_rank else None,
        num_eligible=num_eligible,
        last_score=float(hits.scores[-1]) if hits.item_ids else None,
        part=moment.index.part_of(item_id),
        answered_from=question.answered_from,
        is_trained=bool(moment.model.item_counts([item_id])[0] > 0),
    )


def _standing(moment: Generation, question: Question, item_id: str, num_eligible: int) -> _Standing:
    """Returns where an item stands that the index holds."""
    limit, options = question.query.limit, replace(question.options, exact=True)
    if question.answered_from is AnsweredFrom.POPULARITY:

        def popular(k: int) -> Hits:
            return moment.popularity.top(moment.index, k, options)

        own = float(moment.popularity.ranking.get(item_id, 0))
        return _Standing(score=None, num_ahead=_num_ahead(popular, (-own, item_id), limit, num_eligible))
    user = of_users(moment, [question])
    asked = replace(user, options=[options])

    def nearest(k: int) -> Hits:
        return asked.search(moment.index, [0], k)[0]

    score = _score(moment, item_id, user.vectors, user.profiles)
    return _Standing(
        score=score,
        vector_score=_score(moment, item_id, user.vectors, None),
        content_score=_score(moment, item_id, np.zeros_like(user.vectors), user.profiles),
        num_ahead=_num_ahead(nearest, (-score, item_id), limit, num_eligible),
    )


def _score(moment: Generation, item_id: str, vectors: FloatArray, profiles: Bags | None) -> float:
    alone = SearchInput(vectors=vectors, profiles=profiles, options=[SearchOptions(candidates=(item_id,))])
    return float(alone.search(moment.index, [0], 1)[0].scores[0])


def _num_ahead(search: Callable[[int], Hits], own: tuple[float, str], limit: int, num_eligible: int) -> int:
    """Returns how many eligible items come before an item.

    Args:
        search: Returns so many of the eligible items, best first, by exact search.
        own: Negated score and id of the item, which need not be eligible.
        limit: How many to ask for first.
        num_eligible: How many there are.
    """
    k = limit
    while True:
        hits = search(k)
        place = bisect_left(list(zip((-hits.scores).tolist(), hits.item_ids, strict=True)), own)
        if place < len(hits.item_ids) or k >= num_eligible:
            return place
        k = min(k * _WIDENING, num_eligible)


def _outranked(
    ranking: Ranking, question: Question, item_id: str, *, num_ahead: int, is_eligible: bool
) -> Iterator[Missing]:
    """Yields the reason in the scores why an item is not returned; none where a barrier alone keeps it out."""
    limit = question.query.limit
    ahead = f"{num_ahead} items are ahead of it, and {limit} are wanted"
    if not is_eligible:
        if num_ahead >= limit:
            yield Missing(reason=MissingReason.BELOW_LIMIT, message=f"{ahead}: it would be left out by its score too")
        return
    exactly = replace(question, query=replace(question.query, exact=True))
    if item_id in answers(ranking, [exactly])[0].hits.item_ids:
        text = f"the approximate index did not find it, though it has rank {num_ahead + 1}; exact = true does"
        yield Missing(reason=MissingReason.MISSED_BY_INDEX, message=text)
    elif num_ahead < limit:
        share = f"fresh_share = {ranking.fresh_share:g} holds places open for items unseen in training"
        yield Missing(reason=MissingReason.BELOW_LIMIT, message=f"{ahead}, but {share}")
    else:
        yield Missing(reason=MissingReason.BELOW_LIMIT, message=ahead)
