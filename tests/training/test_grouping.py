"""The order of an epoch: everything once, users together, and by default as it always was."""

from __future__ import annotations

import numpy as np
import pytest

from training.grouping import epoch_order

USERS = np.repeat(np.arange(5), [7, 1, 3, 9, 4])


def test_one_at_a_time_is_a_plain_permutation() -> None:
    order = epoch_order(USERS, 1, np.random.default_rng(3))
    np.testing.assert_array_equal(order, np.random.default_rng(3).permutation(len(USERS)))


@pytest.mark.parametrize("together", [2, 3, 100])
def test_every_interaction_once_and_up_to_so_many_of_a_user_together(together: int) -> None:
    order = epoch_order(USERS, together, np.random.default_rng(0))
    assert sorted(order) == list(range(len(USERS)))
    users = USERS[order]
    starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
    runs = np.bincount(users[starts], minlength=5)
    # A user of n interactions has ceil(n / together) groups; two of them may happen to stand side by side.
    assert (runs <= -(-np.bincount(USERS) // together)).all()
    assert (runs.max() > 1) == (together < 9)
    assert sorted(np.diff([*starts, len(users)])) != [1] * len(users)


def test_order_is_another_each_epoch_and_the_same_for_the_same_seed() -> None:
    first, again, other = (epoch_order(USERS, 3, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
