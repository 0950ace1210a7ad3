"""Bootstrap intervals against the normal approximation and their own invariants."""

from __future__ import annotations

import numpy as np
import pytest

from recall import bootstrap
from recall.bootstrap import mean_intervals


def test_interval_matches_the_normal_approximation() -> None:
    # 4,000 coin flips: the standard error of the mean is .5 / sqrt(4,000), the 95% half width 1.96 times that.
    flips = np.repeat([[0.0], [1.0]], 2000, axis=0)
    found = mean_intervals(flips, seed=1)
    half = 1.96 * 0.5 / np.sqrt(4000)
    assert found.means == pytest.approx([0.5])
    assert found.low == pytest.approx([0.5 - half], abs=0.15 * half)
    assert found.high == pytest.approx([0.5 + half], abs=0.15 * half)


def test_a_constant_column_has_no_width() -> None:
    found = mean_intervals(np.full((7, 1), 0.25), seed=3)
    assert (found.low[0], found.means[0], found.high[0]) == (0.25, 0.25, 0.25)


def test_one_user_gives_that_users_value() -> None:
    found = mean_intervals(np.array([[0.3, 1.0]]), seed=0)
    assert found.low.tolist() == found.high.tolist() == [0.3, 1.0]


def test_equal_seeds_give_equal_intervals_and_columns_share_draws() -> None:
    values = np.random.default_rng(5).random((50, 1))
    both = mean_intervals(np.hstack([values, values]), seed=9)
    again = mean_intervals(values, seed=9)
    assert both.low == pytest.approx(np.repeat(again.low, 2), rel=1e-12)  # two columns add up in another order than one
    assert mean_intervals(values, seed=10).low[0] != again.low[0]


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).random((50, 2))
    whole = mean_intervals(values, seed=9, num_resamples=100)
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", 70)
    pieces = mean_intervals(values, seed=9, num_resamples=100)
    assert pieces.low == pytest.approx(whole.low)
    assert pieces.high == pytest.approx(whole.high)


@pytest.mark.parametrize("values", [np.zeros((0, 1)), np.zeros(3)])
def test_values_without_users_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one user"):
        mean_intervals(values, seed=0)


def test_level_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level 1\.0"):
        mean_intervals(np.ones((2, 1)), seed=0, level=1.0)
