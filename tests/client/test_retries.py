from __future__ import annotations

from random import Random

import pytest

from recall.client import RetryPolicy
from recall.errors import ConfigError


def test_pauses_double_up_to_the_longest_and_lose_at_most_a_half() -> None:
    policy = RetryPolicy(attempts=6, first_seconds=0.5, most_seconds=3.0)
    longest = [0.5, 1.0, 2.0, 3.0, 3.0]
    drawn = [list(policy.pauses(Random(seed))) for seed in range(200)]
    for place, bound in enumerate(longest):
        pauses = [run[place] for run in drawn]
        assert bound / 2 <= min(pauses) < 0.55 * bound
        assert 0.95 * bound < max(pauses) <= bound
    assert {len(run) for run in drawn} == {len(longest)}


def test_one_attempt_has_no_pause() -> None:
    assert list(RetryPolicy(attempts=1).pauses(Random(0))) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"attempts": 0}, "attempts of the retry policy is 0; want at least 1"),
        ({"first_seconds": -1.0}, "first_seconds -1 and most_seconds 2; want 0 <= first_seconds <= most_seconds"),
        ({"first_seconds": 3.0}, "first_seconds 3 and most_seconds 2; want"),
    ],
)
def test_policy_out_of_range_is_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RetryPolicy(**values)  # type: ignore[arg-type]  # what a test gives
