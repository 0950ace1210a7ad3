from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import bitmap
from index.errors import InvalidQueryError
from index.topk import best, top_k


def test_top_k_orders_by_score_then_row():
    found = top_k(np.array([[1, 3, 3, 2], [0, 0, 0, 0]], dtype=np.float32), 3)
    assert found.rows.tolist() == [[1, 2, 3], [0, 1, 2]]
    assert found.scores.tolist() == [[3, 3, 2], [0, 0, 0]]


def test_top_k_takes_allowed_rows_only():
    found = top_k(np.array([[1, 3, 3, 2]], dtype=np.float32), 3, allowed=bitmap.from_rows(np.array([0, 2]), 4))
    assert found.rows.tolist() == [[2, 0, -1]]
    assert found.counts.tolist() == [2]


def test_top_k_refuses_k_below_one():
    with pytest.raises(InvalidQueryError, match="k is -1"):
        top_k(np.zeros((1, 2), dtype=np.float32), -1)


@given(
    scores=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), max_size=60), k=st.integers(1, 70), seed=st.integers(0, 9)
)
def test_best_agrees_with_a_full_sort(scores, k, seed):
    rows = np.random.default_rng(seed).permutation(len(scores)).astype(np.int64)
    values = np.array(scores, dtype=np.float32)
    found_rows, found_scores = best(rows, values, k)
    expected = sorted((-score, row) for score, row in zip(scores, rows.tolist(), strict=True))[:k]
    assert [(-s, r) for s, r in zip(found_scores.tolist(), found_rows.tolist(), strict=True)] == expected
