"""When items may be returned: from their window's first second until the second that ends it.

The two ends are number columns of the live index beside the attributes, under names of their own. A recall at second t
is filtered by "does not begin after t, and does not end at t or before", so nothing is rewritten when a window opens or
closes, and nothing filtered as long as no item has a window. An item outside its window stays in the histories of users
and can be asked for its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from index.attribute_columns import Numbers
from index.attributes import Attributes, ColumnSpec
from index.conditions import And, Condition, Not, Range
from index.errors import InvalidQueryError
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.records import ItemRecord, StoredItem

FROM = ColumnSpec(name="\x1favailable_from", kind="number")
UNTIL = ColumnSpec(name="\x1favailable_until", kind="number")

_AnswerT = TypeVar("_AnswerT")


class Windows:
    """Whether any item of an index has a window; the one who writes the index says so before it can be found."""

    def __init__(self, *, exist: bool = False) -> None:
        """Starts with what the base of the index holds."""
        self.exist = exist

    @classmethod
    def of(cls, attributes: Attributes) -> Windows:
        """Returns whether rows of a base have windows."""
        columns = attributes.by_name()
        numbers = [column for name in (FROM.name, UNTIL.name) if isinstance(column := columns.get(name), Numbers)]
        return cls(exist=any(bool(np.isfinite(column.values).any()) for column in numbers))

    def condition(self, now: float) -> Condition | None:
        """Returns what holds for the items that are available at a moment; None where all are."""
        return available_at(now) if self.exist else None

    def honoured(self, now: float, ask: Callable[[Condition | None], _AnswerT]) -> _AnswerT:
        """Returns what is found under the condition of a moment; asks again where the first window came meanwhile."""
        condition = self.condition(now)
        answer = ask(condition)
        return ask(self.condition(now)) if condition is None and self.exist else answer


def available_at(now: float) -> Condition:
    """Returns what holds for the items that are available at a moment, in seconds since 1970."""
    second = math.floor(now)
    return And((Not(Range(FROM.name, low=second, includes_low=False)), Not(Range(UNTIL.name, high=second))))


def is_available(item: ItemRecord | StoredItem, now: float) -> bool:
    """Returns whether a moment lies in the window of an item."""
    begins, ends = item.available_from, item.available_until
    return (begins is None or begins <= now) and (ends is None or now < ends)


def has_window(item: ItemRecord | StoredItem) -> bool:
    """Returns whether an item is not always available."""
    return item.available_from is not None or item.available_until is not None


def narrowed(asked: Condition | None, available: Condition | None) -> Condition | None:
    """Returns what holds where both do.

    Raises:
        InvalidRequestError: What is asked is nested too deep to be a part of another condition.
    """
    if asked is None or available is None:
        return asked if available is None else available
    try:
        return And((asked, available))
    except InvalidQueryError as error:
        raise InvalidRequestError([FieldViolation(field="filter", description=str(error))]) from error


def described(condition: Condition | None) -> str:
    """Returns in words what a condition made by `narrowed` demands of items; empty where nothing."""
    if condition is None:
        return ""
    if _is_of_windows(condition):
        return " that are available now"
    is_both = isinstance(condition, And) and len(condition.conditions) == 2 and _is_of_windows(condition.conditions[1])
    return " that are available now and pass the filter" if is_both else " that pass the filter"


def with_windows(attributes: Attributes | None, num_rows: int) -> Attributes:
    """Returns attributes of base rows with the columns of windows; where these were not stored no row has one."""
    held = Attributes(specs=(), columns=(), num_rows=num_rows) if attributes is None else attributes
    missing = [spec for spec in (FROM, UNTIL) if spec not in held.specs]
    none = Numbers(values=np.broadcast_to(np.float64(np.nan), (num_rows,)))  # takes no memory
    return Attributes(
        specs=(*held.specs, *missing), columns=(*held.columns, *(none for _ in missing)), num_rows=num_rows
    )


def without_empty_windows(attributes: Attributes) -> Attributes:
    """Returns what is to be stored: columns of windows only where a row has one."""
    if Windows.of(attributes).exist:
        return attributes
    kept = [place for place, spec in enumerate(attributes.specs) if spec not in (FROM, UNTIL)]
    return Attributes(
        specs=tuple(attributes.specs[place] for place in kept),
        columns=tuple(attributes.columns[place] for place in kept),
        num_rows=attributes.num_rows,
    )


def _is_of_windows(condition: Condition) -> bool:
    first = condition.conditions[0] if isinstance(condition, And) and condition.conditions else None
    return isinstance(first, Not) and isinstance(first.condition, Range) and first.condition.column == FROM.name
