"""Why an item is or is not in the answer to a recall, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from recall.live.query import AnsweredFrom


class MissingReason(Enum):
    """Why an item is not in an answer."""

    NOT_STORED = "not stored"
    NOT_EMBEDDED = "not embedded"
    NOT_AVAILABLE = "not available"
    NOT_A_CANDIDATE = "not a candidate"
    EXCLUDED = "excluded"
    IN_HISTORY = "in history"
    FILTERED = "filtered"
    BELOW_LIMIT = "below limit"
    MISSED_BY_INDEX = "missed by index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One reason, in words too.

    Attributes:
        reason: The reason.
        message: The same in words, with the filter, window or id that it is about.
    """

    reason: MissingReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where an item stands in the answer to a recall.

    Attributes:
        model_id: Model that answered.
        sequence: Last write that the answer reflects.
        is_returned: Whether the recall returns the item.
        missing: Every reason why not.
        score: Exact score; None where the item has no vector, or the answer is popularity.
        vector_score: What the product of vectors gives of it.
        content_score: What exact words give of it, with the offset of items unseen in training.
        rank: Place by exact score among all items that may be returned, from 1; None without a score, or where the item
            may not be.
        num_eligible: Items that may be returned.
        last_score: Score of the last item that the recall returns; None where it returns none.
        part: Which part of the index holds the item.
        answered_from: What the user vector was made from.
        is_trained: Whether the model has seen the item in training.
    """

    model_id: str
    sequence: int
    is_returned: bool
    missing: tuple[Missing, ...]
    score: float | None
    vector_score: float
    content_score: float
    rank: int | None
    num_eligible: int
    last_score: float | None
    part: Literal["base", "fresh"] | None
    answered_from: AnsweredFrom
    is_trained: bool
