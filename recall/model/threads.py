"""How many threads the arithmetic of the towers takes."""

from __future__ import annotations

import torch


def limit_threads(count: int) -> None:
    """Gives every operation at most `count` threads from now on, in this process.

    A server answers calls side by side; with a pool of threads for each operation they crowd each other.
    """
    torch.set_num_threads(count)
