"""Which rows of lines of scores may be among the best: one pass, whatever the number of lines, rows or blocks of rows.

Scores of matrix products depend on the shape of the product in their last bits. So a row is kept while its score is
within the rounding margin of the k-th best so far; the kernel of `index.rescore` then decides among what is kept.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.ordering import ordered
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_rows

EVERY_ROW: RowBitmap = np.empty(0, dtype=np.uint8)
"""Stands for a bitmap of every row."""
_IN_ORDER: RowArray = np.empty(0, dtype=np.int64)
_LEAST = np.finfo(np.float32).min
_STRIP, _SHORT_STRIP = 32, 8
"""Columns whose greatest score is known at once."""
_LEAST_ROOM, _MORE = 512, 4
"""Rows kept of each query, and for each row wanted, before those that cannot be among the best are dropped."""

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Limits: TypeAlias = tuple[int, NDArray[np.float64]]
"""k and margins."""
_Kept: TypeAlias = tuple[RowArray, FloatArray, NDArray[np.int64], FloatArray]
"""Of each query: rows and their scores, [num_queries, room]; how many there are; the score below which none counts."""


class LineScan:
    """Rows that may be among the best `k` of each query, of the blocks seen so far."""

    def __init__(self, k: int, margins: NDArray[np.float64], floors: FloatArray | None = None) -> None:
        """Starts without rows.

        Args:
            k: Rows wanted of each query, at least 1; those that tie with the k-th are all kept.
            margins: [num_queries] float64, how far a score in a line may be from that of the kernel.
            floors: [num_queries] float32, scores by the kernel below which no row is wanted; None wants any.
        """
        num_queries, room = margins.size, max(_LEAST_ROOM, _MORE * k)
        cuts = np.full(num_queries, _LEAST, dtype=np.float32)
        if floors is not None:
            np.maximum(cuts, (floors - margins).astype(np.float32), out=cuts)
        self._limits: _Limits = (k, margins)
        self._kept: _Kept = (
            np.empty((num_queries, room), dtype=np.int64),
            np.empty((num_queries, room), dtype=np.float32),
            np.zeros(num_queries, dtype=np.int64),
            cuts,
        )

    def add(
        self, lines: FloatArray, *, first: int = 0, rows: RowArray = _IN_ORDER, allowed: RowBitmap = EVERY_ROW
    ) -> None:
        """Sees the scores of more rows.

        Args:
            lines: [num_queries, num_columns] float32, C-contiguous; scores of columns that are not allowed are lost.
            first: Row of the first column, where the others follow it.
            rows: [num_columns] int64, the row of each column, where they do not.
            allowed: Bit i says whether column i may be kept.
        """
        if allowed.size:
            _bar(lines, allowed)
        place = _keep(lines, first, rows, self._limits, self._kept, 0)
        while place < lines.size:  # a crowd of rows within the margin of each other
            self._widen(lines.shape[1])
            place = _keep(lines, first, rows, self._limits, self._kept, place)

    def neighbors(self, vectors: FloatArray, queries: FloatArray, *, width: int) -> Neighbors:
        """Returns the best `k` rows of each query in order, scored by the kernel.

        Args:
            vectors: [num_rows, dim] float32, C-contiguous.
            queries: [num_queries, dim] float32, C-contiguous, those of the lines.
            width: Slots a query, at least k or the number of rows.
        """
        rows, offsets = self.kept()
        scores = score_rows(queries, vectors, rows, offsets=offsets)
        return ordered(rows, scores, offsets, k=self._limits[0], width=width)

    def kept(self) -> tuple[RowArray, RowArray]:
        """Returns the rows of each query, in no order, and offsets: those of query i are `rows[o[i]:o[i + 1]]`."""
        offsets = np.zeros(self._kept[2].size + 1, dtype=np.int64)
        rows: RowArray = _listed(self._limits, self._kept, offsets)
        return rows, offsets

    def _widen(self, more: int) -> None:
        rows, scores, counts, cuts = self._kept
        self._kept = (_wider(rows, more), _wider(scores, more), counts, cuts)


def _wider(array: NDArray[_Scalar], more: int) -> NDArray[_Scalar]:
    made = np.empty((array.shape[0], array.shape[1] + more), dtype=array.dtype)
    made[:, : array.shape[1]] = array
    return made


def _readonly(kind: Any, axes: int) -> Any:
    return types.Array(kind, axes, "C", readonly=True)


_LIMITS = types.Tuple((types.int64, _readonly(types.float64, 1)))  # type: ignore[no-untyped-call]
_KEPT = types.Tuple(  # type: ignore[no-untyped-call]
    (types.int64[:, ::1], types.float32[:, ::1], types.int64[::1], types.float32[::1])
)


@njit(types.void(_LIMITS, _KEPT, types.int64), cache=True, nogil=True)
def _drop(limits: _Limits, kept: _Kept, query: int) -> None:
    """Drops what cannot be among the best any more, and raises the cut."""
    k, margins = limits
    rows, scores, counts, cuts = kept
    count = counts[query]
    if count < k:
        return
    kth = np.partition(scores[query, :count], count - k)[count - k]
    cuts[query] = max(cuts[query], np.float32(kth - margins[query]))
    counts[query] = 0
    for slot in range(count):
        if scores[query, slot] >= cuts[query]:
            rows[query, counts[query]], scores[query, counts[query]] = rows[query, slot], scores[query, slot]
            counts[query] += 1


@njit(types.void(types.float32[:, ::1], _readonly(types.uint8, 1)), cache=True, nogil=True)
def _bar(lines: FloatArray, allowed: RowBitmap) -> None:
    """Sets the scores of columns that are not allowed to -inf."""
    for byte in range(-(-lines.shape[1] // 8)):
        if allowed[byte] != 0xFF:
            for column in range(8 * byte, min(8 * byte + 8, lines.shape[1])):
                if not allowed[byte] >> (column & 7) & 1:
                    lines[:, column] = -np.inf


@njit(
    types.void(_readonly(types.float32, 1), types.int64, types.float32[::1]),
    cache=True,
    nogil=True,
    fastmath={"nnan", "nsz"},
)
def _greatest(line: FloatArray, strip_columns: int, strips: FloatArray) -> None:
    """Writes the greatest score of each strip; many at a time."""
    for strip in range(strips.size):
        greatest = np.float32(-np.inf)
        for column in range(strip * strip_columns, min((strip + 1) * strip_columns, line.size)):
            greatest = max(greatest, line[column])
        strips[strip] = greatest


@njit(
    types.int64(_readonly(types.float32, 2), types.int64, _readonly(types.int64, 1), _LIMITS, _KEPT, types.int64),
    cache=True,
    nogil=True,
)
def _keep(lines: FloatArray, first: int, columns: RowArray, limits: _Limits, kept: _Kept, place: int) -> int:
    """Keeps rows from the place (flat) of a score on; returns the place where room runs out, or the number of all."""
    k, margins = limits
    rows, scores, counts, cuts = kept
    num_columns = lines.shape[1]
    room = np.empty(-(-num_columns // _SHORT_STRIP), dtype=np.float32)
    for query in range(place // num_columns, lines.shape[0]):
        line, begin = lines[query], max(place - query * num_columns, 0)
        width = _STRIP if cuts[query] > _LEAST or num_columns >= _MORE * k * _STRIP else _SHORT_STRIP
        strips = room[: -(-num_columns // width)]
        _greatest(line, width, strips)
        if np.count_nonzero(strips >= cuts[query]) > k:  # k of them have a score as high as the k-th greatest
            kth = np.partition(strips, strips.size - k)[strips.size - k]
            cuts[query] = max(cuts[query], np.float32(kth - margins[query]))
        for strip in range(begin // width, strips.size):
            if strips[strip] < cuts[query]:
                continue
            for column in range(max(begin, strip * width), min((strip + 1) * width, num_columns)):
                if line[column] < cuts[query]:
                    continue
                if counts[query] == rows.shape[1]:
                    _drop(limits, kept, query)
                    if 2 * counts[query] > rows.shape[1]:
                        return int(query * num_columns + column)
                rows[query, counts[query]] = columns[column] if columns.size else first + column
                scores[query, counts[query]] = line[column]
                counts[query] += 1
    return int(lines.size)


@njit(types.int64[::1](_LIMITS, _KEPT, types.int64[::1]), cache=True, nogil=True)
def _listed(limits: _Limits, kept: _Kept, offsets: RowArray) -> RowArray:
    rows, _, counts, _ = kept
    for query in range(counts.size):
        _drop(limits, kept, query)
        offsets[query + 1] = offsets[query] + counts[query]
    listed = np.empty(offsets[-1], dtype=np.int64)
    for query in range(counts.size):
        listed[offsets[query] : offsets[query + 1]] = rows[query, : counts[query]]
    return listed
