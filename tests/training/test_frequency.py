"""Frequencies estimated from a stream: by hand, against known ones, and where hashes collide."""

from __future__ import annotations

import numpy as np
import pytest

from training.frequency import StreamFrequency


def _keys(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_gaps_are_averaged_as_the_algorithm_says() -> None:
    stream = StreamFrequency(cells=1 << 12, rate=0.5)
    rates = []
    for step in range(1, 10):
        stream.see(_keys(7) if step in (3, 5, 9) else _keys())
        rates.append(float(stream.rates(_keys(7))[0]))
    # First occurrence in step 3, then gaps of 2 and 4: 3, (3 + 2) / 2 = 2.5, (2.5 + 4) / 2 = 3.25.
    assert rates == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 2.5, 1 / 2.5, 1 / 2.5, 1 / 2.5, 1 / 3.25], rel=1e-6)
    assert stream.rates(_keys(8)).tolist() == [0]


def test_a_key_that_is_in_every_step_has_rate_one_however_often_it_is_in_each() -> None:
    stream = StreamFrequency(cells=1 << 12, rate=0.1)
    for _ in range(5):
        stream.see(_keys(7, 7, 7))
    assert stream.rates(_keys(7)).tolist() == [1]


def test_estimates_agree_with_known_frequencies_and_follow_a_change() -> None:
    rng = np.random.default_rng(0)
    keys, rate, steps = np.arange(600, dtype=np.uint64), 0.1, 500
    known = np.repeat([0.5, 0.2, 0.05], 200)
    stream = StreamFrequency(cells=1 << 16, rate=rate)
    for chances in (known, known[::-1]):
        for _ in range(steps):
            stream.see(keys[rng.random(len(keys)) < chances])
        gaps = 1 / stream.rates(keys)
        # A gap is geometric: mean 1 / p, variance (1 - p) / p^2. After m occurrences the average of them has at most
        # rate / (2 - rate) of that variance plus (1 - rate)^(2 m) of the first one's, which is forgotten but for
        # (1 - rate)^m: at least 0.05 * 500 = 25 occurrences on average. Four standard errors of the mean of 200 keys.
        for chance in (0.5, 0.2, 0.05):
            left = (1 - rate) ** (steps * chance)
            variance = (rate / (2 - rate) + left**2) * (1 - chance) / chance**2
            drift = left * max(abs(1 / old - 1 / chance) for old in (0.5, 0.05)) if chances is not known else 0.0
            error = abs(gaps[chances == chance].mean() - 1 / chance)
            assert error < 4 * np.sqrt(variance / 200) + drift, chance


def test_collisions_in_one_array_alone_do_no_harm() -> None:
    """Rare keys share some of 64 cells with frequent ones; one may suffer only where both of its cells are shared."""
    stream = StreamFrequency(cells=64, rate=0.05)
    frequent, rare = np.arange(8, dtype=np.uint64), np.arange(100, 140, dtype=np.uint64)
    cells = [np.stack(stream._cells(part)) for part in (frequent, rare)]
    hit = np.stack([np.isin(cells[1][array], cells[0][array]) for array in range(2)])
    assert (hit.any(axis=0) & ~hit.all(axis=0)).any(), "the test needs a collision in one array alone"
    for step in range(1, 401):
        stream.see(np.concatenate([frequent, rare]) if step % 40 == 0 else frequent)
    np.testing.assert_allclose(stream.rates(rare)[~hit.all(axis=0)], 1 / 40, rtol=1e-5)
    np.testing.assert_allclose(stream.rates(frequent), 1)


def test_state_goes_on_where_it_was() -> None:
    rng = np.random.default_rng(0)
    steps = [np.flatnonzero(rng.random(50) < 0.3).astype(np.uint64) for _ in range(40)]
    whole, resumed = (StreamFrequency(cells=256, rate=0.1) for _ in range(2))
    for step in steps[:20]:
        whole.see(step)
    resumed.restore(whole.state())
    for step in steps[20:]:
        whole.see(step)
        resumed.see(step)
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name])
