"""Twins of a stored item, or of features that need not be stored, over one generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from index.conditions import Condition
from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import Hits
from recall.errors import FieldViolation, InvalidRequestError, NotFoundError, NotReadyError
from recall.live.attributes import returned_attributes
from recall.live.availability import described
from recall.live.generation import Generation
from recall.live.item_vectors import known_features
from recall.live.query import Result, SimilarQuery
from recall.live.twin_tables import THRESHOLD
from recall.live.twins import TwinView
from recall.model.codes import IdArray
from recall.model.token_sets import TokenSets
from recall.schema import FeatureMap, FeatureSpec


def twins_of(generation: Generation, query: SimilarQuery, condition: Condition | None = None) -> Result:
    """Returns the near-duplicates of an item, without itself; scores are Jaccard similarities.

    Args:
        generation: What is served, at one moment.
        query: The question.
        condition: What must hold for an item to be returned, filter and windows both; None means nothing.

    Raises:
        NotReadyError: The snapshot was made before there were twins.
        NotFoundError: The item is not stored, or not retrievable.
        InvalidRequestError: Given features do not fit the catalogue.
    """
    if generation.twins is None:
        snapshot = generation.snapshot or "what is served"
        raise NotReadyError(f"{snapshot} holds no twins; run `recall rebuild` and serve the snapshot that it makes")
    view = generation.twins.view()
    tokens = _tokens(view, query)
    exclude = {*query.exclude, query.item_id or ""}

    def search(limit: int) -> Hits:
        return view.search(tokens, limit, exclude=exclude, exact=query.exact)

    # Twins are written before the index is: what that does not hold yet is not visible yet.
    held = generation.index if condition is None else generation.index.filtered(condition)
    hits = _held(held, search, query.limit)
    found = f"{len(hits.item_ids)} found{described(condition)}"
    return Result(
        item_ids=hits.item_ids,
        scores=hits.scores,
        model_id=generation.model.model_id,
        sequence=generation.index.sequence,
        short_reason=""
        if len(hits.item_ids) >= query.limit
        else _short_reason(view.specs, len(tokens), what=f"{query.limit} items were wanted, {found}"),
        attributes=returned_attributes(generation, hits.item_ids, query.attributes),
    )


def _held(index: LiveIndex | LiveView, search: Callable[[int], Hits], limit: int) -> Hits:
    """Returns the best hits that an index holds; asks for twice as many where it does not hold too many."""
    wanted = limit
    while True:
        hits = search(wanted)
        places = [place for place, item_id in enumerate(hits.item_ids) if item_id in index][:limit]
        if len(places) == limit or len(hits.item_ids) < wanted:
            return Hits([hits.item_ids[place] for place in places], hits.scores[places])
        wanted *= 2


def stored_token_sets(specs: Sequence[FeatureSpec], features: Sequence[FeatureMap]) -> TokenSets:
    """Returns the token sets of stored items; a value that does not fit its column counts as missing."""
    return TokenSets.of_features(specs, [known_features(specs, raw).features for raw in features])


def _tokens(view: TwinView, query: SimilarQuery) -> IdArray:
    if query.features is not None:
        known = known_features(view.specs, query.features)
        if known.problems:
            found = [FieldViolation(field=f"item.features.{n}", description=text) for n, text in known.problems.items()]
            raise InvalidRequestError(found)
        return TokenSets.of_features(view.specs, [known.features]).row(0)
    tokens = view.tokens_of(query.item_id or "")
    if tokens is None:
        raise NotFoundError(f"item {query.item_id!r} is not retrievable; upsert it, or send its features")
    return tokens


def _short_reason(specs: Sequence[FeatureSpec], num_tokens: int, *, what: str) -> str:
    if not specs:
        return "no item has a twin: the catalogue has no text or set feature"
    names = ", ".join(spec.name for spec in specs)
    if num_tokens == 0:
        return f"the item has no twin: it has no word and no value in {names}"
    share = f"at least {THRESHOLD:.0%} of all words and values in {names} are common to it and the item"
    return f"{what}: a twin is one where {share}"
