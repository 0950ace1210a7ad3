"""The objective as a whole: what every choice leaves alone, what it adds, and that its state goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.config import LossConfig, TrainConfig
from training.dataset import TrainingData
from training.draws import LogQ, StepDraws
from training.frequency import StreamFrequency
from training.loss import corrected_scores, sampled_softmax
from training.objective import Objective, StepRows

CHOICES: dict[str, dict[str, object]] = {
    "default": {},
    "learned": {"temperature": "learned"},
    "presence": {"log_q_of": "presence"},
    "stream": {"frequency": "stream"},
    "memory": {"memory_steps": 3},
    "bilateral": {"form": "bilateral", "positive_temperature": 0.2, "negative_weight": 1.1},
    "weighted": {"hard_negatives": "weighted"},
    "top": {"hard_negatives": "top", "hard_share": 0.5},
    "together": {
        "log_q_of": "presence",
        "frequency": "stream",
        "memory_steps": 3,
        "form": "bilateral",
        "hard_negatives": "weighted",
    },
}
Make = Callable[..., Objective]


@pytest.fixture
def make(checkerboard_data: TrainingData) -> Make:
    def objective(*, data: TrainingData = checkerboard_data, **settings: object) -> Objective:
        config = TrainConfig(loss=LossConfig.model_validate({"uniform_negatives": 16, **settings}), batch_size=16)
        return Objective(
            data,
            config.loss,
            draws=StepDraws.of(data, config),
            keys=np.arange(len(data.item_ids), dtype=np.uint64),
            device=torch.device("cpu"),
        )

    return objective


def _unit(seed: int, rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, 6, generator=generator), dim=1).requires_grad_()


def _step(data: TrainingData, seed: int, *, size: int = 16) -> tuple[Tensor, Tensor, StepRows]:
    rng = np.random.default_rng(seed)
    pairs = data.train[rng.choice(len(data.train), size=size, replace=False)]
    items = np.unique(np.concatenate([pairs[:, 1], rng.integers(len(data.item_ids), size=24)]))
    rows = StepRows(users=pairs[:, 0], items=items, targets=np.searchsorted(items, pairs[:, 1]))
    return _unit(2 * seed, size), _unit(2 * seed + 1, len(items)), rows


def _gradients(objective: Objective, step: tuple[Tensor, Tensor, StepRows]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(objective.loss(*step), step[:2])


@pytest.mark.parametrize("choice", CHOICES)
def test_other_positives_of_a_user_get_no_gradient_whatever_the_choices_are(
    choice: str, make: Make, checkerboard_data: TrainingData
) -> None:
    data = checkerboard_data
    took = {tuple(pair) for pair in data.train.tolist()}
    objective, num_masked = make(**CHOICES[choice]), 0
    for seed in range(8):
        users, items, rows = _step(data, seed, size=1)
        _, gradient = _gradients(objective, (users, items, rows))
        hits = np.array([(rows.users[0], item) in took for item in rows.items])
        hits[rows.targets] = False
        num_masked += hits.sum()
        assert not gradient[torch.from_numpy(hits)].any()
        others = gradient[torch.from_numpy(~hits)].abs().sum(dim=1) > 0
        assert others.float().mean() > (0.4 if choice == "top" else 0.99)
    assert num_masked > 20


@pytest.mark.parametrize("choice", [name for name, settings in CHOICES.items() if "memory_steps" in settings])
def test_items_of_the_memory_are_negatives_but_for_those_that_the_user_had(
    choice: str, make: Make, checkerboard_data: TrainingData
) -> None:
    """One user, one target and one item a step; what is remembered is moved, and the loss must move or not."""
    data = replace(checkerboard_data, train=np.array([[0, 0], [0, 1], [1, 2]]))
    for remembered, is_negative in ((1, False), (2, True)):
        losses = []
        for sign in (1.0, -1.0):
            objective = make(data=data, **CHOICES[choice])
            user = _unit(0, 1).detach()
            before = StepRows(users=np.array([1]), items=np.array([remembered]), targets=np.array([0]))
            objective.loss(_unit(1, 1), user * sign, before)
            now = StepRows(users=np.array([0]), items=np.array([0, 3]), targets=np.array([0]))
            losses.append(objective.loss(user, _unit(2, 2), now).item())
        assert (losses[0] != losses[1]) == is_negative


def test_loss_with_a_memory_is_that_of_the_items_of_both_steps_corrected_for_both(
    make: Make, checkerboard_data: TrainingData
) -> None:
    data, settings = checkerboard_data, {"memory_steps": 1, "uniform_negatives": 16}
    objective = make(**settings)
    first, second = _step(data, 0), _step(data, 1)
    objective.loss(*first)
    older = ~np.isin(first[2].items, second[2].items)
    columns = np.concatenate([second[2].items, first[2].items[older]])
    vectors = torch.cat([second[1], first[1][torch.from_numpy(older)]])
    config = TrainConfig(loss=LossConfig.model_validate(settings), batch_size=16)
    draws = StepDraws.of(data, config)
    log_q = LogQ(draws, config.loss, keys=np.zeros(0, dtype=np.uint64)).of(columns, steps=2)
    took = {tuple(pair) for pair in data.train.tolist()}
    masked = torch.tensor([[(user, item) in took for item in columns] for user in second[2].users])
    masked[np.arange(16), second[2].targets] = False
    scores = corrected_scores(second[0], vectors, log_q=torch.from_numpy(log_q), temperature=config.loss.temperature)
    wanted = sampled_softmax(scores, torch.from_numpy(second[2].targets), masked=masked)
    assert objective.loss(*second).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_bilateral_without_further_settings_has_the_gradient_of_the_softmax_without_its_own_positive_in_the_sum(
    make: Make, checkerboard_data: TrainingData
) -> None:
    """With users that occur once: cosine / temperature less log sum over the negatives."""
    users, items, rows = _step(checkerboard_data, 0)
    _, first = np.unique(rows.users, return_index=True)
    once = (users.detach()[first].requires_grad_(), items, StepRows(
        users=rows.users[first], items=rows.items, targets=rows.targets[first]
    ))  # fmt: skip
    found = _gradients(make(form="bilateral", log_q=False), once)
    took = {tuple(pair) for pair in checkerboard_data.train.tolist()}
    excluded = torch.tensor([[(user, item) in took for item in rows.items] for user in once[2].users])
    scores = once[0] @ items.T / LossConfig().temperature
    own = scores[np.arange(len(first)), once[2].targets]
    loss = (torch.logsumexp(scores.masked_fill(excluded, -torch.inf), dim=1) - own).mean()
    for gradient, wanted in zip(found, torch.autograd.grad(loss, once[:2]), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_learned_temperature_gets_a_gradient_and_fixed_ones_have_no_parameters(
    make: Make, checkerboard_data: TrainingData
) -> None:
    objective = make(temperature="learned")
    (parameter,) = objective.parameters()
    (gradient,) = torch.autograd.grad(objective.loss(*_step(checkerboard_data, 0)), [parameter])
    assert gradient.abs() > 0
    assert objective.temperature() == pytest.approx(make().temperature())
    assert make().parameters() == []


@pytest.mark.parametrize("choice", CHOICES)
def test_state_goes_on_where_it_was(choice: str, make: Make, checkerboard_data: TrainingData) -> None:
    whole, resumed = make(**CHOICES[choice]), make(**CHOICES[choice])
    for seed in range(3):
        whole.loss(*_step(checkerboard_data, seed))
    for parameter in whole.parameters():
        parameter.data += 0.1
    state = whole.state()
    assert (state == {}) == (choice not in ("learned", "stream", "memory", "together"))
    resumed.restore(state)
    for seed in range(3, 5):
        step = _step(checkerboard_data, seed)
        assert whole.loss(*step).item() == resumed.loss(*step).item()


def test_stream_counts_the_positives_of_each_step_and_no_other_items(
    make: Make, checkerboard_data: TrainingData
) -> None:
    objective = make(frequency="stream")
    stream = StreamFrequency(cells=LossConfig().frequency_cells, rate=LossConfig().frequency_rate)
    for seed in range(2):
        step = _step(checkerboard_data, seed)
        objective.loss(*step)
        stream.see(step[2].items[step[2].targets].astype(np.uint64))
    for name, array in stream.state().items():
        np.testing.assert_array_equal(objective.state()[f"frequency.{name}"].numpy(), array)


def test_choices_make_a_difference(make: Make, checkerboard_data: TrainingData) -> None:
    steps: list[Any] = [_step(checkerboard_data, seed) for seed in range(2)]
    losses = {}
    for choice, settings in CHOICES.items():
        objective = make(**settings)
        losses[choice] = [objective.loss(*step).item() for step in steps][-1]
    assert losses.pop("learned") == pytest.approx(losses["default"], rel=1e-6)  # before its first step
    assert len(set(losses.values())) == len(losses), losses
