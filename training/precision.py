"""How the towers compute in training: in 32 bits, or their matrix products in bfloat16; compiled on a GPU.

Weights, optimiser, losses and everything outside of training stay in 32 bits. bfloat16 has the range of float32 with 8
bits of precision, so no loss needs to be scaled. Compilation needs the compilers that come with CUDA builds of torch;
on a CPU it would need a C++ compiler on the machine, so it is refused there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from recall.errors import ConfigError
from recall.model.towers import Towers
from training.config import TrainConfig


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Returns the context in which towers compute a step."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


def compiled(towers: Towers, config: TrainConfig, device: torch.device) -> None:
    """Compiles the towers in place where the configuration asks for it; their weights keep their names.

    Raises:
        ConfigError: It asks for it on a CPU.
    """
    if not config.compile:
        return
    if device.type != "cuda":
        raise ConfigError(
            f"compile = true is for CUDA devices, and this is {device.type}; leave it out, or --device cuda"
        )
    # The number of distinct items differs from step to step.
    towers.item.compile(dynamic=True)
    towers.user.compile(dynamic=True)
