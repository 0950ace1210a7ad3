"""The objective on vectors worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from training.loss import accidental_hits, bilateral_softmax, corrected_scores, positive_side, sampled_softmax

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


# The bilateral softmax

COSINES = torch.tensor([1.0, 0.5, 0.0])


def test_positives_of_a_user_score_together_and_a_single_one_for_itself() -> None:
    together = 0.5 * math.log((math.exp(2) + 1) / 2)
    found = positive_side(COSINES, np.array([5, 7, 5]), temperature=0.5)
    assert found.item() == pytest.approx((2 * together + 0.5) / 3, rel=1e-6)
    for temperature in (0.02, 0.5, 1e3):
        alone = positive_side(COSINES, np.array([2, 1, 0]), temperature=temperature)
        assert alone.item() == pytest.approx(0.5, rel=1e-4)
    assert positive_side(COSINES, np.array([5, 7, 5]), temperature=1e3).item() == pytest.approx(0.5, rel=1e-3)


def test_positive_that_fits_its_user_less_gets_less_gradient() -> None:
    cosines = COSINES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(positive_side(cosines, np.array([5, 7, 5]), temperature=0.5), cosines)
    share = math.exp(2) / (math.exp(2) + 1)
    torch.testing.assert_close(gradient, torch.tensor([2 * share, 1, 2 * (1 - share)]) / 3)


def test_bilateral_loss_is_the_weighted_negative_side_less_the_positive_one() -> None:
    scores = torch.tensor([[2.0, 0.0, -1.0], [1.0, 3.0, 0.0]])
    excluded = torch.tensor([[True, False, False], [False, True, False]])
    loss = bilateral_softmax(scores, torch.tensor(0.7), excluded=excluded, negative_weight=1.2)
    negatives = (math.log(1 + math.exp(-1)) + math.log(math.exp(1) + 1)) / 2
    assert loss.item() == pytest.approx(1.2 * negatives - 0.7, rel=1e-6)


def test_bilateral_loss_without_any_negative_is_the_positive_side_alone() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    excluded = torch.tensor([[True, True, True], [False, False, True]])
    loss = bilateral_softmax(scores, torch.tensor(0.7), excluded=excluded, negative_weight=1.0)
    assert loss.item() == pytest.approx(math.log(2) / 2 - 0.7, rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient.tolist() == [[0, 0, 0], [0.25, 0.25, 0]]


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
