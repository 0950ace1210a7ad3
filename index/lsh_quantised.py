"""Rows as int8, to be ranked before they are scored: a quarter of the memory that float32 would have to be read.

Each row has a scale of its own, so that rows may be added; `index.quantised` fits a scale to each dimension of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.protocols import FloatArray
from index.simd import aligned_zeros, padded

_VECTORS = types.Array(types.float32, 2, "C", readonly=True)
LARGEST = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """Rows as int8: row r is about `scales[r] * rows[r]`.

    Attributes:
        rows: [n, dim padded with zeros to a multiple of 64] int8, aligned to lines of cache.
        scales: [n] float32.
    """

    rows: NDArray[np.int8]
    scales: FloatArray

    @classmethod
    def blank(cls, num_rows: int, dim: int) -> Quantised:
        """Returns room for rows of `dim` values."""
        rows = aligned_zeros(num_rows, padded(dim)).view(np.int8)
        return cls(rows=rows, scales=np.empty(num_rows, dtype=np.float32))

    def write(self, vectors: FloatArray, first_row: int) -> None:
        """Puts vectors, [n, dim] float32, into the rows from `first_row` on."""
        end = first_row + vectors.shape[0]
        quantise(vectors, self.rows[first_row:end], self.scales[first_row:end])

    def grown(self, capacity: int, dim: int) -> Quantised:
        """Returns a copy with room for `capacity` rows."""
        made = Quantised.blank(capacity, dim)
        made.rows[: self.rows.shape[0]] = self.rows
        made.scales[: self.scales.size] = self.scales
        return made

    def resident_bytes(self) -> int:
        """Returns the bytes of the arrays."""
        return self.rows.nbytes + self.scales.nbytes


@njit(types.void(_VECTORS, types.int8[:, ::1], types.float32[::1]), nogil=True, cache=True)
def quantise(vectors: FloatArray, rows: NDArray[np.int8], scales: FloatArray) -> None:
    """Writes vectors, [n, dim] float32, as int8 with one scale a vector; see `Quantised`."""
    for i in range(vectors.shape[0]):
        largest = np.float32(0)
        for d in range(vectors.shape[1]):
            largest = max(largest, abs(vectors[i, d]))
        factor = np.float32(LARGEST) / largest if largest > 0 else np.float32(0)
        for d in range(vectors.shape[1]):
            rows[i, d] = np.int8(np.rint(vectors[i, d] * factor))
        for d in range(vectors.shape[1], rows.shape[1]):
            rows[i, d] = 0
        scales[i] = largest / np.float32(LARGEST)
