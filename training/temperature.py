"""The temperature that divides the cosine scores, where it is learned beside the towers.

It is exp(s) with one parameter s, as in CLIP (Radford et al., ICML 2021). AdamW moves s with the towers, at their
learning rate and without weight decay, which would pull the temperature to 1. Before each use s is put back between
its bounds; a gradient at a bound can lead away from it again. Serving ranks by the cosine and needs no temperature, so
it is not among the weights of a model; the artifact names the one of the chosen epoch among the facts of training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FIRST, LEAST, MOST = 0.07, 0.01, 1.0


class LearnedTemperature(nn.Module):
    """A temperature between `LEAST` and `MOST` that begins at `FIRST`."""

    def __init__(self) -> None:
        """Draws nothing at random."""
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(FIRST)))

    def forward(self) -> Tensor:
        """Returns the temperature, a scalar."""
        with torch.no_grad():
            self.log.clamp_(math.log(LEAST), math.log(MOST))
        return self.log.exp()
