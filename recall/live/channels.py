"""The channels of a recall: lists of candidates from several sources, and one list of them all.

`served` is what a recall does by default, `exact` the same by exhaustive search, `popularity` the items chosen most
often. `content` ranks by words and set values in common with the history, without the model's vectors: the cosine of
the item's bag and the sum of the bags of all items of the history, every token kept and counted alike for items seen in
training and for others. The baseline of that name in evaluations is the same over bags of plain counts and IDF. Items
that have nothing in common with the history are no candidates.

Of several channels the lists are taken in turn: each channel gives its best item that no other gave before, until there
are enough, or none has any left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.protocols import Hits
from recall.errors import NotReadyError
from recall.live.generation import Generation
from recall.live.profiles import user_profiles
from recall.live.query import AnsweredFrom, Channel, RecallQuery
from recall.live.questions import Question
from recall.live.ranking import Ranking
from recall.live.search_input import SearchInput
from recall.model.fusion import FusionWeights

_ALIKE = FusionWeights(seen=1.0, unseen=1.0)
_BY_VECTORS = (Channel.SERVED, Channel.EXACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelHits:
    """Items of one answer, each once.

    Attributes:
        hits: The items; of several channels in the order in which these took turns.
        channels: Whose each is.
    """

    hits: Hits
    channels: tuple[Channel, ...]


def channels_of(query: RecallQuery) -> tuple[Channel, ...]:
    """Returns the channels that a query asks for, at least one."""
    return query.channels or (Channel.SERVED,)


def check_channels(generation: Generation, queries: Sequence[RecallQuery]) -> None:
    """Checks that what is served has the channels that queries ask for.

    Raises:
        NotReadyError: It does not.
    """
    if not generation.index.has_content and any(Channel.CONTENT in query.channels for query in queries):
        snapshot = generation.snapshot or "what is served"
        cure = "leave CHANNEL_CONTENT out, or train with text or set features and a sparse part, and rebuild"
        raise NotReadyError(f"{snapshot} holds no words of items: its model has no sparse part; {cure}")


def answers(ranking: Ranking, questions: Sequence[Question]) -> list[ChannelHits]:
    """Returns one answer a question, from its channels."""
    asked = [(position, c) for position, q in enumerate(questions) for c in channels_of(q.query)]
    lists = _learned(ranking, questions, [key for key in asked if _has_vector(questions[key[0]], key[1])])
    content = [key for key in asked if key[1] is Channel.CONTENT]
    if content:
        found = by_content(ranking.generation, [questions[position] for position, _ in content])
        lists.update(zip(content, found, strict=True))
    for position, channel in asked:
        if (position, channel) not in lists:
            lists[position, channel] = _popular(ranking, questions[position], channel)
    results = []
    for position, question in enumerate(questions):
        own = [(channel, lists[position, channel]) for channel in channels_of(question.query)]
        results.append(in_turns(own, question.query.limit))
    return results


def by_content(generation: Generation, questions: Sequence[Question]) -> list[Hits]:
    """Returns the items that have most in common with each history; fewer where fewer have anything.

    Args:
        generation: What is served; its index has content.
        questions: What is asked; a given vector stands for the history too.
    """
    histories = [() if q.answered_from is AnsweredFrom.VECTOR else q.history for q in questions]
    profiles = user_profiles(generation.index, histories, _ALIKE, num_tokens=None)
    hits = [Hits([], np.empty(0, dtype=np.float32))] * len(questions)
    for place in np.flatnonzero(np.diff(profiles.offsets)).tolist():
        vectors = np.zeros((1, generation.index.dim), dtype=np.float32)  # adds nothing to any score
        profile = profiles.take(np.array([place]))
        options = replace(questions[place].options, exact=True)
        asked = SearchInput(vectors=vectors, profiles=profile, options=[options])
        found = asked.search(generation.index, [0], questions[place].query.limit)[0]
        num_common = int(np.count_nonzero(found.scores > 0))
        hits[place] = Hits(found.item_ids[:num_common], found.scores[:num_common])
    return hits


def in_turns(lists: Sequence[tuple[Channel, Hits]], limit: int) -> ChannelHits:
    """Returns up to `limit` items of the lists, taken in turn, each once.

    Args:
        lists: One a channel, best first, each of `limit` items or of all there are.
        limit: At least 1.
    """
    if len(lists) == 1:
        channel, hits = lists[0]
        return ChannelHits(hits=hits, channels=(channel,) * len(hits.item_ids))
    taken: dict[str, tuple[float, Channel]] = {}
    waiting = [(c, zip(hits.item_ids, hits.scores.tolist(), strict=True)) for c, hits in lists]
    while waiting and len(taken) < limit:
        channel, left = waiting.pop(0)
        for item_id, score in left:
            if item_id not in taken:
                taken[item_id] = score, channel
                waiting.append((channel, left))
                break
    scores = np.array([score for score, _ in taken.values()], dtype=np.float32)
    return ChannelHits(hits=Hits(list(taken), scores), channels=tuple(channel for _, channel in taken.values()))


def _has_vector(question: Question, channel: Channel) -> bool:
    return channel in _BY_VECTORS and question.answered_from is not AnsweredFrom.POPULARITY


def _learned(
    ranking: Ranking, questions: Sequence[Question], asked: Sequence[tuple[int, Channel]]
) -> dict[tuple[int, Channel], Hits]:
    positions = sorted({position for position, _ in asked})
    places = {position: place for place, position in enumerate(positions)}
    made = [questions[position] for position in positions]
    wanted = [(places[p], c is Channel.EXACT or questions[p].query.exact) for p, c in asked]
    return dict(zip(asked, ranking.learned(made, wanted), strict=True))


def _popular(ranking: Ranking, question: Question, channel: Channel) -> Hits:
    if channel is Channel.POPULARITY:
        limit, generation = question.query.limit, ranking.generation
        return generation.popularity.top(generation.index, limit, question.options)
    return ranking.popular(question)
