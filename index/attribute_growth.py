"""Columns of attributes that grow at their end: those of the fresh part, and those that a base is made from.

One writer adds rows. A reader holds a row count that was published after these rows were there, so rows that are added
later do not exist for it; a buffer that is outgrown is replaced by a longer copy and stays as it is for its readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.attribute_columns import Column, InvertedLabels, Numbers, PairedLabels, encoded
from index.attributes import AttributeMap, Attributes, ColumnSpec, checked_specs
from index.growing_arrays import with_room
from index.protocols import RowArray

_FIRST_ROOM = 64
_Buffer: TypeAlias = NDArray[Any]


class GrowingNumbers:
    """Numbers by row."""

    def __init__(self) -> None:
        """Starts empty."""
        self._values: _Buffer = np.empty(_FIRST_ROOM, dtype=np.float64)

    def make_room(self, num_rows: int, values: Sequence[Any]) -> None:
        """Makes room for values after `num_rows` rows, so that adding them cannot fail."""
        self._values = with_room(self._values, num_rows + len(values))

    def append(self, num_rows: int, values: Sequence[Any]) -> None:
        """Adds one value a row after `num_rows` rows; None is a missing one."""
        self._values[num_rows : num_rows + len(values)] = [np.nan if value is None else value for value in values]

    def until(self, num_rows: int) -> Numbers:
        """Returns the column of the first rows."""
        return Numbers(values=self._values[:num_rows])

    def taken(self, rows: RowArray) -> GrowingNumbers:
        """Returns a new column of some rows, in this order."""
        taken = GrowingNumbers()
        taken._values = self._values[rows]
        return taken

    def frozen(self, rows: RowArray) -> Numbers:
        """Returns a column of some rows, in this order, that never changes."""
        return Numbers(values=self._values[rows])


class GrowingLabels:
    """Labels by row, as pairs of row and code in ascending order of the rows."""

    def __init__(self) -> None:
        """Starts empty."""
        self._owners: _Buffer = np.empty(_FIRST_ROOM, dtype=np.int32)
        self._codes: _Buffer = np.empty(_FIRST_ROOM, dtype=np.int32)
        self._num_pairs = 0
        self._code_of: dict[str, int] = {}
        self._labels: list[str] = []

    def make_room(self, num_rows: int, values: Sequence[Any]) -> None:
        """Makes room for values after `num_rows` rows, so that adding them cannot fail."""
        num_pairs = sum(1 if isinstance(value, str) else len(value or ()) for value in values)
        self._owners = with_room(self._owners, self._num_pairs + num_pairs)
        self._codes = with_room(self._codes, self._num_pairs + num_pairs)

    def append(self, num_rows: int, values: Sequence[Any]) -> None:
        """Adds a label, some labels or None a row after `num_rows` rows."""
        labels = [_labels(value) for value in values]
        codes = [self._code(label) for some in labels for label in some]
        pairs = slice(self._num_pairs, self._num_pairs + len(codes))
        self._codes[pairs] = codes
        self._owners[pairs] = np.repeat(np.arange(num_rows, num_rows + len(values)), [len(some) for some in labels])
        self._num_pairs = pairs.stop  # a reader looks at no pair that is not whole

    def until(self, num_rows: int) -> PairedLabels:
        """Returns the column of the first rows."""
        num_pairs = self._num_pairs  # before the buffers: those hold at least as many
        stop = int(np.searchsorted(self._owners[:num_pairs], num_rows))
        return PairedLabels(
            owners=self._owners[:stop],
            codes=self._codes[:stop],
            code_of=self._code_of,
            labels=self._labels,
            num_rows=num_rows,
        )

    def taken(self, rows: RowArray) -> GrowingLabels:
        """Returns a new column of some ascending rows; only their labels are known to it."""
        owners, codes = self._pairs(rows)
        order = np.argsort(owners, kind="stable")
        known = np.unique(codes)
        taken = GrowingLabels()
        taken._owners = owners[order].astype(np.int32)
        taken._codes = np.searchsorted(known, codes[order]).astype(np.int32)
        taken._labels = [self._labels[code] for code in known.tolist()]
        taken._code_of = {label: code for code, label in enumerate(taken._labels)}
        taken._num_pairs = owners.size
        return taken

    def frozen(self, rows: RowArray) -> InvertedLabels:
        """Returns a column of some rows, in this order, that never changes."""
        owners, codes = self._pairs(rows)
        known = np.unique(codes)
        names = [encoded(self._labels[code]) for code in known.tolist()]
        order = sorted(range(len(names)), key=names.__getitem__)
        rank_of = np.empty(len(self._labels), dtype=np.int64)
        rank_of[known[order]] = np.arange(len(names))
        return InvertedLabels.of([names[place] for place in order], rank_of[codes], owners, rows.size)

    def _code(self, label: str) -> int:
        code = self._code_of.setdefault(label, len(self._labels))
        if code == len(self._labels):
            self._labels.append(label)
        return code

    def _pairs(self, rows: RowArray) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Returns the pairs of some distinct rows, with the places of these rows for owners."""
        owners, codes = self._owners[: self._num_pairs], self._codes[: self._num_pairs]
        place_of = np.full(int(max(rows.max(initial=-1), owners.max(initial=-1))) + 1, -1, dtype=np.int64)
        place_of[rows] = np.arange(rows.size)
        places = place_of[owners]
        kept = places >= 0
        return places[kept], codes[kept]


class GrowingAttributes:
    """Columns over the same rows, which grow."""

    def __init__(self, specs: Sequence[ColumnSpec]) -> None:
        """Starts without rows.

        Raises:
            InvalidIndexConfigError: Two columns have one name.
        """
        self.specs = checked_specs(specs)
        self._columns = [GrowingNumbers() if spec.kind == "number" else GrowingLabels() for spec in self.specs]
        self._num_rows = 0

    @property
    def num_rows(self) -> int:
        """Rows added so far."""
        return self._num_rows

    def make_room(self, rows: Sequence[AttributeMap]) -> None:
        """Makes room for rows, so that adding them cannot fail; they are checked (`attributes.check_attributes`)."""
        for spec, column in zip(self.specs, self._columns, strict=True):
            column.make_room(self._num_rows, [row.get(spec.name) for row in rows])

    def append(self, rows: Sequence[AttributeMap]) -> None:
        """Adds one row an item; they are checked, as for `make_room`."""
        self.make_room(rows)
        for spec, column in zip(self.specs, self._columns, strict=True):
            column.append(self._num_rows, [row.get(spec.name) for row in rows])
        self._num_rows += len(rows)

    def until(self, num_rows: int) -> Attributes:
        """Returns the columns of the first rows, as one reader sees them."""
        columns: tuple[Column, ...] = tuple(column.until(num_rows) for column in self._columns)
        return Attributes(specs=self.specs, columns=columns, num_rows=num_rows)

    def taken(self, rows: RowArray) -> GrowingAttributes:
        """Returns new columns of some ascending rows, [n] int64, to go on from."""
        taken = GrowingAttributes(self.specs)
        taken._columns = [column.taken(rows) for column in self._columns]
        taken._num_rows = rows.size
        return taken

    def frozen(self, rows: RowArray | None = None) -> Attributes:
        """Returns columns of some distinct rows, [n] int64, in this order, that never change; None takes all rows."""
        some = np.arange(self._num_rows) if rows is None else rows
        columns: tuple[Column, ...] = tuple(column.frozen(some) for column in self._columns)
        return Attributes(specs=self.specs, columns=columns, num_rows=some.size)


def _labels(value: Any) -> Sequence[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))
