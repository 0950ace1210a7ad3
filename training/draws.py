"""How likely an item is to be among the items of a step: the q of the logQ correction.

An item comes into a step as a positive of the batch, in proportion to its interactions, or by a uniform draw. Of a step
of B positives out of T interactions and U uniform draws from N items, an item with c interactions is expected to be
drawn

    b + u  times,  b = B c / T,  u = U / N  (0 where uniform draws do not reach it)

which is q where `loss.log_q_of = "draws"`, at most 1 as a repeated draw adds no column (Yi et al., RecSys 2019,
equation 4, for the positives; Yang et al., WWW 2020, for the mixture). Where it is `"presence"`, q is the probability
that the item is among the step's distinct items, given the example's own positive:

    1 - (1 - b) (1 - u),  1 - b = C(T - 1 - c, B - 1) / C(T - 1, B - 1),  1 - u = (1 - 1 / N)^U

so that the sum of exp(score) / q over the step's items is, on average, that over all items. With the items of earlier
steps (`training.memory`) expected draws add up and probabilities of being absent multiply. Where
`loss.frequency = "stream"`, b is not worked out from counts but estimated from the batches (`training.frequency`), in
both cases as the probability that a batch holds the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from recall.model.codes import IdArray
from training.config import LossConfig, TrainConfig
from training.dataset import RowArray, TrainingData
from training.frequency import FrequencyState, StreamFrequency

_LEAST = 1e-12

Rates: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraws:
    """What a step draws, and from what.

    Attributes:
        counts: [num_items] int64, training interactions of each item.
        batch_size: Positives a step.
        uniform_negatives: Uniform draws a step.
        drawable: [num_drawable] int64, the item rows that uniform draws are from.
    """

    counts: RowArray
    batch_size: int
    uniform_negatives: int
    drawable: RowArray

    @classmethod
    def of(cls, data: TrainingData, config: TrainConfig) -> StepDraws:
        """Returns the draws of a training run."""
        counts = data.item_counts()
        is_drawable = counts > 0 if config.loss.negatives_from == "warm" else np.ones_like(counts, dtype=np.bool_)
        return cls(
            counts=counts,
            batch_size=min(config.batch_size, len(data.train)),
            uniform_negatives=config.loss.uniform_negatives,
            drawable=np.flatnonzero(is_drawable),
        )

    def expected(self) -> tuple[Rates, Rates]:
        """Returns b and u of each item: expected draws by batches and by uniform draws, [num_items] each."""
        uniform = np.zeros(len(self.counts))
        uniform[self.drawable] = self.uniform_negatives / max(len(self.drawable), 1)
        return self.batch_size * self.counts / max(int(self.counts.sum()), 1), uniform

    def present(self) -> tuple[Rates, Rates]:
        """Returns b and u of each item: probabilities of at least one such draw, [num_items] each."""
        others, drawn = int(self.counts.sum()) - 1, self.batch_size - 1
        rest = np.maximum(others - self.counts, 0)
        log_absent = np.where(rest >= drawn, _log_choose(rest, drawn) - _log_choose(others, drawn), -np.inf)
        uniform = np.zeros(len(self.counts))
        uniform[self.drawable] = 1 - (1 - 1 / max(len(self.drawable), 1)) ** self.uniform_negatives
        return -np.expm1(np.minimum(log_absent, 0.0)), uniform


class LogQ:
    """log q of items, from exact counts or from the stream of batches."""

    def __init__(self, draws: StepDraws, config: LossConfig, *, keys: IdArray) -> None:
        """Prepares the rates of all items.

        Args:
            draws: How batches and negatives are drawn.
            config: Which q.
            keys: [num_items] uint64 hashed ids, by which a stream is counted.
        """
        self._is_on = config.log_q
        self._of_presence = config.log_q_of == "presence"
        self._batch, self._uniform = draws.present() if self._of_presence else draws.expected()
        self._keys = keys
        is_stream = config.log_q and config.frequency == "stream"
        self._stream = StreamFrequency(cells=config.frequency_cells, rate=config.frequency_rate) if is_stream else None

    def see(self, positives: RowArray) -> None:
        """Counts the batch of the step to come, [n] item rows; without effect on exact counts."""
        if self._stream is not None:
            self._stream.see(self._keys[positives])

    def state(self) -> FrequencyState:
        """Returns what the next step depends on; empty for exact counts."""
        return {} if self._stream is None else self._stream.state()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Goes on from what `state` returned."""
        if self._stream is not None:
            self._stream.restore(state)

    def of(self, rows: RowArray, *, steps: int = 1) -> NDArray[np.float32]:
        """Returns log q of items, [n] float32; zeros where the correction is off.

        Args:
            rows: [n] item rows.
            steps: The items are those of so many steps.
        """
        if not self._is_on:
            return np.zeros(len(rows), dtype=np.float32)
        batch = self._batch[rows] if self._stream is None else self._stream.rates(self._keys[rows])
        uniform = self._uniform[rows]
        q = 1 - ((1 - batch) * (1 - uniform)) ** steps if self._of_presence else steps * (batch + uniform)
        log_q: NDArray[np.float32] = np.log(np.clip(q, _LEAST, 1.0)).astype(np.float32)
        return log_q


def _log_choose(n: RowArray | int, k: int) -> Rates:
    """Returns the logarithm of n over k; meaningless where n < k."""
    n = np.maximum(n, k)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
