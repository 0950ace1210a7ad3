from __future__ import annotations

import numpy as np

from index.flat import FlatIndex
from index.mapped import ranked


def test_candidates_are_ranked_by_score_and_then_by_row():
    vectors = np.array([[2, 0], [-1, 0], [0, 1], [2, 0], [0, -1], [-3, 0]], dtype=np.float32)
    found = ranked(np.array([[1, 0]], dtype=np.float32), vectors, np.array([[5, 4, 3, 2, 1, 0]]), 6)
    assert found.rows.tolist() == [[0, 3, 2, 4, 1, 5]]
    assert found.scores.tolist() == [[2, 2, 0, 0, -1, -3]]
    assert found.counts.tolist() == [6]


def test_missing_candidates_leave_slots_empty():
    vectors = np.eye(3, dtype=np.float32)
    found = ranked(vectors[:2], vectors, np.array([[2, -1, 0], [-1, -1, -1]]), 4)
    assert found.rows.tolist() == [[0, 2, -1, -1], [-1] * 4]
    assert found.counts.tolist() == [2, 0]
    assert found.scores[0, :2].tolist() == [1, 0]
    assert np.isneginf(found.scores[0, 2:]).all()


def test_ranking_every_row_is_exact_search(unit_vectors):
    vectors, queries = unit_vectors(500), unit_vectors(20, seed=4)
    vectors = np.concatenate((vectors, vectors[:100]))  # ties
    candidates = np.stack([np.random.default_rng(i).permutation(600) for i in range(20)])
    found, truth = ranked(queries, vectors, candidates, 50), FlatIndex(vectors).search(queries, 50)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)
