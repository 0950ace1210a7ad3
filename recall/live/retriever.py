"""Recall and similar items over one generation. The same code serves requests and is evaluated.

A user vector is made from features, user id and the vectors of the history's items, which are read from the live index:
an item upserted a second ago already shapes it. Where the model has a sparse part, the bags of these items make a
profile (`profiles.py`), and a score is the sum of both products. All that is asked in one call is answered from one
moment of the index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from index.conditions import Condition
from index.protocols import SearchOptions
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.attributes import checked_filter, returned_attributes
from recall.live.availability import narrowed
from recall.live.barriers import ItemFacts
from recall.live.channels import ChannelHits, answers, check_channels
from recall.live.explain import explained
from recall.live.explanation import Explanation
from recall.live.exploration import explorable
from recall.live.generation import Generation
from recall.live.item_vectors import known_features
from recall.live.query import AnsweredFrom, Channel, RecallQuery, Result, SimilarBy, SimilarQuery
from recall.live.questions import Question, check_queries, questions_of
from recall.live.ranking import Ranking
from recall.live.reserved import hidden_in
from recall.live.search_input import described_item, stored_item
from recall.live.shortness import short_reason
from recall.live.twin_search import twins_of
from recall.live.users import RememberedUsers, UserStore
from recall.schema import FeatureMap, FeatureSpec

_CHUNK = 512


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

    def check(self, generation: Generation, queries: Sequence[RecallQuery], *, path: str = "") -> None:
        """Checks what `recall` checks first, and raises what it raises for that."""
        check_channels(generation, queries)
        check_queries(generation, queries, path=path)

    def recall(self, generation: Generation, queries: Sequence[RecallQuery], *, path: str = "") -> list[Result]:
        """Returns the best items for each query; fewer than its limit only where fewer are eligible.

        Args:
            generation: What is served.
            queries: What is asked. All are checked first.
            path: What the paths of invalid fields begin with; see `questions.check_queries`.

        Raises:
            InvalidRequestError: Given features do not fit the model, or a filter the attributes of items.
            NotReadyError: There is a filter, and the snapshot holds no attributes, or the content channel is asked for,
                and the model has no sparse part.
            CatalogError: What is stored of a user cannot be read.
        """
        self.check(generation, queries, path=path)
        return generation.windows.honoured(self._clock(), partial(self._recall, self._ready(generation), queries))

    def explain(
        self, generation: Generation, query: RecallQuery, item_id: str, *, facts: Callable[[str], ItemFacts]
    ) -> Explanation:
        """Returns why an item is or is not in the answer to a recall, which it answers for that.

        Args:
            generation: What is served.
            query: The recall; its channels and attributes play no part.
            item_id: The item.
            facts: Tells what is stored of it; asked after the index is read.

        Raises:
            InvalidRequestError: Given features do not fit the model, or a filter the attributes of items.
            NotReadyError: There is a filter, and the snapshot holds no attributes.
            CatalogError: What is stored cannot be read.
        """
        check_queries(generation, [query], path="recall.")
        ready, now = self._ready(generation), self._clock()

        def ask(available: Condition | None) -> Explanation:
            moment = ready.at_one_moment()
            (question,) = questions_of(moment, [query], self._users, available=available)
            ranking = Ranking(generation=moment, fresh_share=self._fresh_share)
            return explained(ranking, question, facts(item_id), available=available, now=now)

        return generation.windows.honoured(now, ask)

    def similar(self, generation: Generation, query: SimilarQuery) -> Result:
        """Returns the neighbours of a stored item, without itself, or of features that need not be stored.

        Raises:
            NotFoundError: The item is not stored, or not retrievable.
            InvalidRequestError: Given features do not fit the model, or a filter the attributes of items.
            NotReadyError: Twins are asked for or there is a filter, and the snapshot holds no twins or attributes.
        """
        return generation.windows.honoured(self._clock(), partial(self._similar, generation, query))

    def _similar(self, generation: Generation, query: SimilarQuery, available: Condition | None) -> Result:
        moment, item_id = generation.at_one_moment(), query.item_id or ""
        condition = narrowed(checked_filter(moment, query.filter), available)
        if query.by is SimilarBy.TWINS:
            return twins_of(moment, query, condition)
        hidden = hidden_in(moment.index)
        if query.features is not None:
            options = SearchOptions(exclude=(*query.exclude, *hidden), exact=query.exact, filter=condition)
            features = _checked(moment.model.schema.item_features, query.features, path="item.features")
            asked = described_item(moment, item_id, features, options)
        else:
            options = SearchOptions(exclude=(*query.exclude, *hidden, item_id), exact=query.exact, filter=condition)
            asked = stored_item(moment, item_id, options)
        hits = asked.search(moment.index, [0], query.limit)[0]
        return Result(
            item_ids=hits.item_ids,
            scores=hits.scores,
            model_id=moment.model.model_id,
            sequence=moment.index.sequence,
            short_reason=short_reason(moment.index, options, limit=query.limit, num_found=len(hits.item_ids)),
            attributes=returned_attributes(moment, hits.item_ids, query.attributes),
        )

    def _ready(self, generation: Generation) -> Generation:
        """Returns a generation whose unseen items are told apart where that is needed, as a server loads it."""
        return explorable(generation) if self._fresh_share and generation.unseen_popularity is None else generation

    def _recall(
        self, generation: Generation, queries: Sequence[RecallQuery], available: Condition | None
    ) -> list[Result]:
        moment = generation.at_one_moment()
        chunks = (queries[start : start + _CHUNK] for start in range(0, len(queries), _CHUNK))
        return [result for chunk in chunks for result in self._recall_chunk(moment, chunk, available)]

    def _recall_chunk(
        self, moment: Generation, queries: Sequence[RecallQuery], available: Condition | None
    ) -> list[Result]:
        questions = questions_of(moment, queries, self._users, available=available)
        found = answers(Ranking(generation=moment, fresh_share=self._fresh_share), questions)
        return [_result(moment, question, answer) for question, answer in zip(questions, found, strict=True)]


def _result(moment: Generation, question: Question, answer: ChannelHits) -> Result:
    query, hits = question.query, answer.hits
    reason = short_reason(
        moment.index,
        question.options,
        limit=query.limit,
        num_found=len(hits.item_ids),
        of_content=query.channels == (Channel.CONTENT,),
    )
    return Result(
        item_ids=hits.item_ids,
        scores=hits.scores,
        model_id=moment.model.model_id,
        sequence=moment.index.sequence,
        short_reason=reason,
        answered_from=question.answered_from,
        item_channels=answer.channels if query.channels else (),
        attributes=returned_attributes(moment, hits.item_ids, query.attributes),
        missing_features=_missing(moment.model.schema.user_features, question),
    )


def _missing(specs: Sequence[FeatureSpec], question: Question) -> tuple[str, ...]:
    if question.answered_from is AnsweredFrom.VECTOR:
        return ()
    return tuple(spec.name for spec in specs if spec.name not in question.user.features)


def _checked(specs: Sequence[FeatureSpec], features: FeatureMap, *, path: str) -> FeatureMap:
    known = known_features(specs, features)
    if known.problems:
        raise InvalidRequestError(
            [FieldViolation(field=f"{path}.{name}", description=text) for name, text in known.problems.items()]
        )
    return known.features
