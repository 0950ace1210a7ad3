"""Recall and similar items over one generation. The same code serves requests and is evaluated.

A user vector is made from features, user id and the vectors of the history's items, which are read from the live index:
an item upserted a second ago already shapes it. Where the model has a sparse part, the bags of these items make a
profile (`profiles.py`), and a score is the sum of both products.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.bags import Bags
from index.conditions import Condition
from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import FloatArray, Hits, SearchOptions
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.attributes import checked_filter
from recall.live.availability import narrowed
from recall.live.exploration import Searches, explorable, with_unseen, worth_widening
from recall.live.generation import Generation
from recall.live.item_vectors import known_features
from recall.live.popularity import Popularity
from recall.live.profiles import emptied, user_profiles
from recall.live.query import AnsweredFrom, RecallQuery, Result, SimilarBy, SimilarQuery
from recall.live.search_input import SearchInput, described_item, stored_item
from recall.live.shortness import short_reason
from recall.live.twin_search import twins_of
from recall.live.users import RememberedUsers, UserStore
from recall.model.embedding import UserInput
from recall.schema import FeatureMap, FeatureSpec

_CHUNK = 512
_MAX_STORED_HISTORY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A query with what is stored of its user filled in.

    Attributes:
        query: As asked.
        user: What the user tower reads.
        recent: The items behind the history that it reads.
        options: What may be returned.
        answered_from: What the answer is made from.
    """

    query: RecallQuery
    user: UserInput
    recent: Sequence[str]
    options: SearchOptions
    answered_from: AnsweredFrom


class Retriever:
    """Answers queries, many at a time."""

    def __init__(
        self, users: UserStore | None, *, fresh_share: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        """Says where to look.

        Args:
            users: Where users are stored; None where every query brings all that is known.
            fresh_share: Share of a recall that goes to items unseen in training, in [0, 1); see `exploration.py`.
            clock: Tells the time at which items must be available, in seconds since 1970.
        """
        self._clock = clock
        self._users = users
        self._fresh_share = fresh_share

    def at_one_moment(self) -> Retriever:
        """Returns one that goes on seeing each user as it first sees it, and the time as it is now."""
        now = self._clock()
        users = None if self._users is None else RememberedUsers(self._users)
        return Retriever(users, fresh_share=self._fresh_share, clock=lambda: now)

    def recall(self, generation: Generation, queries: Sequence[RecallQuery]) -> list[Result]:
        """Returns the best items for each query; fewer than its limit only where fewer are eligible.

        Raises:
            InvalidRequestError: Given features do not fit the model, or a filter the attributes of items.
            NotReadyError: There is a filter, and the snapshot holds no attributes.
            CatalogError: What is stored of a user cannot be read.
        """
        if self._fresh_share and generation.unseen_popularity is None:
            generation = explorable(generation)  # a server does so when it loads the generation
        chunks = (queries[start : start + _CHUNK] for start in range(0, len(queries), _CHUNK))
        return [result for chunk in chunks for result in self._recall_chunk(generation, chunk)]

    def similar(self, generation: Generation, query: SimilarQuery) -> Result:
        """Returns the neighbours of a stored item, without itself, or of features that need not be stored.

        Raises:
            NotFoundError: The item is not stored, or not retrievable.
            InvalidRequestError: Given features do not fit the model, or a filter the attributes of items.
            NotReadyError: Twins are asked for or there is a filter, and the snapshot holds no twins or attributes.
        """
        return generation.windows.honoured(self._clock(), partial(self._similar, generation, query))

    def _similar(self, generation: Generation, query: SimilarQuery, available: Condition | None) -> Result:
        condition = narrowed(checked_filter(generation, query.filter), available)
        if query.by is SimilarBy.TWINS:
            return twins_of(generation, query, condition)
        sequence, item_id = generation.index.sequence, query.item_id or ""
        if query.features is not None:
            options = SearchOptions(exclude=query.exclude, exact=query.exact, filter=condition)
            features = _checked(generation.model.schema.item_features, query.features, path="item.features")
            asked = described_item(generation, item_id, features, options)
        else:
            options = SearchOptions(exclude=(*query.exclude, item_id), exact=query.exact, filter=condition)
            asked = stored_item(generation, item_id, options)
        hits = asked.search(generation.index, [0], query.limit)[0]
        return Result(
            item_ids=hits.item_ids,
            scores=hits.scores,
            model_id=generation.model.model_id,
            sequence=sequence,
            short_reason=short_reason(generation.index, options, limit=query.limit, num_found=len(hits.item_ids)),
        )

    def _recall_chunk(self, generation: Generation, queries: Sequence[RecallQuery]) -> list[Result]:
        return generation.windows.honoured(self._clock(), partial(self._answers, generation, queries))

    def _answers(
        self, generation: Generation, queries: Sequence[RecallQuery], available: Condition | None
    ) -> list[Result]:
        sequence = generation.index.sequence  # before anything is read: never more than the answer reflects
        questions = self._questions(generation, queries, available)
        found = self._found(generation, questions)
        results = []
        for position, question in enumerate(questions):
            limit, options = question.query.limit, question.options
            hits = found.get(position) or self._popular(generation, question)
            results.append(
                Result(
                    item_ids=hits.item_ids,
                    scores=hits.scores,
                    model_id=generation.model.model_id,
                    sequence=sequence,
                    short_reason=short_reason(generation.index, options, limit=limit, num_found=len(hits.item_ids)),
                    answered_from=question.answered_from,
                )
            )
        return results

    def _questions(
        self, generation: Generation, queries: Sequence[RecallQuery], available: Condition | None
    ) -> list[_Question]:
        histories = [self._history(query) for query in queries]
        recent = [_recent(generation, query, h) for query, h in zip(queries, histories, strict=True)]
        vectors = _gathered(generation.index, recent)
        questions = []
        for query, history, held, known in zip(queries, histories, recent, vectors, strict=True):
            user = UserInput(user_id=query.user_id, features=self._features(generation, query), history=known)
            exclude = frozenset((*query.exclude, *history)) if query.exclude_history else frozenset(query.exclude)
            options = SearchOptions(
                exclude=exclude,
                candidates=query.candidates,
                exact=query.exact,
                filter=narrowed(checked_filter(generation, query.filter), available),
            )
            source = _source(generation, query, user)
            questions.append(_Question(query=query, user=user, recent=held, options=options, answered_from=source))
        return questions

    def _found(self, generation: Generation, questions: Sequence[_Question]) -> dict[int, Hits]:
        """Returns hits by position of those questions that have a user vector."""
        asked = [p for p, q in enumerate(questions) if q.answered_from is not AnsweredFrom.POPULARITY]
        made = [questions[position] for position in asked]
        vectors, profiles = _user_vectors(generation, made), _profiles(generation, made)
        by_limit: dict[int, list[int]] = {}
        for place, question in enumerate(made):
            by_limit.setdefault(question.query.limit, []).append(place)
        found: dict[int, Hits] = {}
        for limit, places in by_limit.items():  # one call a limit: an answer never depends on its neighbours' limits
            part = SearchInput(
                vectors=vectors[places],
                profiles=None if profiles is None else profiles.take(np.array(places)),
                options=[made[place].options for place in places],
            )
            hits = self._ranked(generation, part, limit)
            found.update(zip((asked[place] for place in places), hits, strict=True))
        return found

    def _ranked(self, generation: Generation, part: SearchInput, limit: int) -> list[Hits]:
        index, share, num_questions = generation.index, self._fresh_share, len(part.options)
        everything, unseen = partial(part.search, index), self._unseen(generation)
        if unseen is None:
            return everything(range(num_questions), limit)
        widened = worth_widening(index, unseen, limit, share=share)
        searches = Searches(everything=everything, unseen=partial(part.search, unseen), widened=widened)
        return with_unseen(searches, num_questions, limit, model=generation.model, share=share)

    def _popular(self, generation: Generation, question: _Question) -> Hits:
        def search(popularity: Popularity, index: LiveIndex | LiveView, _: Sequence[int], k: int) -> list[Hits]:
            return [popularity.top(index, k, question.options)]

        limit, unseen = question.query.limit, self._unseen(generation)
        everything = partial(search, generation.popularity, generation.index)
        if unseen is None or generation.unseen_popularity is None:
            return everything([0], limit)[0]
        searches = Searches(everything=everything, unseen=partial(search, generation.unseen_popularity, unseen))
        return with_unseen(searches, 1, limit, model=generation.model, share=self._fresh_share)[0]

    def _unseen(self, generation: Generation) -> LiveView | None:
        """Returns the unseen items where the lists are to have some and there are any."""
        unseen = generation.index.subset() if self._fresh_share else None
        return unseen if unseen is not None and unseen.num_items else None

    def _history(self, query: RecallQuery) -> tuple[str, ...]:
        if query.history is not None or query.user_id is None or self._users is None:
            return query.history or ()
        return self._users.history(query.user_id, _MAX_STORED_HISTORY)

    def _features(self, generation: Generation, query: RecallQuery) -> FeatureMap:
        specs = generation.model.schema.user_features
        if query.vector is not None:
            return {}
        if query.features is not None:
            return _checked(specs, query.features, path="features")
        stored = self._users.get_user(query.user_id) if self._users and query.user_id is not None else None
        return known_features(specs, stored or {}).features  # what does not fit this model is as good as missing


def _checked(specs: Sequence[FeatureSpec], features: FeatureMap, *, path: str) -> FeatureMap:
    known = known_features(specs, features)
    if known.problems:
        raise InvalidRequestError(
            [FieldViolation(field=f"{path}.{name}", description=text) for name, text in known.problems.items()]
        )
    return known.features


def _recent(generation: Generation, query: RecallQuery, history: tuple[str, ...]) -> list[str]:
    """Returns the latest items of the history that the index holds, oldest first."""
    max_history = generation.model.max_history
    if query.vector is not None or max_history <= 0:
        return []
    return [item_id for item_id in history if item_id in generation.index][-max_history:]


def _gathered(index: LiveIndex, histories: Sequence[Sequence[str]]) -> list[FloatArray]:
    """Returns the vectors of each history, [num_held, dim], read in one call."""
    vectors, held = index.gather([item_id for history in histories for item_id in history])
    owners = np.repeat(np.arange(len(histories)), [len(history) for history in histories])[held]
    ends = np.cumsum(np.bincount(owners, minlength=len(histories)))
    return np.split(vectors, ends[:-1])


def _source(generation: Generation, query: RecallQuery, user: UserInput) -> AnsweredFrom:
    if query.vector is not None:
        return AnsweredFrom.VECTOR
    if len(user.history):
        return AnsweredFrom.HISTORY
    if user.features or (query.user_id is not None and generation.model.knows_user(query.user_id)):
        return AnsweredFrom.FEATURES
    return AnsweredFrom.POPULARITY


def _profiles(generation: Generation, questions: Sequence[_Question]) -> Bags | None:
    weights = generation.model.fusion
    if not weights.is_on:
        return None
    profiles = user_profiles(generation.index, [question.recent for question in questions], weights)
    by_vector = np.array([q.answered_from is AnsweredFrom.VECTOR for q in questions], dtype=np.bool_)
    return emptied(profiles, by_vector) if by_vector.any() else profiles


def _user_vectors(generation: Generation, questions: Sequence[_Question]) -> FloatArray:
    vectors = np.empty((len(questions), generation.model.dim), dtype=np.float32)
    made = [place for place, q in enumerate(questions) if q.answered_from is not AnsweredFrom.VECTOR]
    if made:
        vectors[made] = generation.model.embed_users([questions[place].user for place in made])
    for place, question in enumerate(questions):
        if question.query.vector is not None:
            vectors[place] = _fitting(question.query.vector, generation.model.dim)
    return vectors


def _fitting(vector: FloatArray, dim: int) -> FloatArray:
    if vector.shape == (dim,) and np.isfinite(vector).all() and vector.any():
        return vector
    text = f"it has shape {list(vector.shape)}, or is zero or not finite; send {dim} finite numbers"
    raise InvalidRequestError([FieldViolation(field="vector", description=text)])
