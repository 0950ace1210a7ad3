"""Which rows a condition holds for, and views in which only these are live.

A condition is evaluated to a bitmap over all rows, live or not: one comparison at a time by whole columns, joined bit
by bit. The rows of a base never change, so what was worked out for them is kept, up to a number of bytes, for whoever
asks for the same condition or a part of it again, in this view and those after it. The fresh part is evaluated each
time. A view with the other rows taken for dead is searched as any view is: under a bitmap each kind of index widens
its search, or turns to an exact one where few rows are left, and never comes back short.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from index import bitmap
from index.attribute_columns import Column, Labels, Numbers
from index.attributes import Attributes, ColumnSpec, known_columns
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Leaf, Not, Or, Present, Range, Value
from index.errors import InvalidQueryError
from index.protocols import RowArray, RowBitmap

if TYPE_CHECKING:
    from index.view import View

_KEPT_BYTES = 1 << 25
_FITTING = {"category": (Equals, In, Present), "set": (AnyOf, AllOf, Present), "number": (Equals, In, Range, Present)}

FindRows: TypeAlias = Callable[[Collection[str]], RowArray]
"""Returns the rows of those of some item ids that are held, [num_found] int64."""


class KeptBitmaps:
    """The bitmaps last asked for, by condition; safe to share between threads."""

    def __init__(self, most_bytes: int = _KEPT_BYTES) -> None:
        """Starts empty, for at most so many bytes of bitmaps."""
        self._bitmaps: OrderedDict[Condition, RowBitmap] = OrderedDict()
        self._lock = Lock()
        self._num_bytes, self._most_bytes = 0, most_bytes

    def get(self, condition: Condition) -> RowBitmap | None:
        """Returns what is kept, None where nothing is."""
        with self._lock:
            if condition not in self._bitmaps:
                return None
            self._bitmaps.move_to_end(condition)
            return self._bitmaps[condition]

    def put(self, condition: Condition, bits: RowBitmap) -> None:
        """Keeps a bitmap, in place of those that were not asked for the longest."""
        with self._lock:
            if condition in self._bitmaps or bits.size > self._most_bytes:
                return
            self._bitmaps[condition] = bits
            self._num_bytes += bits.size
            while self._num_bytes > self._most_bytes:
                self._num_bytes -= self._bitmaps.popitem(last=False)[1].size


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What conditions are evaluated over.

    Attributes:
        columns: By name.
        num_rows: Rows of each.
        find: Finds the rows of items.
        kept: Bitmaps of these very rows; None where rows are not always the same.
    """

    columns: Mapping[str, Column]
    num_rows: int
    find: FindRows
    kept: KeptBitmaps | None = None

    def bits(self, condition: Condition) -> RowBitmap:
        """Returns the rows that a checked condition holds for."""
        known = None if self.kept is None else self.kept.get(condition)
        if known is not None:
            return known
        bits = self._evaluated(condition)
        if self.kept is not None:
            bits.setflags(write=False)
            self.kept.put(condition, bits)
        return bits

    def _evaluated(self, condition: Condition) -> RowBitmap:
        match condition:
            case And():
                return reduce(np.bitwise_and, map(self.bits, condition.conditions), bitmap.full(self.num_rows))
            case Or():
                return reduce(np.bitwise_or, map(self.bits, condition.conditions), bitmap.empty(self.num_rows))
            case Not():
                return self.bits(condition.condition) ^ bitmap.full(self.num_rows)
            case ItemIn():
                return bitmap.from_rows(self.find(condition.item_ids), self.num_rows)
            case _:
                return _compared(self.columns[condition.column], condition)


def filtered(view: View, condition: Condition) -> View:
    """Returns a view to read in which every row that the condition does not hold for is dead.

    Raises:
        InvalidQueryError: The index holds no attributes, a column is unknown, or a comparison does not fit its kind.
    """
    check_condition(condition, view.attributes)
    base_live = view.base_live & _base_rows(view).bits(condition)
    fresh_live = view.fresh_live
    if view.num_fresh_live:
        fresh_live = fresh_live & bitmap.resized(_fresh_rows(view).bits(condition), 8 * fresh_live.size)
    return view.narrowed(base_live, fresh_live)


def check_condition(condition: Condition, attributes: Attributes | None, *, place: str = "filter") -> None:
    """Checks a condition against the columns there are.

    Args:
        condition: What is asked.
        attributes: The columns; None where items have none.
        place: Where the condition stands, for the message.

    Raises:
        InvalidQueryError: There are no columns, one is unknown, or a comparison does not fit its kind.
    """
    match condition:
        case And() | Or():
            for i, part in enumerate(condition.conditions):
                check_condition(part, attributes, place=f"{place}.conditions[{i}]")
        case Not():
            check_condition(condition.condition, attributes, place=f"{place}.condition")
        case ItemIn():
            pass
        case _:
            if attributes is None:
                raise InvalidQueryError(
                    f"{place} compares {condition.column!r}, but this index or snapshot holds no attributes; rebuild it"
                )
            _check_leaf(condition, attributes.specs, place=place)


def _check_leaf(condition: Leaf, specs: Sequence[ColumnSpec], *, place: str) -> None:
    kind = next((spec.kind for spec in specs if spec.name == condition.column), None)
    name = f"{place} compares {condition.column!r}"
    if kind is None:
        raise InvalidQueryError(f"{name}, which is no column; {known_columns(specs)}")
    if not isinstance(condition, _FITTING[kind]):
        wanted = ", ".join(made.__name__ for made in _FITTING[kind])
        raise InvalidQueryError(f"{name}, a {kind}, by {type(condition).__name__}; want one of {wanted}")
    for value in _values(condition):
        if isinstance(value, str) == (kind == "number"):
            wanted = "a number" if kind == "number" else "a string"
            raise InvalidQueryError(f"{name}, a {kind}, with {value!r}; want {wanted}")


def _values(condition: Leaf) -> Collection[Value]:
    if isinstance(condition, Equals):
        return (condition.value,)
    return () if isinstance(condition, Range | Present) else condition.values


def _compared(column: Column, condition: Leaf) -> RowBitmap:
    if isinstance(condition, Present):
        return column.present()
    if isinstance(condition, Range):
        assert isinstance(column, Numbers)
        return column.within(*_closed(condition))
    if isinstance(condition, AllOf):
        assert not isinstance(column, Numbers)
        return _having_all(column, condition.values)
    return column.any_of(_values(condition))  # type: ignore[arg-type]  # `_check_leaf` saw that they fit the column


def _having_all(column: Labels, labels: Collection[str]) -> RowBitmap:
    bits: RowBitmap | None = None
    for label in labels:
        having = column.any_of((label,))
        bits = having if bits is None else bits & having
        if not bits.any():  # few sets have many of many labels
            break
    return column.present() if bits is None else bits


def _closed(condition: Range) -> tuple[float, float]:
    """Returns bounds that are themselves within: beyond an excluded one lies the next float64."""
    low = -math.inf if condition.low is None else float(condition.low)
    high = math.inf if condition.high is None else float(condition.high)
    if condition.low is not None and not condition.includes_low:
        low = math.nextafter(low, math.inf) if low < math.inf else math.nan
    if condition.high is not None and not condition.includes_high:
        high = math.nextafter(high, -math.inf) if high > -math.inf else math.nan
    return low, high


def _base_rows(view: View) -> Rows:
    def find(item_ids: Collection[str]) -> RowArray:
        return np.array([row for i in item_ids if (row := view.any_base_row(i)) >= 0], dtype=np.int64)

    columns = {} if view.attributes is None else view.attributes.by_name()
    return Rows(columns=columns, num_rows=view.base.num_rows, find=find, kept=view.kept)


def _fresh_rows(view: View) -> Rows:
    def find(item_ids: Collection[str]) -> RowArray:
        return np.array([row for i in item_ids if (row := view.fresh_row(i)) >= 0], dtype=np.int64)

    fresh = view.fresh.attributes
    columns = {} if fresh is None else fresh.until(view.num_fresh_rows).by_name()
    return Rows(columns=columns, num_rows=view.num_fresh_rows, find=find)
