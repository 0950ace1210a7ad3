"""Compiled loops of `index.attribute_columns`: rows to bits."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import RowBitmap

_INTS = types.Array(types.int32, 1, "C", readonly=True)
_FLAGS = types.Array(types.uint8, 1, "C", readonly=True)
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
