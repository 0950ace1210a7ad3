"""How the towers' weights move: AdamW, its learning rate over the steps, and the mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.averaging import WeightAverage
from training.config import OptimizerConfig


class Optimization:
    """Moves the weights of a module for a known number of steps.

    Attributes:
        average: The mean of the weights so far.
    """

    def __init__(
        self,
        module: nn.Module,
        config: OptimizerConfig,
        *,
        num_steps: int,
        undecayed: Sequence[nn.Parameter] = (),
    ) -> None:
        """Starts before the first of `num_steps` steps.

        Args:
            module: What is trained and averaged.
            config: How.
            num_steps: Of the whole run.
            undecayed: What is moved with it, but neither decayed nor averaged.
        """
        self._optimizer = torch.optim.AdamW(
            module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        if undecayed:
            self._optimizer.add_param_group({"params": list(undecayed), "weight_decay": 0.0})
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _rate(step, num_steps, config.warmup_share)
        )
        self.average = WeightAverage(module, is_on=config.average_weights)

    def step(self, loss: Tensor) -> None:
        """Moves the weights once against the gradient of `loss`."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()
        self._schedule.step()
        self.average.update()


def _rate(step: int, num_steps: int, warmup_share: float) -> float:
    """Returns the share of the peak rate: a linear warm-up, then half a cosine."""
    warmup = max(1, int(num_steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))
