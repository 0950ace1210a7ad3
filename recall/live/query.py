"""Questions to the retriever and its answers, as frozen values without any wire or table in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from index.conditions import Condition
from recall.errors import FieldViolation
from recall.schema import FeatureMap, FeatureValue

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
"""Most items that a server returns to one question."""

MOST_JOINED = 1_000
"""Longest list that a query may ask for to be answered together with others."""


def limit_violations(limit: int) -> list[FieldViolation]:
    """Returns what is wrong with the limit of a request; 0 stands for the default."""
    if 0 <= limit <= MAX_LIMIT:
        return []
    text = f"{limit} is outside 1..{MAX_LIMIT:,}; send a limit within it, or 0 for {DEFAULT_LIMIT}"
    return [FieldViolation(field="limit", description=text)]


class AnsweredFrom(Enum):
    """What the user vector of a recall was made from."""

    VECTOR = "vector"
    HISTORY = "history"
    FEATURES = "features"
    POPULARITY = "popularity"


class Channel(Enum):
    """A source of candidates."""

    SERVED = "served"
    EXACT = "exact"
    CONTENT = "content"
    POPULARITY = "popularity"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallQuery:
    """One request for the best items of a user. Given parts override what is stored of the user.

    Attributes:
        user_id: A user, stored or not; None for an anonymous one.
        features: Raw user features; None means those stored.
        history: Item ids, oldest first; None means the one stored.
        vector: [dim] float32 user vector that replaces all of the above.
        limit: Items wanted.
        candidates: The only items that may be returned; None means all.
        exclude: Items never returned.
        exclude_history: Whether items of the history are left out.
        exact: Whether to search exhaustively.
        filter: What must hold for an item to be returned; None means nothing.
        attributes: Names of the attributes to return with the items.
        channels: Sources of candidates, each once, whose items are taken in turn; none means `SERVED` alone.
    """

    user_id: str | None = None
    features: FeatureMap | None = None
    history: tuple[str, ...] | None = None
    vector: NDArray[np.float32] | None = None
    limit: int = DEFAULT_LIMIT
    candidates: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    exclude_history: bool = True
    exact: bool = False
    filter: Condition | None = None
    attributes: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()


def joins(query: RecallQuery) -> bool:
    """Returns whether a query is quick enough to be answered in one go with others, which wait for each other then."""
    alone = query.exact or query.candidates is not None or query.channels or query.filter is not None
    return not alone and query.limit <= MOST_JOINED


class SimilarBy(Enum):
    """What makes an item a neighbour of another: a near vector, or most of its words and tags in common."""

    VECTOR = "vector"
    TWINS = "twins"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarQuery:
    """One request for the neighbours of an item.

    Attributes:
        item_id: A stored item, or the id of the unstored item that `features` describe.
        features: Raw features of an item that need not be stored; None means the stored item `item_id`.
        limit: Items wanted.
        exclude: Items never returned.
        exact: Whether to search exhaustively.
        by: What makes an item a neighbour.
        filter: What must hold for an item to be returned; None means nothing.
        attributes: Names of the attributes to return with the items.
    """

    item_id: str | None = None
    features: FeatureMap | None = None
    limit: int = DEFAULT_LIMIT
    exclude: tuple[str, ...] = ()
    exact: bool = False
    by: SimilarBy = SimilarBy.VECTOR
    filter: Condition | None = None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Items found, best first: score descending, then item id ascending in UTF-8 byte order.

    Those of a query with channels stand in the order in which these took turns.

    Attributes:
        item_ids: The items.
        scores: [len(item_ids)] float32.
        model_id: Model that answered.
        sequence: Last write that the answer reflects.
        short_reason: Why there are fewer than `limit`; empty otherwise.
        answered_from: What the user vector was made from.
        item_channels: Whose each item is; none where the query has no channels.
        attributes: By name of those asked for, one value an item; None where the item has none.
        missing_features: Features of the user that the model reads and neither query nor catalogue had.
    """

    item_ids: list[str]
    scores: NDArray[np.float32]
    model_id: str
    sequence: int
    short_reason: str = ""
    answered_from: AnsweredFrom = AnsweredFrom.VECTOR
    item_channels: tuple[Channel, ...] = ()
    attributes: Mapping[str, Sequence[FeatureValue | None]] = field(default_factory=dict)
    missing_features: tuple[str, ...] = ()
