"""How often hashed keys occur in a stream of steps, estimated in bounded memory.

Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019, algorithm 2. Two
arrays are indexed by a hash of the key: A holds the last step in which it occurred, B the moving average of the gap
between two occurrences. When a key occurs in step t,

    B[h] <- (1 - rate) B[h] + rate (t - A[h]),  A[h] <- t

and 1 / B[h] is the probability that a step holds the key. With several hash functions, each with arrays of its own,
the largest gap counts, since a collision only makes gaps shorter (the paper's multiple hashings). We differ in the
first occurrence, at step t: it sets the gap to t, which is what a key of that frequency needs on average, so that no
starting value has to wear off. A key that did not occur yet has probability 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recall.model.codes import IdArray, mix64, mixed

_ARRAYS = 2

FrequencyState: TypeAlias = dict[str, NDArray[np.float32] | NDArray[np.int64]]


class StreamFrequency:
    """Estimates for each key in how many of the steps it occurs; deterministic, whatever the order within a step."""

    def __init__(self, *, cells: int, rate: float) -> None:
        """Starts before the first step.

        Args:
            cells: Length of each array.
            rate: Share of the newest gap in the average, above 0 and at most 1. The estimate then has a relative
                spread of about sqrt(rate / (2 - rate)), and follows a change within 1 / rate occurrences.
        """
        self._rate = rate
        self._step = 0
        self._last = np.zeros((_ARRAYS, cells), dtype=np.int64)
        self._gaps = np.zeros((_ARRAYS, cells), dtype=np.float32)

    def see(self, keys: IdArray) -> None:
        """Counts one step, which holds `keys` ([n] uint64, repeated ones count once)."""
        self._step += 1
        for array, cells in enumerate(self._cells(keys)):
            gap = (self._step - self._last[array, cells]).astype(np.float32)
            before = self._gaps[array, cells]
            # Keys that share a cell write the same values, so which of them writes last does not matter.
            self._gaps[array, cells] = np.where(before == 0, gap, (1 - self._rate) * before + self._rate * gap)
            self._last[array, cells] = self._step

    def rates(self, keys: IdArray) -> NDArray[np.float64]:
        """Returns the probability that a step holds each key, [n] float64 in [0, 1]; 0 for one that never occurred."""
        gaps = [self._gaps[array, cells] for array, cells in enumerate(self._cells(keys))]
        never = np.min(gaps, axis=0) == 0
        rates: NDArray[np.float64] = np.where(never, 0.0, 1.0 / np.maximum(np.max(gaps, axis=0), 1.0))
        return rates

    def state(self) -> FrequencyState:
        """Returns all that the next step depends on, as copies."""
        return {"step": np.array([self._step]), "last": self._last.copy(), "gaps": self._gaps.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Goes on from what `state` returned."""
        self._step = int(state["step"].item())
        self._last = np.array(state["last"], dtype=np.int64)
        self._gaps = np.array(state["gaps"], dtype=np.float32)

    def _cells(self, keys: IdArray) -> list[NDArray[np.int64]]:
        width = np.uint64(self._gaps.shape[1])
        hashes = (mixed(keys ^ np.uint64(mix64(array + 1))) for array in range(_ARRAYS))
        return [(((h >> np.uint64(32)) * width) >> np.uint64(32)).astype(np.int64) for h in hashes]
