"""How the weights of a small module move, beside what the formulas say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.averaging import ETA
from training.config import OptimizerConfig
from training.optimization import Optimization


def _moved(config: OptimizerConfig, *, num_steps: int) -> tuple[nn.Linear, Optimization, list[float]]:
    """Returns a weight that is pushed up at every step, and where it stood after each."""
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    optimization = Optimization(module, config, num_steps=num_steps)
    places = []
    for _ in range(num_steps):
        optimization.step(-module.weight.sum())
        places.append(module.weight.item())
    return module, optimization, places


def test_rate_warms_up_and_falls_as_half_a_cosine() -> None:
    config = OptimizerConfig(learning_rate=0.5, weight_decay=0.0, warmup_share=0.4)
    _, _, places = _moved(config, num_steps=10)
    # A gradient that never changes moves a weight by just the rate at each step of Adam.
    steps = [after - before for before, after in zip([0.0, *places], places, strict=False)]
    warm = [0.5 * (step + 1) / 4 for step in range(4)]
    falling = [0.25 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert steps == pytest.approx(warm + falling, abs=1e-5)


def test_mean_of_the_weights_is_taken_only_where_it_is_asked_for() -> None:
    for is_on in (False, True):
        config = OptimizerConfig(learning_rate=0.5, weight_decay=0.0, average_weights=is_on)
        module, optimization, places = _moved(config, num_steps=4)
        mean = 0.0
        for step, place in enumerate(places, start=1):
            mean += (ETA + 1) / (step + ETA) * (place - mean)
        with optimization.average.applied():
            assert module.weight.item() == pytest.approx(mean if is_on else places[-1], abs=1e-6)
        assert module.weight.item() == places[-1]
        assert abs(mean - places[-1]) > 0.01


def test_gradients_of_several_losses_make_one_move_of_their_mean() -> None:
    config = OptimizerConfig(learning_rate=0.5, weight_decay=0.1)
    moved = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        module = nn.Linear(4, 1)
        optimization = Optimization(module, config, num_steps=4, accumulate=accumulate)
        inputs = torch.randn(12, 4)
        for part in inputs.chunk(4):
            losses = part.chunk(accumulate)
            for loss in losses:
                assert optimization.is_between_moves == (loss is losses[0])
                optimization.step((module(loss) ** 2).mean())
        moved.append(module.weight.detach().clone())
    torch.testing.assert_close(*moved)


def test_gradients_left_at_the_end_make_a_move_of_their_own() -> None:
    module = nn.Linear(1, 1, bias=False)
    optimization = Optimization(module, OptimizerConfig(), num_steps=1, accumulate=4)
    before = module.weight.item()
    optimization.step(-module.weight.sum())
    assert module.weight.item() == before
    optimization.move()
    after = module.weight.item()
    assert after > before
    optimization.move()
    assert module.weight.item() == after


def test_gradient_longer_than_allowed_is_shortened() -> None:
    # Adam moves by the ratio of gradients, so a single long one among short ones shows whether it was shortened.
    places = []
    for longest in (0.0, 1.0):
        module = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            module.weight.zero_()
        config = OptimizerConfig(learning_rate=0.1, weight_decay=0.0, warmup_share=0.0, max_gradient_norm=longest)
        optimization = Optimization(module, config, num_steps=100)
        for factor in (1.0, 1000.0, 1.0):
            optimization.step(-factor * module.weight.sum())
        places.append(module.weight.item())
    assert places[1] == pytest.approx(0.3, abs=0.01)
    assert places[0] < 0.29
