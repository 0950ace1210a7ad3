"""What bars an item from an answer, whatever its score: every reason, each found without the search."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from index import bitmap
from index.attribute_growth import GrowingAttributes
from index.conditions import And, Condition
from index.filtering import Rows
from index.protocols import RowArray
from recall.live.attributes import indexed_attributes
from recall.live.availability import is_available
from recall.live.explanation import Missing, MissingReason
from recall.live.generation import Generation
from recall.live.questions import Question
from recall.live.records import StoredItem

_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFacts:
    """What is stored of an item, as read after the index was.

    Attributes:
        item_id: The item.
        stored: What the catalogue holds; None where that is nothing, or is damaged.
        problem: Why it could not be embedded; empty where it could, or is not stored.
    """

    item_id: str
    stored: StoredItem | None = None
    problem: str = ""


def barriers(
    moment: Generation, question: Question, facts: ItemFacts, *, available: Condition | None, now: float
) -> Iterator[Missing]:
    """Yields every reason why an item may not be returned, whatever its score.

    Args:
        moment: What is served, with a frozen index.
        question: What was asked.
        facts: The item.
        available: What holds for the items that are available; None where all are.
        now: The same moment, in seconds since 1970.
    """
    query, item_id = question.query, facts.item_id
    if item_id not in moment.index:
        yield _not_held(moment.index.sequence, facts)
    if not _is_available(moment, facts, available=available, now=now):
        yield Missing(reason=MissingReason.NOT_AVAILABLE, message=_window(facts.stored, now))
    if query.candidates is not None and item_id not in query.candidates:
        text = f"it is not among the {len(query.candidates)} items of candidate_item_ids"
        yield Missing(reason=MissingReason.NOT_A_CANDIDATE, message=text)
    if item_id in query.exclude:
        yield Missing(reason=MissingReason.EXCLUDED, message="it is among exclude_item_ids")
    if query.exclude_history and item_id in question.history:
        text = "the user chose it before; exclude_history = false returns such items too"
        yield Missing(reason=MissingReason.IN_HISTORY, message=text)
    if query.filter is not None and not _passes(moment, facts, query.filter):
        text = f"the filter does not hold for it: {_cut(str(_failing(moment, facts, query.filter)))}"
        yield Missing(reason=MissingReason.FILTERED, message=text)


def _not_held(sequence: int, facts: ItemFacts) -> Missing:
    stored = facts.stored
    if stored is not None and stored.sequence > sequence:
        text = f"it was written as {stored.sequence}, and this answer reflects the writes up to {sequence}"
        return Missing(
            reason=MissingReason.NOT_STORED, message=f"{text}; ask again with min_sequence = {stored.sequence}"
        )
    if stored is None and not facts.problem:
        text = f"item {facts.item_id!r} is not stored, or was deleted; upsert it"
        return Missing(reason=MissingReason.NOT_STORED, message=text)
    text = facts.problem or "the served snapshot does not hold it; rebuild"
    return Missing(reason=MissingReason.NOT_EMBEDDED, message=text)


def _is_available(moment: Generation, facts: ItemFacts, *, available: Condition | None, now: float) -> bool:
    if facts.item_id in moment.index:
        return available is None or facts.item_id in moment.index.filtered(available)
    return facts.stored is None or is_available(facts.stored, now)


def _window(stored: StoredItem | None, now: float) -> str:
    if stored is None or is_available(stored, now):  # written again since
        return f"its window is not open at {now:.0f}"
    begins = "always" if stored.available_from is None else f"from {stored.available_from}"
    ends = "" if stored.available_until is None else f" until before {stored.available_until}"
    return f"it is available {begins}{ends}, and now it is {now:.0f}, in seconds since 1970"


def _passes(moment: Generation, facts: ItemFacts, condition: Condition) -> bool:
    """Returns whether a condition holds for an item; for one of which nothing can be read, yes."""
    if facts.item_id in moment.index:
        return facts.item_id in moment.index.filtered(condition)
    columns = moment.index.columns
    if facts.stored is None or columns is None:
        return True

    def find(item_ids: Collection[str]) -> RowArray:
        return np.zeros(int(facts.item_id in item_ids), dtype=np.int64)

    grown = GrowingAttributes(columns)
    grown.append(indexed_attributes(columns, [facts.stored]))
    rows = Rows(columns=grown.frozen().by_name(), num_rows=1, find=find)
    return bitmap.contains(rows.bits(condition), 0)


def _failing(moment: Generation, facts: ItemFacts, condition: Condition) -> Condition:
    """Returns the part that fails of a condition that does: of those that all have to hold, the first."""
    if isinstance(condition, And):
        for part in condition.conditions:
            if not _passes(moment, facts, part):
                return _failing(moment, facts, part)
    return condition


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
