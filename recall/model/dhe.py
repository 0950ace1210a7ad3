"""The decoder of Deep Hash Embedding and the frequency gate in front of an id's share.

Decoder (Kang et al., KDD 2021, section 3.3): h hidden layers of equal width, each linear -> BatchNorm -> Mish, then a
linear output. LayerNorm is an option. Gate: after AMTL (Yan et al., CIKM 2021) the share of an id's own part follows
from how often it was seen; we use one smooth curve a dimension instead of a mask, and it is exactly 0 at count 0.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from recall.model.config import DecoderConfig


class _BatchNorm(nn.BatchNorm1d):
    """BatchNorm that takes a batch of one, which has no spread of its own, by what it learned so far."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalises [n, width] float32."""
        if self.training and len(values) == 1:
            return batch_norm(values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(values)


_NORMS: dict[str, type[nn.Module]] = {"batch": _BatchNorm, "layer": nn.LayerNorm}


class Decoder(nn.Module):
    """Maps codes [n, in_dim] to vectors [n, out_dim]."""

    def __init__(self, in_dim: int, out_dim: int, config: DecoderConfig) -> None:
        """Builds the layers, with the framework's default initialisation."""
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = in_dim
        for layer in range(config.depth):
            layers[f"linear{layer}"] = nn.Linear(width, config.width, bias=config.norm == "none")
            if config.norm != "none":
                layers[f"norm{layer}"] = _NORMS[config.norm](config.width)
            layers[f"activation{layer}"] = nn.Mish()
            width = config.width
        layers["output"] = nn.Linear(width, out_dim)
        self.layers = nn.Sequential(layers)

    def forward(self, codes: Tensor) -> Tensor:
        """Decodes [n, in_dim] float32 to [n, out_dim] float32."""
        return cast(Tensor, self.layers(codes))


class FrequencyGate(nn.Module):
    """Share of an id part by its count, [n] -> [n, dim] in [0, 1): 1 - (1 + count)^-s, s > 0 learned a dimension."""

    def __init__(self, dim: int) -> None:
        """Starts at s = 0.3, where an id seen 10 times has about half its share."""
        super().__init__()
        self.raw = nn.Parameter(torch.full((dim,), _inverse_softplus(0.3)))

    def forward(self, counts: Tensor) -> Tensor:
        """Returns the share for `counts` [n] float32, at least 0. Exactly 0 at count 0."""
        exponent = nn.functional.softplus(self.raw)
        return -torch.expm1(-torch.log1p(counts)[:, None] * exponent)


class OpenGate(nn.Module):
    """No gate: a share of 1 whatever the count is, [n] -> [n, 1]."""

    def forward(self, counts: Tensor) -> Tensor:
        """Returns ones."""
        return torch.ones_like(counts)[:, None]


def _inverse_softplus(value: float) -> float:
    return float(torch.log(torch.expm1(torch.tensor(value, dtype=torch.float64))))
