"""The objective of a training run: from the vectors of a step to its loss, by the choices of `LossConfig`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import LossConfig
from training.dataset import RowArray, TrainingData
from training.draws import LogQ, StepDraws
from training.loss import accidental_hits, corrected_scores, sampled_softmax, with_certain_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRows:
    """Which users and items the vectors of a step are of.

    Attributes:
        users: [n] int64 user row of each example.
        items: [m] int64 distinct item rows.
        targets: [n] int64, the place in `items` of each example's positive.
    """

    users: RowArray
    items: RowArray
    targets: RowArray


class Objective:
    """The loss of one step after the other."""

    def __init__(self, data: TrainingData, config: LossConfig, *, draws: StepDraws) -> None:
        """Prepares what stays the same over all steps.

        Args:
            data: What is trained on.
            config: The choices.
            draws: How batches and negatives are drawn.
        """
        self._config = config
        positives = data.seen()
        self._positives = (positives.indptr, positives.indices)
        self._num_items = len(data.item_ids)
        self._log_q = LogQ(draws, config)

    def loss(self, users: Tensor, items: Tensor, rows: StepRows) -> Tensor:
        """Returns the loss of a step, ready for its backward pass.

        Args:
            users: [n, dim] float32 unit vectors, one an example.
            items: [m, dim] float32 unit vectors of the step's distinct items.
            rows: What they are of.
        """
        device = users.device
        masked = accidental_hits(rows.users, rows.items, rows.targets, self._positives, self._num_items).to(device)
        targets = torch.from_numpy(rows.targets).to(device)
        log_q = torch.from_numpy(self._log_q.of(rows.items)).to(device)
        scores = corrected_scores(users, items, log_q=log_q, temperature=self._config.temperature)
        if self._config.log_q_of == "presence":
            scores = with_certain_targets(scores, targets, log_q=log_q)
        return sampled_softmax(scores, targets, masked=masked)
