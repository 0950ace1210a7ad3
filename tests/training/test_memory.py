"""Item vectors of earlier steps: which are held, whose gradient is none, and that their state goes on."""

from __future__ import annotations

import numpy as np
import torch

from training.memory import ItemMemory


def _step(*rows: int, value: float) -> tuple[np.ndarray, torch.Tensor]:
    return np.array(rows), torch.tensor([[value, float(row)] for row in rows], requires_grad=True)


def test_newest_vector_of_each_item_is_held_for_so_many_steps_and_gives_way_to_the_present() -> None:
    memory = ItemMemory(num_steps=2, after=1)
    present = _step(3, value=9.0)
    held = []
    for step in (_step(7, value=0.0), _step(1, 2, value=1.0), _step(2, 3, value=2.0), _step(4, value=3.0)):
        memory.add(*step)
        rows, vectors = memory.others(*present)
        assert not vectors.requires_grad
        held.append((len(memory), rows.tolist(), vectors.tolist()))
    assert held == [
        (0, [], []),  # the first step is let pass
        (1, [1, 2], [[1, 1], [1, 2]]),
        (2, [1, 2], [[1, 1], [2, 2]]),  # 2 by its newest vector, 3 is of the present step
        (2, [2, 4], [[2, 2], [3, 4]]),  # two steps are held
    ]


def test_state_goes_on_where_it_was() -> None:
    whole, resumed = (ItemMemory(num_steps=2, after=1) for _ in range(2))
    steps = [_step(n, n + 1, value=float(n)) for n in range(5)]
    for place, step in enumerate(steps):
        resumed.restore(whole.state())
        for memory in (whole, resumed):
            memory.add(*step)
        rows, vectors = whole.others(*_step(0, value=0.0))
        other_rows, other_vectors = resumed.others(*_step(0, value=0.0))
        assert rows.tolist() == other_rows.tolist(), place
        assert torch.equal(vectors, other_vectors)
    assert len(whole) == len(resumed) == 2
