"""Sets of rows as packed bits: row r is bit `r & 7` of byte `r >> 3`, the layout that FAISS selectors read.

Bitmaps are values: every change returns a new array, so that a reader's bitmap never moves under it.
Bits past the last row are zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from index.protocols import RowArray, RowBitmap

_ROWS_AT_ONCE = 65_536


def num_bytes(num_rows: int) -> int:
    """Returns how many bytes hold one bit for each of `num_rows` rows."""
    return (num_rows + 7) >> 3


def empty(num_rows: int) -> RowBitmap:
    """Returns a bitmap without any row."""
    return np.zeros(num_bytes(num_rows), dtype=np.uint8)


def full(num_rows: int) -> RowBitmap:
    """Returns a bitmap of every row below `num_rows`."""
    return from_mask(np.ones(num_rows, dtype=np.bool_))


def from_mask(mask: NDArray[np.bool_]) -> RowBitmap:
    """Packs a [num_rows] bool mask."""
    return np.packbits(mask, bitorder="little")


def from_rows(rows: RowArray, num_rows: int) -> RowBitmap:
    """Returns a bitmap of exactly `rows`, each below `num_rows`."""
    mask = np.zeros(num_rows, dtype=np.bool_)
    mask[rows] = True
    return from_mask(mask)


def to_mask(bitmap: RowBitmap, start: int, stop: int) -> NDArray[np.bool_]:
    """Unpacks rows `start` to `stop` to a bool mask of that length."""
    first = start >> 3
    bits = np.unpackbits(bitmap[first : num_bytes(stop)], count=stop - (first << 3), bitorder="little")
    return bits[start - (first << 3) :].view(np.bool_)


def to_rows(bitmap: RowBitmap, num_rows: int) -> RowArray:
    """Returns the rows below `num_rows` that are in the bitmap, ascending, int64."""
    return np.flatnonzero(to_mask(bitmap, 0, num_rows)).astype(np.int64, copy=False)


def each_row(bitmap: RowBitmap, num_rows: int) -> Iterator[int]:
    """Yields what `to_rows` returns, unpacking as far as it is asked."""
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        mask = to_mask(bitmap, start, min(start + _ROWS_AT_ONCE, num_rows))
        yield from (start + np.flatnonzero(mask)).tolist()


def contains(bitmap: RowBitmap, row: int) -> bool:
    """Returns whether one row is in the bitmap."""
    return bool(bitmap[row >> 3] >> (row & 7) & 1)


def of_rows(bitmap: RowBitmap, rows: RowArray) -> NDArray[np.bool_]:
    """Returns which of some rows are in the bitmap, [len(rows)] bool; a negative row is in none."""
    bits = bitmap.take(rows >> 3, mode="clip") >> (rows & 7) & 1
    present: NDArray[np.bool_] = bits.astype(np.bool_) & (rows >= 0)
    return present


def count(bitmap: RowBitmap, num_rows: int) -> int:
    """Returns how many rows below `num_rows` are in the bitmap."""
    whole = int(np.bitwise_count(bitmap[: num_rows >> 3]).sum(dtype=np.int64))
    tail = num_rows & 7
    return whole + (int(bitmap[num_rows >> 3]) & ((1 << tail) - 1)).bit_count() if tail else whole


def resized(bitmap: RowBitmap, num_rows: int) -> RowBitmap:
    """Returns a copy with room for at least `num_rows` rows; new rows are not in it."""
    grown = np.zeros(max(num_bytes(num_rows), bitmap.size), dtype=np.uint8)
    grown[: bitmap.size] = bitmap
    return grown


def with_rows(bitmap: RowBitmap, rows: RowArray) -> RowBitmap:
    """Returns a copy that also has `rows`."""
    changed = bitmap.copy()
    np.bitwise_or.at(changed, rows >> 3, _bits(rows))
    return changed


def without_rows(bitmap: RowBitmap, rows: RowArray) -> RowBitmap:
    """Returns a copy that lacks `rows`."""
    changed = bitmap.copy()
    np.bitwise_and.at(changed, rows >> 3, ~_bits(rows))
    return changed


def _bits(rows: RowArray) -> NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (rows & 7).astype(np.uint8))
