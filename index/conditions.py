"""Conditions on the attributes of items, as frozen values: what a filter is made of.

    And((Equals("brand", "acme"), Range("price", high=20.0), Not(AnyOf("tags", ("used", "broken")))))

Logic has two values. A comparison with a missing value (an item without that attribute) is false, whatever the
comparison, and `Not` of it is therefore true: `Not(Equals("brand", "acme"))` holds for an item without a brand, and
`And((Present("brand"), Not(Equals("brand", "acme"))))` does not. An empty set counts as missing. Strings are compared
exactly as they are stored, numbers as float64; so integers beyond 2^53 that float64 cannot hold are refused.

Conditions are checked when they are made, as far as that needs no columns (`index.filtering` does the rest), and equal
ones have equal hashes, whatever the order of their values.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from index.errors import InvalidQueryError

MAX_DEPTH = 32
"""Most conditions within each other."""

MAX_CONDITIONS = 1024
"""Most conditions in one, itself counted."""

MAX_VALUES = 65_536
"""Most values and ids in one condition and all within it."""

Value: TypeAlias = str | int | float
"""Of a category or an element of a set: str; of a number: int or float."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """How large a condition is."""

    depth: int = 1
    num_conditions: int = 1
    num_values: int = 1


@dataclass(frozen=True, slots=True)
class Equals:
    """The category or number of an item is this one."""

    column: str
    value: Value

    def __post_init__(self) -> None:
        """Refuses what can be no column or value."""
        _check_column(self, self.column)
        _check_value(self.value, place=f"the value of Equals of {self.column!r}")


@dataclass(frozen=True, slots=True)
class In:
    """The category or number of an item is one of these; none is where there are none."""

    column: str
    values: Collection[Value]

    def __post_init__(self) -> None:
        """Refuses what can be no column or values, and keeps values as a frozen set."""
        _take_values(self)


@dataclass(frozen=True, slots=True)
class Range:
    """The number of an item lies within two bounds.

    Attributes:
        column: Its name.
        low: Lower bound; None leaves that end open.
        high: Upper bound, not below `low`; None leaves that end open.
        includes_low: Whether the lower bound itself is within.
        includes_high: Whether the upper bound itself is within.
    """

    column: str
    low: int | float | None = None
    high: int | float | None = None
    includes_low: bool = field(default=True, kw_only=True)
    includes_high: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        """Refuses what can be no column or bounds."""
        _check_column(self, self.column)
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound is not None and math.isnan(exact_number(bound, place=f"{name} of Range")):
                raise InvalidQueryError(
                    f"{name} of Range of {self.column!r} is NaN; want a number, or None for no bound"
                )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InvalidQueryError(f"Range of {self.column!r} has low {self.low} above high {self.high}; swap them")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The set of an item has at least one of these elements."""

    column: str
    values: Collection[str]

    def __post_init__(self) -> None:
        """Refuses what can be no column or values, and keeps values as a frozen set."""
        _take_values(self)


@dataclass(frozen=True, slots=True)
class AllOf:
    """The set of an item is there and has each of these elements."""

    column: str
    values: Collection[str]

    def __post_init__(self) -> None:
        """Refuses what can be no column or values, and keeps values as a frozen set."""
        _take_values(self)


@dataclass(frozen=True, slots=True)
class Present:
    """The item has a value in the column, whatever it is."""

    column: str

    def __post_init__(self) -> None:
        """Refuses what can be no column."""
        _check_column(self, self.column)


@dataclass(frozen=True, slots=True)
class ItemIn:
    """The item is one of these; ids that are not held do no harm."""

    item_ids: Collection[str]

    def __post_init__(self) -> None:
        """Refuses what can be no ids, and keeps them as a frozen set."""
        object.__setattr__(self, "item_ids", _frozen(self, self.item_ids))


@dataclass(frozen=True, slots=True)
class And:
    """Each of these holds; without any it holds for every item."""

    conditions: Sequence[Condition]
    extent: _Extent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what is no condition or too many of them, and keeps them as a tuple."""
        _take_parts(self)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these holds; without any it holds for no item."""

    conditions: Sequence[Condition]
    extent: _Extent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what is no condition or too many of them, and keeps them as a tuple."""
        _take_parts(self)


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold; true where it compares with a missing value."""

    condition: Condition
    extent: _Extent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what is no condition."""
        object.__setattr__(self, "extent", _joined(self, _parts(self, (self.condition,))))


Leaf: TypeAlias = Equals | In | Range | AnyOf | AllOf | Present
"""What compares one column."""

Condition: TypeAlias = Leaf | ItemIn | And | Or | Not

_KINDS = (Equals, In, Range, AnyOf, AllOf, Present, ItemIn, And, Or, Not)


def exact_number(value: object, *, place: str) -> float:
    """Returns a number as float64, if that holds it.

    Raises:
        InvalidQueryError: It is no int or float, or an integer that float64 cannot hold.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidQueryError(f"{place} is {_shown(value)}; want an int or float")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number != value and not math.isnan(number):
        raise InvalidQueryError(f"{place} is {_shown(value)}, which float64 cannot hold; integers are exact up to 2^53")
    return number


def _check_column(condition: object, column: str) -> None:
    if not isinstance(column, str) or not column:
        raise InvalidQueryError(f"{type(condition).__name__} has the column {_shown(column)}; want its name")


def _check_value(value: object, *, place: str) -> None:
    if not isinstance(value, str) and not math.isfinite(exact_number(value, place=place)):
        raise InvalidQueryError(f"{place} is {value}; want a finite number")


def _take_values(condition: In | AnyOf | AllOf) -> None:
    _check_column(condition, condition.column)
    object.__setattr__(condition, "values", _frozen(condition, condition.values))


def _take_parts(condition: And | Or) -> None:
    object.__setattr__(condition, "conditions", _parts(condition, condition.conditions))
    object.__setattr__(condition, "extent", _joined(condition, condition.conditions))


def _frozen(condition: object, values: Collection[Value]) -> frozenset[Value]:
    name = type(condition).__name__
    if isinstance(values, str) or not isinstance(values, Collection):
        raise InvalidQueryError(f"{name} has the values {_shown(values)}; want a collection, for example a tuple")
    if len(values) > MAX_VALUES:
        raise InvalidQueryError(f"{name} has {len(values)} values; want at most {MAX_VALUES}: ask in parts")
    for value in values:
        if isinstance(condition, In):
            _check_value(value, place=f"a value of In of {condition.column!r}")
        elif not isinstance(value, str):
            raise InvalidQueryError(f"{name} has the value {_shown(value)}; want strings")
    return frozenset(values)


def _extent(condition: Condition) -> _Extent:
    if isinstance(condition, And | Or | Not):
        return condition.extent
    if isinstance(condition, In | AnyOf | AllOf):
        return _Extent(num_values=len(condition.values))
    return _Extent(num_values=len(condition.item_ids) if isinstance(condition, ItemIn) else 1)


def _parts(condition: object, conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    name = type(condition).__name__
    if not isinstance(conditions, Sequence) or isinstance(conditions, str):
        raise InvalidQueryError(f"{name} has {_shown(conditions)}; want a sequence of conditions, for example a tuple")
    for place, part in enumerate(conditions):
        if not isinstance(part, _KINDS):
            raise InvalidQueryError(f"{name} has {_shown(part)} at place {place}; want a condition")
    return tuple(conditions)


def _joined(condition: object, parts: Sequence[Condition]) -> _Extent:
    """Returns the extent of a condition around others: as each is bounded, walking one never recurses too deep."""
    name = type(condition).__name__
    extents = [_extent(part) for part in parts]
    extent = _Extent(
        depth=1 + max((inner.depth for inner in extents), default=0),
        num_conditions=1 + sum(inner.num_conditions for inner in extents),
        num_values=sum(inner.num_values for inner in extents),
    )
    if extent.depth > MAX_DEPTH:
        raise InvalidQueryError(f"{name} nests {extent.depth} conditions; want at most {MAX_DEPTH}: flatten it")
    if extent.num_conditions > MAX_CONDITIONS:
        raise InvalidQueryError(
            f"{name} has {extent.num_conditions} conditions; want at most {MAX_CONDITIONS}: join equal columns by In"
        )
    if extent.num_values > MAX_VALUES:
        raise InvalidQueryError(f"{name} has {extent.num_values} values; want at most {MAX_VALUES}: ask in parts")
    return extent


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
