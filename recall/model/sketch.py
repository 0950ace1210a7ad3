"""Counts of hashed keys in bounded memory: a count-min sketch (Cormode and Muthukrishnan, 2005) built offline.

Two things differ from the streaming form. Counts are known when it is built, so a cell holds the *maximum* of its keys'
counts, not their sum: estimates are never below the true level and seldom above. And counts are kept as levels on a
logarithmic scale, one byte a cell: level 0 is no key, level l is a count of 2^((l - 1) / 8).

With `DEPTH` rows of at least 4 cells a key, an absent key finds a used cell in every row with probability
(1 - exp(-1 / 4))^10 = 2.9e-7, which leaves room below 1e-6 for the draw of the hash functions where keys are few. Where
memory does not allow that for all keys, the most frequent ones are kept: a dropped key counts 0, so its id is treated
as unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recall.model.codes import IdArray, mix64, mixed

DEPTH = 10
_CELLS_PER_KEY = 4
_LEVELS_PER_DOUBLING = 8
_MIN_WIDTH = 64
_FEW_KEYS = 1 << 12
_ROWS = np.arange(DEPTH)[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountSketch:
    """Approximate counts of hashed keys.

    Attributes:
        levels: [DEPTH, width] uint8.
        seed: Chooses the hash functions.
    """

    levels: NDArray[np.uint8]
    seed: int

    @classmethod
    def build(cls, keys: IdArray, counts: NDArray[np.int64], *, seed: int, max_bytes: int) -> CountSketch:
        """Builds the sketch of distinct `keys`.

        Args:
            keys: [num_keys] uint64, each once.
            counts: [num_keys] int64, at least 1.
            seed: Chooses the hash functions.
            max_bytes: Bound on the size; the least frequent keys are dropped to keep it.
        """
        max_keys = max_bytes // (DEPTH * _CELLS_PER_KEY)
        if len(keys) > max_keys:
            kept = np.lexsort((keys, -counts))[:max_keys]
            keys, counts = keys[kept], counts[kept]
        width = max(_MIN_WIDTH, len(keys) * _CELLS_PER_KEY)
        levels = np.zeros((DEPTH, width), dtype=np.uint8)
        cells = _cells(keys, seed, width)
        for row in range(DEPTH):
            np.maximum.at(levels[row], cells[row], _levels(counts))
        return cls(levels=levels, seed=seed)

    def counts(self, keys: IdArray) -> NDArray[np.float32]:
        """Returns estimated counts, [num_keys] float32; 0 for a key never counted (but see the module's bound)."""
        cells = _cells(keys, self.seed, self.levels.shape[1])
        lowest = self.levels[_ROWS, cells].min(axis=0)
        estimate = np.exp2((lowest.astype(np.float32) - 1) / _LEVELS_PER_DOUBLING)
        return np.where(lowest == 0, np.float32(0), estimate).astype(np.float32)


def _levels(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    levels = 1 + np.ceil(np.log2(counts.astype(np.float64)) * _LEVELS_PER_DOUBLING)
    clipped: NDArray[np.uint8] = np.minimum(levels, 255).astype(np.uint8)
    return clipped


def _cells(keys: IdArray, seed: int, width: int) -> NDArray[np.int64]:
    """Returns the cell of each key in each row, [DEPTH, num_keys]."""
    seeds, cells = _row_seeds(seed), np.empty((DEPTH, len(keys)), dtype=np.int64)
    rows = DEPTH if len(keys) <= _FEW_KEYS else 1  # of few keys all rows at once, of many no array of them all
    for row in range(0, DEPTH, rows):
        hashes = mixed(keys ^ seeds[row : row + rows])
        cells[row : row + rows] = ((hashes >> np.uint64(32)) * np.uint64(width)) >> np.uint64(32)
    return cells


@cache
def _row_seeds(seed: int) -> IdArray:
    """Returns what tells the hashes of the rows apart, [DEPTH, 1] uint64."""
    seeds = np.array([[mix64(seed * DEPTH + row + 1)] for row in range(DEPTH)], dtype=np.uint64)
    seeds.setflags(write=False)
    return seeds
