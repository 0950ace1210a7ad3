from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.bags import Bags
from index.errors import InvalidVectorError

LAST = 2**64 - 1


def _of(*rows: dict[int, float] | list[tuple[int, float]]) -> Bags:
    pairs = [list(row.items()) if isinstance(row, dict) else row for row in rows]
    flat = [pair for row in pairs for pair in row]
    return Bags.of(
        np.array([token for token, _ in flat], dtype=np.uint64),
        np.array([weight for _, weight in flat], dtype=np.float32),
        np.cumsum([0, *(len(row) for row in pairs)]),
    )


def _as_dicts(bags: Bags) -> list[dict[int, float]]:
    ends = bags.offsets.tolist()
    tokens, weights = bags.tokens.tolist(), bags.weights.tolist()
    return [dict(zip(tokens[a:b], weights[a:b], strict=True)) for a, b in pairwise(ends)]


def test_of_sorts_merges_and_drops_zeros():
    bags = _of([(9, 1), (LAST, 2), (0, 3), (9, 0.5)], [], [(5, 1), (5, -1), (4, 0)], [(1, 2)])
    assert _as_dicts(bags) == [{0: 3, 9: 1.5, LAST: 2}, {}, {}, {1: 2}]
    assert bags.tokens.tolist() == [0, 9, LAST, 1]
    assert (len(bags), bags.num_tokens) == (4, 4)
    assert (bags.tokens.dtype, bags.weights.dtype, bags.offsets.dtype) == (np.uint64, np.float32, np.int64)
    assert bags.is_ordered()


def test_of_leaves_its_arguments_alone():
    tokens, weights = np.array([3, 1, 3], dtype=np.uint64), np.array([1, 2, 3], dtype=np.float32)
    Bags.of(tokens, weights, [0, 3])
    assert (tokens.tolist(), weights.tolist()) == ([3, 1, 3], [1, 2, 3])


def test_take_gives_rows_in_any_order_and_again():
    bags = _of({1: 1, 2: 2}, {}, {7: -1})
    assert _as_dicts(bags.take(np.array([2, 0, 1, 2]))) == [{7: -1}, {1: 1, 2: 2}, {}, {7: -1}]
    assert len(bags.take(np.empty(0, dtype=np.int64))) == 0


def test_joined_puts_parts_one_after_another():
    parts = [_of({1: 1}), Bags.none(2), _of({3: 1, 4: 1}, {})]
    assert _as_dicts(Bags.joined(parts)) == [{1: 1}, {}, {}, {3: 1, 4: 1}, {}]
    assert len(Bags.joined([])) == 0


@pytest.mark.parametrize(
    ("tokens", "weights", "offsets", "fault"),
    [
        ([1, 2], [1], [0, 2], "2 tokens and 1 weights"),
        ([1, 2], [1, 1], [0, 3], "want 0 to the 2 tokens"),
        ([1, 2], [1, 1], [], "want 0 to the 2 tokens"),
        ([1, 2], [1, 1], [0, 2, 1, 2], "row 1 go from 2 to 1"),
        ([1, 2], [1, 1], [0, 2**63 - 1, -(2**63), -1, 2], "row 1 go from 9223372036854775807"),
        ([1, 2, 3], [1, 1, np.nan], [0, 1, 3], "row 1 has a weight that is not finite"),
        ([1, 2, 3], [1, np.inf, 1], [0, 1, 3], "row 1"),
        ([1], [1e30], [0, 1], "row 0 .* too large"),
        ([1, 1], [3e38, 3e38], [0, 2], "row 0"),
    ],
)
def test_of_refuses_what_cannot_be_scored(tokens, weights, offsets, fault):
    with pytest.raises(InvalidVectorError, match=fault):
        Bags.of(np.array(tokens, dtype=np.uint64), np.array(weights, dtype=np.float32), np.array(offsets, np.int64))


def test_of_refuses_tokens_that_are_no_hashes():
    with pytest.raises(InvalidVectorError, match="tokens is int64"):
        Bags.of(np.array([-1]), np.ones(1, dtype=np.float32), [0, 1])
    with pytest.raises(InvalidVectorError, match="offsets is float64"):
        Bags.of(np.ones(1, dtype=np.uint64), np.ones(1, dtype=np.float32), [0.0, 1.0])


@given(st.lists(st.lists(st.tuples(st.integers(0, 5) | st.just(LAST), st.integers(-2, 2)), max_size=9), max_size=5))
def test_of_equals_adding_up_in_a_dict(rows):
    expected = []
    for row in rows:
        totals: dict[int, float] = {}
        for token, weight in row:
            totals[token] = totals.get(token, 0) + weight
        expected.append({token: totals[token] for token in sorted(totals) if totals[token]})
    bags = _of(*rows)
    assert [list(bag.items()) for bag in _as_dicts(bags)] == [list(bag.items()) for bag in expected]
    assert bags.is_ordered()
