"""Copies of vectors in one byte a value, for ranking candidates before their exact scores are taken.

Value d of a row is `least[d] + steps[d] * code`, rounded, with the codes 0 to 255 spread over the range of that
dimension. So an offset that all rows share, and dimensions of unequal width, cost nothing. A query is scored by the
products of `query * steps`, rounded to signed bytes, with the codes: that differs from its inner products by a factor
and by a sum that no row changes, so the order is that of the inner products up to rounding.

Scales are fitted to all rows at once, one a dimension: see `index.lsh_quantised` for rows that come one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.protocols import FloatArray
from index.simd import aligned_zeros, padded

ByteArray = NDArray[np.uint8]
SignedBytes = NDArray[np.int8]

_LEVELS = 255
_BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteCodes:
    """Rows in bytes.

    Attributes:
        codes: [n, stride] uint8, stride = dim rounded up to whole cache lines, each row at the start of one; what is
            beyond dim is 0.
        steps: [dim] float32, what one step of a code is worth in each dimension; 0 where all rows are alike.
    """

    codes: ByteArray
    steps: FloatArray

    @classmethod
    def none(cls, dim: int) -> ByteCodes:
        """Returns codes of no row, where vectors are to be read instead."""
        return cls(codes=np.empty((0, 0), dtype=np.uint8), steps=np.zeros(dim, dtype=np.float32))

    @classmethod
    def of(cls, vectors: FloatArray) -> ByteCodes:
        """Encodes vectors, [n, dim] float32."""
        least, greatest = vectors.min(axis=0), vectors.max(axis=0)
        steps = ((greatest.astype(np.float64) - least) / _LEVELS).astype(np.float32)
        factors = np.divide(1, steps, out=np.zeros_like(steps), where=steps > np.finfo(np.float32).tiny)
        codes = aligned_zeros(vectors.shape[0], padded(vectors.shape[1]))
        for start in range(0, vectors.shape[0], _BLOCK_ROWS):
            block = (vectors[start : start + _BLOCK_ROWS] - least) * factors
            np.rint(block, out=block)
            np.clip(block, 0, _LEVELS, out=block)
            codes[start : start + block.shape[0], : vectors.shape[1]] = block
        return cls(codes=codes, steps=np.where(factors > 0, steps, np.float32(0)))
