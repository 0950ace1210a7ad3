"""The learned temperature: where it begins, its bounds, and how it moves."""

from __future__ import annotations

import math

import pytest
import torch

from training.config import OptimizerConfig
from training.optimization import Optimization
from training.temperature import FIRST, LEAST, MOST, LearnedTemperature


def test_it_begins_where_the_fixed_one_stands() -> None:
    assert LearnedTemperature()().item() == pytest.approx(FIRST)


@pytest.mark.parametrize(("start", "bound"), [(1e-6, LEAST), (50.0, MOST)])
def test_it_is_put_back_to_its_bound_and_a_gradient_leads_away_again(start: float, bound: float) -> None:
    temperature = LearnedTemperature()
    with torch.no_grad():
        temperature.log.fill_(math.log(start))
    value = temperature()
    assert value.item() == pytest.approx(bound)
    value.backward()
    assert temperature.log.grad is not None
    assert temperature.log.grad.item() == pytest.approx(bound)


def test_it_is_moved_with_the_towers_but_not_decayed_nor_averaged() -> None:
    towers, temperature = torch.nn.Linear(2, 1, bias=False), LearnedTemperature()
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5, average_weights=True)
    optimization = Optimization(towers, config, num_steps=10, undecayed=list(temperature.parameters()))
    weights, log = towers.weight.detach().clone(), temperature.log.item()
    optimization.step((towers.weight * 0).sum() + 0 * temperature())
    # Without a gradient only the decay moves: rate x decay of the weights, nothing of the temperature.
    torch.testing.assert_close(towers.weight, weights * (1 - 0.1 * 0.5))
    assert temperature.log.item() == log
    optimization.step((towers.weight * 0).sum() + temperature())
    # The first step of Adam with a gradient after one without: m / sqrt(v) as its moments say, downwards.
    assert temperature.log.item() < log - 0.03
