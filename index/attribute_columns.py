"""Columns of attributes and the rows whose values answer a comparison, as bitmaps.

The labels of a category or a set column lie in one of two forms. Rows of a base that never change are inverted: each
distinct label has its list of rows, so that a comparison costs as much as it has answers. Who asks for the labels of
rows has them turned back, once, in 8 bytes a row and 4 a label. Rows that grow are pairs of row and label code in the
order in which they came, which is read through.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index import bitmap
from index.attribute_kernels import set_owners, set_rows, turn
from index.conditions import Value
from index.protocols import RowArray, RowBitmap

CodeArray: TypeAlias = NDArray[np.int32]
NumberArray: TypeAlias = NDArray[np.float64]


class Labels(Protocol):
    """A category or set column."""

    def any_of(self, labels: Collection[str]) -> RowBitmap:
        """Returns the rows that have at least one of some labels."""

    def present(self) -> RowBitmap:
        """Returns the rows that have a label."""

    def at(self, rows: RowArray) -> list[tuple[str, ...]]:
        """Returns the labels of some rows, ascending; empty for a row without."""


class _Turned:
    """Labels by row, made from rows by label when they are first asked for; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrays: tuple[RowArray, CodeArray] | None = None

    def arrays(self, column: InvertedLabels) -> tuple[RowArray, CodeArray]:
        """Returns where the codes of each row begin, [num_rows + 1], and the codes, [num_pairs]."""
        with self._lock:
            if self._arrays is None:
                row_starts = np.zeros(column.num_rows + 1, dtype=np.int64)
                codes = np.empty(column.rows.size, dtype=np.int32)
                turn(column.starts, column.rows, row_starts, codes)
                self._arrays = row_starts, codes
            return self._arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedLabels:
    """Labels of rows that never change; every array may be a memory map.

    Attributes:
        label_bytes: [num_bytes] uint8, the distinct labels in UTF-8, ascending, joined without separator.
        label_offsets: [num_labels + 1] int64, label l is bytes `label_offsets[l]` to `label_offsets[l + 1]`.
        starts: [num_labels + 1] int64, label l has the rows `rows[starts[l]:starts[l + 1]]`.
        rows: [num_pairs] int32, ascending within a label.
        num_rows: Rows of the column.
        turned: The same by row, once somebody asked for it.
    """

    label_bytes: NDArray[np.uint8]
    label_offsets: RowArray
    starts: RowArray
    rows: CodeArray
    num_rows: int
    turned: _Turned = field(default_factory=_Turned, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, labels: Sequence[bytes], codes: RowArray, rows: RowArray, num_rows: int) -> InvertedLabels:
        """Returns the column of pairs of label and row.

        Args:
            labels: Distinct, as `encoded`, ascending; each in at least one pair.
            codes: [num_pairs] int64, the label of each pair.
            rows: [num_pairs] int64, its row; no pair comes twice.
            num_rows: Rows of the column.
        """
        ordered = np.sort(codes * max(num_rows, 1) + rows)  # by label, then by row
        label_offsets, starts = np.zeros((2, len(labels) + 1), dtype=np.int64)
        np.cumsum([len(label) for label in labels], out=label_offsets[1:])
        np.cumsum(np.bincount(ordered // max(num_rows, 1), minlength=len(labels)), out=starts[1:])
        return cls(
            label_bytes=np.frombuffer(b"".join(labels), dtype=np.uint8),
            label_offsets=label_offsets,
            starts=starts,
            rows=(ordered % max(num_rows, 1)).astype(np.int32),
            num_rows=num_rows,
        )

    def any_of(self, labels: Collection[str]) -> RowBitmap:
        """Returns the rows that have at least one of some labels."""
        bits = bitmap.empty(self.num_rows)
        for label in labels:
            set_rows(self._rows_of(label), bits)
        return bits

    def present(self) -> RowBitmap:
        """Returns the rows that have a label."""
        bits = bitmap.empty(self.num_rows)
        set_rows(self.rows, bits)
        return bits

    def at(self, rows: RowArray) -> list[tuple[str, ...]]:
        """Returns the labels of some rows, ascending; empty for a row without."""
        starts, codes = self.turned.arrays(self)
        labels: dict[int, str] = {}
        found = [codes[starts[row] : starts[row + 1]].tolist() for row in rows.tolist()]
        for code in {code for some in found for code in some}:
            labels[code] = self._label(code).decode("utf-8", errors="surrogatepass")
        return [tuple(labels[code] for code in some) for some in found]

    def _rows_of(self, label: str) -> CodeArray:
        wanted, num_labels = encoded(label), self.starts.size - 1
        code = bisect_left(range(num_labels), wanted, key=self._label)
        if code == num_labels or self._label(code) != wanted:
            return self.rows[:0]
        return self.rows[self.starts[code] : self.starts[code + 1]]

    def _label(self, code: int) -> bytes:
        return self.label_bytes[self.label_offsets[code] : self.label_offsets[code + 1]].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedLabels:
    """Labels of rows that grew, up to some row.

    Attributes:
        owners: [num_pairs] int32, the row of each pair, ascending.
        codes: [num_pairs] int32, its label.
        code_of: Code by label; may already know labels of later rows.
        labels: Label by code; likewise.
        num_rows: Rows of the column.
    """

    owners: CodeArray
    codes: CodeArray
    code_of: Mapping[str, int]
    labels: Sequence[str]
    num_rows: int

    def any_of(self, labels: Collection[str]) -> RowBitmap:
        """Returns the rows that have at least one of some labels."""
        wanted, bits = np.zeros(len(self.code_of), dtype=np.uint8), bitmap.empty(self.num_rows)
        codes = [code for label in labels if (code := self.code_of.get(label, wanted.size)) < wanted.size]
        wanted[codes] = 1
        if codes:
            set_owners(self.owners, self.codes, wanted, bits)
        return bits

    def present(self) -> RowBitmap:
        """Returns the rows that have a label."""
        bits = bitmap.empty(self.num_rows)
        set_rows(self.owners, bits)
        return bits

    def at(self, rows: RowArray) -> list[tuple[str, ...]]:
        """Returns the labels of some rows, ascending; empty for a row without."""
        starts, stops = np.searchsorted(self.owners, rows), np.searchsorted(self.owners, rows, side="right")
        pairs = zip(starts.tolist(), stops.tolist(), strict=True)
        return [tuple(sorted(self.labels[code] for code in self.codes[a:b].tolist())) for a, b in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A number column.

    Attributes:
        values: [num_rows] float64, NaN where there is none; may be a memory map.
    """

    values: NumberArray

    def any_of(self, numbers: Collection[Value]) -> RowBitmap:
        """Returns the rows whose number is one of some."""
        wanted = [float(number) for number in numbers]
        return bitmap.from_mask(self.values == wanted[0] if len(wanted) == 1 else np.isin(self.values, wanted))

    def within(self, low: float, high: float) -> RowBitmap:
        """Returns the rows whose number is at least `low` and at most `high`."""
        return bitmap.from_mask((self.values >= low) & (self.values <= high))

    def present(self) -> RowBitmap:
        """Returns the rows that have a number."""
        return bitmap.from_mask(~np.isnan(self.values))

    def at(self, rows: RowArray) -> list[float | None]:
        """Returns the numbers of some rows, None for a row without."""
        return [None if math.isnan(number) else number for number in self.values[rows].tolist()]


Column: TypeAlias = InvertedLabels | PairedLabels | Numbers


def encoded(label: str) -> bytes:
    """Returns a label as it is stored; half of a surrogate pair, which UTF-8 has no place for, is no error."""
    return label.encode("utf-8", errors="surrogatepass")
