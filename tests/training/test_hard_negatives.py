"""Hard negatives on scores worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.hard_negatives import easy, weighted

SCORES = torch.tensor([[3.0, 1.0, 0.0, 2.0], [0.5, 3.0, -1.0, 0.5]])
# The first user's target is item 0; the second's is item 1, and item 3 is another positive.
EXCLUDED = torch.tensor([[True, False, False, False], [False, True, False, True]])
NO_CORRECTION = torch.zeros(4)


def test_negatives_count_by_the_power_of_their_score_and_one_on_average() -> None:
    out = weighted(SCORES, log_q=NO_CORRECTION, excluded=EXCLUDED, hardness=2.0)
    means = [(math.exp(2) + 1 + math.exp(4)) / 3, (math.exp(1) + math.exp(-2)) / 2]
    wanted = [
        [3.0, 3 - math.log(means[0]), 0 - math.log(means[0]), 6 - math.log(means[0])],
        [1.5 - math.log(means[1]), 3.0, -3 - math.log(means[1]), 0.5],
    ]
    torch.testing.assert_close(out, torch.tensor(wanted))
    weights = (out - SCORES).exp()
    assert weights[0, 1:].mean().item() == pytest.approx(1, rel=1e-5)


def test_mean_of_the_weights_is_over_all_items_not_over_those_drawn() -> None:
    """Item 3 is drawn half as often as items 1 and 2, so it stands for two of its kind."""
    log_q = torch.tensor([0.0, 0.0, 0.0, math.log(0.5)])
    corrected = SCORES[:1] - log_q
    out = weighted(corrected, log_q=log_q, excluded=EXCLUDED[:1], hardness=1.0)
    mean = (math.exp(1) + 1 + 2 * math.exp(2)) / 4
    torch.testing.assert_close((out - corrected)[0, 1:], torch.tensor([1.0, 0.0, 2.0]) - math.log(mean))


def test_weights_pass_no_gradient_and_a_user_without_negatives_stays_finite() -> None:
    scores = SCORES.clone().requires_grad_()
    everything = torch.ones_like(EXCLUDED)
    for excluded in (EXCLUDED, everything):
        out = weighted(scores, log_q=NO_CORRECTION, excluded=excluded, hardness=1.0)
        (gradient,) = torch.autograd.grad(out.sum(), scores)
        assert torch.equal(gradient, torch.ones_like(scores))
    assert torch.equal(out, scores)


@pytest.mark.parametrize(
    ("share", "kept"),
    [
        (0.01, [[3], [0]]),  # at least one
        (0.34, [[1, 3], [0]]),  # 2 of 3, 1 of 2
        (0.67, [[1, 2, 3], [0, 2]]),
    ],
)
def test_top_share_of_each_user_is_kept(share: float, kept: list[list[int]]) -> None:
    left_out = easy(SCORES, excluded=EXCLUDED, share=share)
    assert not (left_out & EXCLUDED).any()
    assert [torch.nonzero(~row).flatten().tolist() for row in left_out | EXCLUDED] == kept


def test_equal_scores_at_the_border_are_all_kept_and_no_negatives_are_no_error() -> None:
    scores = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert easy(scores, excluded=torch.zeros(1, 4, dtype=torch.bool), share=0.25).tolist() == [[False] * 3 + [True]]
    assert not easy(scores, excluded=torch.ones(1, 4, dtype=torch.bool), share=0.5).any()
