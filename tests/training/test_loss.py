"""The objective on vectors worked out by hand, and what the logQ correction is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.loss import accidental_hits, corrected_scores, log_draws, sampled_softmax

USERS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
ITEMS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
TARGETS = torch.tensor([0, 1, 0])
NO_MASK = torch.zeros(3, 3, dtype=torch.bool)

NO_CORRECTION = torch.zeros(3)


def _scores(*, items: Tensor = ITEMS, log_q: Tensor = NO_CORRECTION, temperature: float = 1.0) -> Tensor:
    return corrected_scores(USERS, items, log_q=log_q, temperature=temperature)


def _cross_entropy(scores: list[float], target: int) -> float:
    return -scores[target] + math.log(sum(math.exp(score) for score in scores if score > -math.inf))


def test_loss_is_the_mean_cross_entropy_of_cosine_over_temperature() -> None:
    loss = sampled_softmax(_scores(temperature=0.5), TARGETS, masked=NO_MASK)
    scores = [[2.0, 0.0, -2.0], [0.0, 2.0, 0.0], [1.2, 1.6, -1.2]]
    wanted = sum(_cross_entropy(row, target) for row, target in zip(scores, (0, 1, 0), strict=True)) / 3
    assert loss.item() == pytest.approx(wanted, rel=1e-6)


def test_log_q_is_taken_off_every_score() -> None:
    log_q = torch.tensor([-0.5, -2.0, 0.0])
    loss = sampled_softmax(_scores(log_q=log_q, temperature=0.5), TARGETS, masked=NO_MASK)
    scores = [[2.5, 2.0, -2.0], [0.5, 4.0, 0.0], [1.7, 3.6, -1.2]]
    wanted = sum(_cross_entropy(row, target) for row, target in zip(scores, (0, 1, 0), strict=True)) / 3
    assert loss.item() == pytest.approx(wanted, rel=1e-6)


def test_masked_item_is_no_negative_and_gets_no_gradient() -> None:
    items = ITEMS.clone().requires_grad_()
    masked = torch.tensor([[False, False, True]])
    loss = sampled_softmax(_scores(items=items)[:1], torch.tensor([0]), masked=masked)
    assert loss.item() == pytest.approx(_cross_entropy([1.0, 0.0], 0), rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert items.grad is not None
    assert items.grad[2].tolist() == [0.0, 0.0]
    assert items.grad[:2].abs().sum() > 0


def test_everything_but_the_target_masked_leaves_no_loss() -> None:
    masked = torch.tensor([[False, True, True]])
    loss = sampled_softmax(_scores(temperature=0.07)[:1], torch.tensor([0]), masked=masked)
    assert loss.item() == 0


# Accidental hits

# User 0 took items 1, 3, 4; user 1 took item 0; user 2 took nothing.
INDPTR, INDICES = np.array([0, 3, 4, 4], dtype=np.int32), np.array([1, 3, 4, 0], dtype=np.int32)


def _hits(users: list[int], items: list[int], targets: list[int]) -> list[list[bool]]:
    mask = accidental_hits(np.array(users), np.array(items), np.array(targets), (INDPTR, INDICES), 6)
    return mask.tolist()


def test_other_positives_of_a_user_are_masked_and_the_target_never() -> None:
    # Columns are items 0, 1, 3, 5.
    mask = _hits([0, 1, 0, 2], [0, 1, 3, 5], [1, 0, 2, 3])
    assert mask == [
        [False, False, True, False],
        [False, False, False, False],
        [False, True, False, False],
        [False, False, False, False],
    ]


def test_users_without_any_history_mask_nothing() -> None:
    assert not np.array(_hits([2, 2], [0, 1, 2], [0, 1])).any()


def test_mask_agrees_with_sets_on_random_data() -> None:
    rng = np.random.default_rng(0)
    took = [np.sort(rng.permutation(40)[: rng.integers(0, 15)]) for _ in range(12)]
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in took])]).astype(np.int32)
    indices = np.concatenate(took).astype(np.int32)
    users, items = rng.integers(12, size=20), np.sort(rng.permutation(40)[:25])
    targets = rng.integers(25, size=20)
    mask = accidental_hits(users, items, targets, (indptr, indices), 40).numpy()
    for row, user in enumerate(users):
        wanted = [item in took[user] and column != targets[row] for column, item in enumerate(items)]
        assert mask[row].tolist() == wanted


# The correction


def test_log_draws_are_the_expected_number_of_draws_at_most_one() -> None:
    counts, everything = np.array([6, 2, 0, 0]), np.arange(4)
    # 8 interactions, 4 a step: 3 and 1 positives expected; 1 uniform draw adds a quarter each.
    log_q = log_draws(counts, batch_size=4, uniform_negatives=1, drawable=everything)
    np.testing.assert_allclose(np.exp(log_q), [1, 1, 0.25, 0.25])
    log_q = log_draws(counts, batch_size=1, uniform_negatives=1, drawable=np.array([1, 2]))
    np.testing.assert_allclose(np.exp(log_q[:3]), [0.75, 0.75, 0.5])


def test_log_draws_are_finite_for_items_that_are_never_drawn() -> None:
    for drawable in (np.array([0]), np.array([0, 1])):
        assert np.isfinite(log_draws(np.array([3, 0]), batch_size=2, uniform_negatives=0, drawable=drawable)).all()


def test_correction_brings_the_sampled_gradient_to_that_of_the_full_softmax() -> None:
    """Averaged over many steps, with a popularity so skewed that popular items crowd the batches."""
    rng = np.random.default_rng(0)
    num_items, batch_size, uniform, temperature = 40, 8, 4, 0.3
    counts = np.ceil(60 / np.arange(1, num_items + 1)).astype(np.int64)
    targets = np.repeat(np.arange(num_items), counts)
    users = _unit(rng.normal(size=(len(targets), 6)))
    items = _unit(rng.normal(size=(num_items, 6)))
    draws = log_draws(counts, batch_size=batch_size, uniform_negatives=uniform, drawable=np.arange(num_items))
    log_q = torch.from_numpy(draws)

    def gradient(rows: NDArray[np.int64], columns: NDArray[np.int64], correction: Tensor) -> NDArray[np.float32]:
        parameters = items.clone().requires_grad_()
        scores = corrected_scores(users[rows], parameters[columns], log_q=correction[columns], temperature=temperature)
        positives = torch.from_numpy(np.searchsorted(columns, targets[rows]))
        loss = sampled_softmax(scores, positives, masked=torch.zeros_like(scores, dtype=torch.bool))
        return torch.autograd.grad(loss, parameters)[0].numpy()

    full = gradient(np.arange(len(targets)), np.arange(num_items), torch.zeros(num_items))
    means = {"with": np.zeros_like(full), "without": np.zeros_like(full)}
    steps = 1200
    for _ in range(steps):
        rows = rng.choice(len(targets), size=batch_size, replace=False)
        columns = np.unique(np.concatenate([targets[rows], rng.integers(num_items, size=uniform)]))
        means["with"] += gradient(rows, columns, log_q) / steps
        means["without"] += gradient(rows, columns, torch.zeros(num_items)) / steps
    distances = {name: np.linalg.norm(mean - full) / np.linalg.norm(full) for name, mean in means.items()}
    assert distances["with"] < 0.6 * distances["without"], distances


def _unit(vectors: NDArray[np.float64]) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(vectors.astype(np.float32)), dim=1)
