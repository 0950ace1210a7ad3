"""Compiled loops of `index.attribute_columns`: rows to bits, and labels by row."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import RowArray, RowBitmap

_INTS = types.Array(types.int32, 1, "C", readonly=True)
_FLAGS = types.Array(types.uint8, 1, "C", readonly=True)
_OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
_OUT_BITS = types.uint8[::1]


@njit(types.void(_INTS, _OUT_BITS), cache=True, nogil=True)
def set_rows(rows: NDArray[np.int32], bits: RowBitmap) -> None:
    """Adds rows to a bitmap that has a place for each."""
    for row in rows:
        bits[row >> 3] |= np.uint8(1 << (row & 7))


@njit(types.void(_INTS, _INTS, _FLAGS, _OUT_BITS), cache=True, nogil=True)
def set_owners(owners: NDArray[np.int32], codes: NDArray[np.int32], wanted: NDArray[np.uint8], bits: RowBitmap) -> None:
    """Adds the owners of those pairs whose code is wanted, [num_codes] uint8, to a bitmap that has a place for each."""
    for pair in range(owners.size):
        row = owners[pair]
        bits[row >> 3] |= np.uint8(wanted[codes[pair]] << (row & 7))


@njit(types.void(_OFFSETS, _INTS, types.int64[::1], types.int32[::1]), cache=True, nogil=True)
def turn(starts: RowArray, rows: NDArray[np.int32], row_starts: RowArray, codes: NDArray[np.int32]) -> None:
    """Fills the codes of each row from the rows of each code.

    Args:
        starts: [num_codes + 1], code c has the rows `rows[starts[c]:starts[c + 1]]`.
        rows: [num_pairs].
        row_starts: [num_rows + 1] zeros; becomes where the codes of each row begin.
        codes: [num_pairs]; becomes the codes by row, ascending within one.
    """
    for row in rows:
        row_starts[row + 1] += 1
    for row in range(1, row_starts.size):
        row_starts[row] += row_starts[row - 1]
    nexts = row_starts[:-1].copy()
    for code in range(starts.size - 1):
        for pair in range(starts[code], starts[code + 1]):
            row = rows[pair]
            codes[nexts[row]] = code
            nexts[row] += 1
