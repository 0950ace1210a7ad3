"""How the towers' weights move: AdamW, its learning rate over the steps, and the mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.averaging import WeightAverage
from training.checkpoint import Arrays
from training.config import OptimizerConfig


class Optimization:
    """Moves the weights of a module for a known number of moves.

    Attributes:
        average: The mean of the weights so far.
    """

    def __init__(
        self,
        module: nn.Module,
        config: OptimizerConfig,
        *,
        num_steps: int,
        accumulate: int = 1,
        undecayed: Sequence[nn.Parameter] = (),
    ) -> None:
        """Starts before the first move.

        Args:
            module: Its weights.
            config: Rate, decay and bounds.
            num_steps: Moves over which the rate rises and falls.
            accumulate: Losses whose mean gradient makes one move.
            undecayed: What is moved with it, but neither decayed nor averaged.
        """
        self._parameters = list(module.parameters())
        self._config = config
        self._optimizer = torch.optim.AdamW(self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        if undecayed:
            self._parameters += undecayed
            self._optimizer.add_param_group({"params": list(undecayed), "weight_decay": 0.0})
        self._num_steps = num_steps
        self._accumulate = accumulate
        self._done = 0
        self._pending = 0
        self.average = WeightAverage(module, is_on=config.average_weights)

    @property
    def is_between_moves(self) -> bool:
        """Whether no gradient waits for more losses."""
        return self._pending == 0

    def step(self, loss: Tensor) -> None:
        """Takes in the gradient of `loss`, and moves the weights once there are gradients of enough losses."""
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._pending += 1
        if self._pending == self._accumulate:
            self.move()

    def move(self) -> None:
        """Moves the weights once against the mean of the gradients taken in; does nothing where there are none."""
        if not self._pending:
            return
        self._finish_gradients()
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * _rate(self._done, self._num_steps, self._config.warmup_share)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1
        self._pending = 0
        self.average.update()

    def state(self) -> Arrays:
        """Returns all that `restore` needs; between moves only."""
        assert self.is_between_moves
        moments: dict[int, dict[str, Tensor]] = self._optimizer.state_dict()["state"]
        arrays: Arrays = {f"adam.{place}.{name}": tensor.cpu().numpy() for place, named in moments.items()
                          for name, tensor in named.items()}  # fmt: skip
        return {**arrays, **self.average.state(), "moves": np.array([self._done])}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from where `state` was taken."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, array in arrays.items():
            if key.startswith("adam."):
                _, place, name = key.split(".", 2)
                moments.setdefault(int(place), {})[name] = torch.from_numpy(np.array(array))
        whole = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**whole, "state": moments})
        self._done = int(arrays["moves"][0])
        self.average.restore(arrays)

    def _finish_gradients(self) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if self._pending > 1:
            for gradient in gradients:
                gradient.div_(self._pending)
        if self._config.max_gradient_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._config.max_gradient_norm)


def _rate(step: int, num_steps: int, warmup_share: float) -> float:
    """Returns the share of the peak rate: a linear warm-up, then half a cosine."""
    warmup = max(1, int(num_steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))
