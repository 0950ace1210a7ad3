"""Tokens of unseen items stand in a space of their own, which no other token can reach."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from recall.model.bags import Bags
from recall.model.fusion import UNSEEN, FusionWeights, in_space, marked

TOP = 1 << 63


def test_marked_bags_hold_the_tokens_of_their_space_and_the_mark() -> None:
    bags = Bags(
        tokens=np.array([5, TOP + 6, 5, TOP + 7], np.uint64),
        weights=np.array([0.6, 0.8, 1.0, 0.5], np.float32),
        offsets=np.array([0, 2, 3, 3, 4, 4]),
    )
    out = marked(bags, np.array([False, True, True, False, False]))
    assert out.offsets.tolist() == [0, 2, 4, 5, 6, 6]
    assert out.tokens.tolist() == [5, 6, TOP + 5, int(UNSEEN), int(UNSEEN), 7]
    assert out.weights.tolist() == np.array([0.6, 0.8, 1.0, 1.0, 1.0, 0.5], np.float32).tolist()


def test_no_token_is_taken_for_the_mark() -> None:
    tokens = np.array([TOP - 1, 2 * TOP - 1, 3], np.uint64)
    assert UNSEEN not in in_space(tokens, unseen=True)
    assert in_space(in_space(tokens[2:], unseen=True), unseen=False).tolist() == [3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seen": -1},
        {"seen": 1e20},
        {"unseen_offset": -1001},
        {"unseen": float("nan")},
        {"unseen_offset": float("inf")},
        {"warm": 1},
    ],
)
def test_weights_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FusionWeights.model_validate(wrong)


def test_an_offset_alone_needs_bags_too() -> None:
    assert not FusionWeights().is_on
    assert FusionWeights(unseen_offset=-0.1).is_on
    assert FusionWeights(unseen_offset_alone=0.1).is_on
