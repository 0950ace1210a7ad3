"""Attributes of items by row: columns that filters read (`index.conditions`), of three kinds.

- `category`: one string a row,
- `set`: some strings a row, each once,
- `number`: one finite float64 a row, hence exact for integers up to 2^53.

A row without a value misses it; an empty set is a missing one. The columns of a base never change and are made by
`index.attribute_growth`, whose columns grow with the fresh part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from index.attribute_columns import Column
from index.conditions import Value, exact_number
from index.errors import InvalidIndexConfigError, InvalidQueryError
from index.protocols import RowArray

ColumnKind: TypeAlias = Literal["category", "set", "number"]
COLUMN_KINDS: tuple[str, ...] = get_args(ColumnKind)

AttributeValue: TypeAlias = str | float | tuple[str, ...]
"""Of a category: str; of a number: float; of a set: its strings, ascending."""

AttributeMap: TypeAlias = Mapping[str, Value | Collection[str]]
"""The values of one item by column: str, a collection of str, or int or float. A missing value is an absent key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """One column.

    Attributes:
        name: What conditions call it.
        kind: What its values are.
    """

    name: str
    kind: ColumnKind

    def __post_init__(self) -> None:
        """Refuses an empty name and an unknown kind."""
        if not self.name or self.kind not in COLUMN_KINDS:
            raise InvalidIndexConfigError(
                f"attribute {self.name!r} is of kind {self.kind!r}; want a name and one of {', '.join(COLUMN_KINDS)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Columns over the same rows, which never change.

    Attributes:
        specs: What the columns are.
        columns: The columns, one a spec.
        num_rows: Rows of each.
    """

    specs: tuple[ColumnSpec, ...]
    columns: tuple[Column, ...]
    num_rows: int

    def values_at(self, name: str, rows: RowArray) -> list[AttributeValue | None]:
        """Returns the values of one column in some rows, None where there is none.

        Raises:
            InvalidQueryError: There is no such column.
        """
        for spec, column in zip(self.specs, self.columns, strict=True):
            if spec.name == name:
                values = column.at(rows)
                return [_of_kind(spec.kind, value) for value in values]
        raise InvalidQueryError(f"{name!r} is no column; {known_columns(self.specs)}")

    def by_name(self) -> dict[str, Column]:
        """Returns the columns by name."""
        return {spec.name: column for spec, column in zip(self.specs, self.columns, strict=True)}


def checked_specs(specs: Sequence[ColumnSpec]) -> tuple[ColumnSpec, ...]:
    """Returns specs as a tuple.

    Raises:
        InvalidIndexConfigError: Two have one name.
    """
    names = [spec.name for spec in specs]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InvalidIndexConfigError(f"attribute {name!r} comes twice; want each column once")
    return tuple(specs)


def check_attributes(specs: Sequence[ColumnSpec], item_ids: Sequence[str], rows: Sequence[AttributeMap]) -> None:
    """Checks that there is one mapping an item, with values that its columns take.

    Raises:
        InvalidQueryError: Counts differ, a column is unknown, or a value is of another kind.
    """
    if len(rows) != len(item_ids):
        raise InvalidQueryError(f"{len(rows)} attributes for {len(item_ids)} item_ids; want one mapping each")
    kinds = {spec.name: spec.kind for spec in specs}
    for item_id, row in zip(item_ids, rows, strict=True):
        for name, value in row.items():
            if name not in kinds:
                raise InvalidQueryError(f"item {item_id!r} has the attribute {name!r}; {known_columns(specs)}")
            _check_value(value, kinds[name], place=f"attribute {name!r} of item {item_id!r}")


def known_columns(specs: Sequence[ColumnSpec]) -> str:
    """Returns which columns there are, in words; those whose name begins with a control character are internal."""
    names = ", ".join(f"{spec.name} ({spec.kind})" for spec in specs if spec.name >= " ")
    return f"known columns are {names}" if names else "there is no column: declare item attributes, and rebuild"


def _check_value(value: Value | Collection[str], kind: ColumnKind, *, place: str) -> None:
    if kind == "number":
        number = exact_number(value, place=place)
        if not float("-inf") < number < float("inf"):
            raise InvalidQueryError(f"{place} is {number}; want a finite number, or leave it out")
    elif kind == "category":
        if not isinstance(value, str):
            raise InvalidQueryError(f"{place} is {value!r}; want a string")
    elif isinstance(value, str | int | float) or not all(isinstance(element, str) for element in value):
        raise InvalidQueryError(f"{place} is {value!r}; want a collection of strings")


def _of_kind(kind: ColumnKind, value: float | tuple[str, ...] | None) -> AttributeValue | None:
    if isinstance(value, tuple) and kind == "category":
        return value[0] if value else None
    return None if value == () else value
