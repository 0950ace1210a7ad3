"""Queries with everything filled in that a search needs: what is stored of the user, and what may be returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress

import numpy as np

from index.conditions import Condition
from index.protocols import FloatArray, SearchOptions
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.attributes import checked_filter, returned_attributes
from recall.live.availability import narrowed
from recall.live.generation import Generation
from recall.live.item_vectors import known_features
from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.reserved import hidden_in
from recall.live.users import UserStore
from recall.model.embedding import UserInput
from recall.schema import FeatureMap

_MAX_STORED_HISTORY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query with what is stored of its user filled in.

    Attributes:
        query: As asked.
        user: What the user tower reads.
        history: All items of the history, held or not, oldest first.
        recent: Those behind the history that the user tower reads.
        options: What may be returned.
        answered_from: What the answer is made from.
    """

    query: RecallQuery
    user: UserInput
    history: tuple[str, ...]
    recent: Sequence[str]
    options: SearchOptions
    answered_from: AnsweredFrom


def check_queries(generation: Generation, queries: Sequence[RecallQuery], *, path: str = "") -> None:
    """Checks that queries fit what is served.

    Args:
        generation: What is served.
        queries: What is asked.
        path: What the paths of fields begin with in the request, `{}` standing for the position of the query, for
            example `requests[{}].`; empty where the one query is the request.

    Raises:
        InvalidRequestError: Given features or a vector do not fit the model, or a filter or names of attributes those
            of items; all such fields of all queries are listed.
        NotReadyError: There is a filter, and the snapshot holds no attributes.
    """
    violations: list[FieldViolation] = []
    for position, query in enumerate(queries):
        if _is_plain(query):
            continue
        found = [
            *_feature_violations(generation, query),
            *_refused(partial(checked_filter, generation, query.filter)),
            *_refused(partial(returned_attributes, generation, (), query.attributes)),
        ]
        if query.vector is not None and not _fits(query.vector, generation.model.dim):
            text = f"it has shape {list(query.vector.shape)}, or is zero or not finite"
            cure = f"send {generation.model.dim} finite numbers"
            found.append(FieldViolation(field="vector", description=f"{text}; {cure}"))
        prefix = path.format(position)
        violations += [replace(violation, field=f"{prefix}{violation.field}") for violation in found]
    if violations:
        raise InvalidRequestError(violations)


def questions_of(
    generation: Generation, queries: Sequence[RecallQuery], users: UserStore | None, *, available: Condition | None
) -> list[Question]:
    """Returns one question a query.

    Args:
        generation: What is served.
        queries: What is asked, checked.
        users: Where users are stored; None where every query brings all that is known.
        available: What holds for the items that are available now; None where all are.

    Raises:
        CatalogError: What is stored of a user cannot be read.
    """
    histories, features = _histories(queries, users), _features(generation, queries, users)
    recent = _recent(generation, queries, histories)
    questions, hidden = [], hidden_in(generation.index)
    for query, history, described, (read, known) in zip(queries, histories, features, recent, strict=True):
        user = UserInput(user_id=query.user_id, features=described, history=known)
        exclude = frozenset((*query.exclude, *hidden, *(history if query.exclude_history else ())))
        options = SearchOptions(
            exclude=exclude,
            candidates=query.candidates,
            exact=query.exact,
            filter=narrowed(query.filter, available),
        )
        source = _source(generation, query, user)
        question = Question(query=query, user=user, history=history, recent=read, options=options, answered_from=source)
        questions.append(question)
    return questions


def _is_plain(query: RecallQuery) -> bool:
    """Returns whether nothing of a query has to fit what is served."""
    return query.features is None and query.vector is None and query.filter is None and not query.attributes


def _feature_violations(generation: Generation, query: RecallQuery) -> list[FieldViolation]:
    if query.features is None or query.vector is not None:
        return []
    problems = known_features(generation.model.schema.user_features, query.features).problems
    return [FieldViolation(field=f"features.{name}", description=text) for name, text in problems.items()]


def _refused(check: Callable[[], object]) -> Sequence[FieldViolation]:
    """Returns what a check found wrong."""
    try:
        check()
    except InvalidRequestError as error:
        return error.violations
    return ()


def _fits(vector: FloatArray, dim: int) -> bool:
    return vector.shape == (dim,) and bool(np.isfinite(vector).all() and vector.any())


def _histories(queries: Sequence[RecallQuery], users: UserStore | None) -> list[tuple[str, ...]]:
    """Returns the whole history of each query, oldest first, given or stored."""
    asked = [q.user_id for q in queries if q.history is None and q.user_id is not None]
    stored = users.histories(asked, _MAX_STORED_HISTORY) if users is not None and asked else {}
    return [stored.get(q.user_id or "", ()) if q.history is None else q.history for q in queries]


def _features(generation: Generation, queries: Sequence[RecallQuery], users: UserStore | None) -> list[FeatureMap]:
    """Returns the features of each query's user that the model reads, given or stored."""
    asked = [q.user_id for q in queries if q.features is None and q.vector is None and q.user_id is not None]
    stored = users.features_of(asked) if users is not None and asked else {}
    specs = generation.model.schema.user_features
    known: list[FeatureMap] = []
    for query in queries:
        features = stored.get(query.user_id or "", {}) if query.features is None else query.features
        # What does not fit this model is as good as missing: where it was given, it was refused before.
        known.append({} if query.vector is not None else known_features(specs, features).features)
    return known


def _recent(
    generation: Generation, queries: Sequence[RecallQuery], histories: Sequence[Sequence[str]]
) -> list[tuple[list[str], FloatArray]]:
    """Returns the latest items of each history that the index holds, oldest first, with their vectors, [n, dim]."""
    most = generation.model.max_history
    read = [() if q.vector is not None or most <= 0 else h for q, h in zip(queries, histories, strict=True)]
    vectors, held = generation.index.gather([item_id for history in read for item_id in history])
    recent, start, first = [], 0, 0
    for history in read:
        kept = list(compress(history, held[start : start + len(history)].tolist()))
        start, end = start + len(history), first + len(kept)
        latest = kept[-most:] if kept else kept
        recent.append((latest, vectors[end - len(latest) : end]))
        first = end
    return recent


def _source(generation: Generation, query: RecallQuery, user: UserInput) -> AnsweredFrom:
    if query.vector is not None:
        return AnsweredFrom.VECTOR
    if len(user.history):
        return AnsweredFrom.HISTORY
    if user.features or (query.user_id is not None and generation.model.knows_user(query.user_id)):
        return AnsweredFrom.FEATURES
    return AnsweredFrom.POPULARITY
