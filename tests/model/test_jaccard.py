"""Jaccard similarity against sets of Python, and the lookup of keys against a plain comparison."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recall.model.jaccard import jaccard, rows_with_key
from recall.model.token_sets import TokenSets

tokens = st.integers(0, 40).map(lambda n: n * 0x9E3779B97F4A7C15 % 2**64)
token_sets = st.sets(st.one_of(tokens, st.sampled_from([0, 2**63, 2**64 - 1])), max_size=12)


def _array(values: set[int]) -> np.ndarray:
    return np.array(sorted(values), dtype=np.uint64)


def test_similarity_of_sets_made_by_hand() -> None:
    sets = TokenSets.of([_array({1, 2, 3}), _array({2, 3, 4}), _array({1}), _array(set()), _array({9})])
    scores = jaccard(_array({1, 2, 3}), sets, np.array([4, 3, 2, 1, 0, 0]))
    np.testing.assert_array_equal(scores, np.array([0, 0, 1 / 3, 1 / 2, 1, 1], dtype=np.float32))
    wanted = np.array([1 / 2, 1], dtype=np.float32)
    np.testing.assert_array_equal(jaccard(_array({1, 2, 3}), sets, np.array([1, 0]), least=0.5), wanted)
    assert jaccard(_array({1, 2, 3}), sets, np.array([1, 2]), least=0.51).tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(token_sets, st.lists(token_sets, max_size=6), st.sampled_from([0.0, 0.25, 0.5, 2 / 3, 1.0]))
def test_similarity_is_that_of_python_sets(query: set[int], rows: list[set[int]], least: float) -> None:
    exact = [len(query & row) / len(query | row) if query | row else 0.0 for row in rows]
    wanted = np.array([score if score >= least else 0.0 for score in exact], dtype=np.float32)
    scores = jaccard(_array(query), TokenSets.of([_array(row) for row in rows]), np.arange(len(rows)), least=least)
    np.testing.assert_array_equal(scores, wanted)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12), st.tuples(st.integers(0, 4), st.just(2)))
def test_rows_with_a_key_are_those_that_agree_in_any_band(
    row_keys: list[tuple[int, int]], query: tuple[int, int]
) -> None:
    keys = np.array(row_keys, dtype=np.uint32).reshape(-1, 2).T
    order = np.argsort(keys, axis=1, kind="stable")
    found = rows_with_key(
        np.ascontiguousarray(np.take_along_axis(keys, order, axis=1)),
        order.astype(np.int32),
        np.array(query, dtype=np.uint32),
        len(row_keys),
    )
    assert found.tolist() == [row for row, key in enumerate(row_keys) if key[0] == query[0] or key[1] == query[1]]
