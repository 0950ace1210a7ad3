"""The mean of a model's weights over the steps of training, later steps counting more.

Polynomial-decay averaging (Shamir and Zhang, Stochastic gradient descent for non-smooth optimization: convergence
results and optimal averaging schemes, ICML 2013, section 4): after step t the mean takes a share of
(eta + 1) / (t + eta) of the present weights. So its window grows with the number of steps, and there is no decay to be
tuned to the length of a run. Where an epoch is chosen long before the learning rate has fallen, the mean is what
the falling rate would have given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from training.checkpoint import Arrays

ETA = 8
"""With it, half of the mean's weight lies on the last 7% of the steps."""


class WeightAverage:
    """The mean of a module's parameters and buffers; whole numbers among them are those of the last step."""

    def __init__(self, module: nn.Module, *, is_on: bool = True) -> None:
        """Starts at the module's present weights; where it is not on, the mean is always those of the last step."""
        self._module = module
        self._is_on = is_on
        self._mean = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self._num_steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights after one more step; called after each."""
        if not self._is_on:
            return
        self._num_steps += 1
        share = (ETA + 1) / (self._num_steps + ETA)
        for name, tensor in self._module.state_dict().items():
            if tensor.is_floating_point():
                self._mean[name].lerp_(tensor, share)
            else:
                self._mean[name].copy_(tensor)

    def state(self) -> Arrays:
        """Returns the mean by `average.NAME` and the steps it is over, all that `restore` needs; nothing if not on."""
        if not self._is_on:
            return {}
        mean: Arrays = {f"average.{name}": tensor.cpu().numpy() for name, tensor in self._mean.items()}
        return {**mean, "average_steps": np.array([self._num_steps])}

    def restore(self, arrays: Arrays) -> None:
        """Takes the mean that `state` gave."""
        if not self._is_on:
            return
        for name, tensor in self._mean.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[f"average.{name}"])))
        self._num_steps = int(arrays["average_steps"][0])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Gives the module the mean, and afterwards its own weights again."""
        if not self._is_on:
            yield
            return
        own: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in self._module.state_dict().items()}
        self._module.load_state_dict(self._mean)
        try:
            yield
        finally:
            self._module.load_state_dict(own)
