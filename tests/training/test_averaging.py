from __future__ import annotations

import torch
from torch import nn

from training.averaging import ETA, WeightAverage


def _module(value: float) -> nn.BatchNorm1d:
    module = nn.BatchNorm1d(1)
    _set(module, value)
    return module


def _set(module: nn.BatchNorm1d, value: float) -> None:
    for name, tensor in module.state_dict().items():
        tensor.fill_(int(value) if name == "num_batches_tracked" else value)


def _averaged(module: nn.BatchNorm1d, average: WeightAverage) -> dict[str, float]:
    with average.applied():
        return {name: float(tensor) for name, tensor in module.state_dict().items()}


def test_mean_of_three_steps_has_the_weights_of_the_formula() -> None:
    module = _module(5)
    average = WeightAverage(module)
    expected = 5.0
    for step, value in enumerate((10.0, 20.0, 40.0), start=1):
        _set(module, value)
        average.update()
        share = (ETA + 1) / (step + ETA)
        expected += share * (value - expected)
    seen = _averaged(module, average)
    assert seen.pop("num_batches_tracked") == 40
    assert all(abs(value - expected) < 1e-4 for value in seen.values())


def test_first_step_replaces_the_start() -> None:
    module = _module(5)
    average = WeightAverage(module)
    _set(module, 7)
    average.update()
    assert _averaged(module, average)["weight"] == 7


def test_half_of_the_weight_lies_on_the_last_seven_percent_of_the_steps() -> None:
    module = _module(0)
    average = WeightAverage(module)
    for step in range(1000):
        _set(module, float(step >= 926))
        average.update()
    assert abs(_averaged(module, average)["weight"] - 0.5) < 0.01


def test_own_weights_come_back_even_after_an_error() -> None:
    module = _module(3)
    average = WeightAverage(module)
    _set(module, 9)
    average.update()
    _set(module, 1)
    try:
        with average.applied():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert {float(tensor) for tensor in module.state_dict().values()} == {1.0}
    assert torch.equal(module.weight, torch.ones(1))


def test_without_averaging_the_last_weights_stand() -> None:
    module = _module(3)
    average = WeightAverage(module, is_on=False)
    _set(module, 9)
    average.update()
    _set(module, 1)
    assert _averaged(module, average)["weight"] == 1
