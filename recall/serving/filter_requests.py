"""`Filter` messages of `recall.v1` to conditions of an index, every wrong field named at once.

A filter that comes out fits the columns it was read against. Its bounds are a little narrower than those of conditions
(`index.conditions`), so that what a server adds, for example that items are available now, never makes it too large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from index.attributes import ColumnKind, ColumnSpec, known_columns
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range, Value
from recall.errors import FieldViolation
from recall.live.convert import check_id
from recall.v1 import recall_pb2 as pb

MAX_DEPTH = 30
"""Most filters within each other."""

MAX_FILTERS = 1_000
"""Most filters in one, itself counted."""

MAX_VALUES = 65_000
"""Most values and ids in one filter and all within it; a comparison without a list counts one."""

_FITTING: dict[ColumnKind, tuple[str, ...]] = {
    "category": ("equals", "in_values", "present"),
    "set": ("any_of", "all_of", "present"),
    "number": ("equals", "in_values", "range", "present"),
}


def filter_from_message(
    message: pb.Filter, columns: Sequence[ColumnSpec], *, path: str
) -> tuple[Condition | None, list[FieldViolation]]:
    """Returns the condition that a filter states, None where it is invalid, and every violation.

    Args:
        message: The filter.
        columns: The attributes that it may name.
        path: Where it stands in the request, for example `filter`.
    """
    reading = _Reading(columns)
    condition = reading.condition(message, path, depth=1)
    violations = reading.passed_bounds(path) + reading.violations
    return (None if violations else condition), violations


class _Reading:
    """One filter as far as it is read. What is refused has no condition; a bound that is passed ends the reading."""

    def __init__(self, columns: Sequence[ColumnSpec]) -> None:
        self.violations: list[FieldViolation] = []
        self.num_filters, self.num_values = 0, 0
        self._columns = columns
        self._kinds = {column.name: column.kind for column in columns}

    @property
    def is_full(self) -> bool:
        return self.num_filters > MAX_FILTERS or self.num_values > MAX_VALUES

    def passed_bounds(self, path: str) -> list[FieldViolation]:
        texts = []
        if self.num_filters > MAX_FILTERS:
            texts.append(f"it has more than {MAX_FILTERS:,} filters; join comparisons of one attribute by in_values")
        if self.num_values > MAX_VALUES:
            texts.append(f"it has more than {MAX_VALUES:,} values; ask in parts")
        return [FieldViolation(field=path, description=text) for text in texts]

    def refuse(self, field: str, description: str) -> None:
        self.violations.append(FieldViolation(field=field, description=description))

    def condition(self, message: pb.Filter, path: str, *, depth: int) -> Condition | None:
        self.num_filters += 1
        if depth > MAX_DEPTH:
            self.refuse(path, f"it is nested {depth} deep; want at most {MAX_DEPTH}: flatten it")
            return None
        case = message.WhichOneof("condition")
        match case:
            case None:
                self.refuse(path, "no condition is set; set one of equals, in_values, range and the others")
                return None
            case "and_filters" | "or_filters":
                parts = message.and_filters if case == "and_filters" else message.or_filters
                return self._joined(parts, f"{path}.{case}.filters", case=case, depth=depth)
            case "not_filter":
                part = self.condition(message.not_filter, f"{path}.not_filter", depth=depth + 1)
                return None if part is None else Not(part)
            case "item_ids":
                return self._item_in(message.item_ids.item_ids, f"{path}.item_ids.item_ids")
        return self._compared(message, path, case)

    def _joined(self, message: pb.FilterList, path: str, *, case: str, depth: int) -> Condition | None:
        if not message.filters:
            self.refuse(path, "it is empty; send at least one filter, or leave it out")
        parts: list[Condition] = []
        for place, filter_ in enumerate(message.filters):
            part = self.condition(filter_, f"{path}[{place}]", depth=depth + 1)
            if self.is_full:
                return None
            if part is not None:
                parts.append(part)
        if len(parts) < len(message.filters):
            return None
        return And(parts) if case == "and_filters" else Or(parts)

    def _item_in(self, item_ids: Sequence[str], path: str) -> Condition | None:
        if not self._takes(len(item_ids)):
            return None
        for place, item_id in enumerate(item_ids):
            self.violations += check_id(item_id, path=f"{path}[{place}]")
        return ItemIn(tuple(item_ids))

    def _compared(self, message: pb.Filter, path: str, case: str) -> Condition | None:
        if case == "present":
            kind = self._kind(message.present, case, field=f"{path}.{case}")
            return Present(message.present) if kind is not None and self._takes(1) else None
        if case == "equals":
            return self._equals(message.equals, f"{path}.{case}")
        if case == "in_values":
            return self._in(message.in_values, f"{path}.{case}")
        if case == "range":
            return self._range(message.range, f"{path}.{case}")
        elements = message.any_of if case == "any_of" else message.all_of
        if not elements.values:
            self.refuse(f"{path}.{case}.values", "it is empty; send at least one element")
        kind = self._kind(elements.attribute, case, field=f"{path}.{case}.attribute")
        if not elements.values or kind is None or not self._takes(len(elements.values)):
            return None
        comparison = AnyOf if case == "any_of" else AllOf
        return comparison(elements.attribute, tuple(elements.values))

    def _equals(self, message: pb.EqualsCondition, path: str) -> Condition | None:
        value: Value | None = None
        match message.WhichOneof("value"):
            case "string_value":
                value = message.string_value
            case "number_value":
                value = message.number_value
                if not math.isfinite(value):
                    self.refuse(f"{path}.number_value", f"{value} is not finite; send a finite number")
            case _:
                self.refuse(f"{path}.string_value|number_value", "no value is set; set one")
        kind = self._kind(message.attribute, "equals", field=f"{path}.attribute")
        if kind is None or value is None or not self._takes(1):
            return None
        if isinstance(value, str) == (kind == "number"):
            sent, wanted = ("string", "number") if kind == "number" else ("number", "string")
            self.refuse(f"{path}.{sent}_value", f"{message.attribute!r} is a {kind}; send {wanted}_value")
            return None
        return None if self.violations else Equals(message.attribute, value)

    def _in(self, message: pb.InCondition, path: str) -> Condition | None:
        kind = self._kind(message.attribute, "in_values", field=f"{path}.attribute")
        if not message.strings and not message.numbers:
            self.refuse(f"{path}.strings|numbers", "both are empty; send at least one value")
        if not self._takes(len(message.strings) + len(message.numbers)):
            return None
        for place, number in enumerate(message.numbers):
            if not math.isfinite(number):
                self.refuse(f"{path}.numbers[{place}]", f"{number} is not finite; send a finite number")
        wanted, other = ("numbers", "strings") if kind == "number" else ("strings", "numbers")
        if kind is not None and (message.strings if kind == "number" else message.numbers):
            self.refuse(f"{path}.{other}", f"{message.attribute!r} is a {kind}; send {wanted} alone")
        if kind is None or self.violations:
            return None
        return In(message.attribute, tuple(message.numbers if kind == "number" else message.strings))

    def _range(self, message: pb.RangeCondition, path: str) -> Condition | None:
        kind = self._kind(message.attribute, "range", field=f"{path}.attribute")
        lower, upper = message.WhichOneof("lower"), message.WhichOneof("upper")
        low = message.at_least if lower == "at_least" else message.more_than if lower else None
        high = message.at_most if upper == "at_most" else message.less_than if upper else None
        if low is None and high is None:
            self.refuse(f"{path}.at_least|more_than|at_most|less_than", "no bound is set; set at least one")
        for name, bound in ((lower, low), (upper, high)):
            if bound is not None and math.isnan(bound):
                self.refuse(f"{path}.{name}", "it is NaN; send a number, or leave it out")
        if low is not None and high is not None and low > high:
            self.refuse(f"{path}.{upper}", f"{high} is below the lower bound {low}; swap them")
        if kind is None or self.violations or not self._takes(1):
            return None
        ends = {"includes_low": lower != "more_than", "includes_high": upper != "less_than"}
        return Range(message.attribute, low, high, **ends)

    def _kind(self, attribute: str, case: str, *, field: str) -> ColumnKind | None:
        """Returns what an attribute is; None where it is unknown or not to be compared like this."""
        kind = self._kinds.get(attribute)
        if kind is None:
            self.refuse(field, f"{attribute!r} is no attribute; {known_columns(self._columns)}")
        elif case not in _FITTING[kind]:
            self.refuse(field, f"{attribute!r} is a {kind}; compare it by {', '.join(_FITTING[kind])}, not by {case}")
            return None
        return kind

    def _takes(self, num_values: int) -> bool:
        self.num_values += num_values
        return self.num_values <= MAX_VALUES
