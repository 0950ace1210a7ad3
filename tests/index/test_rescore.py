from __future__ import annotations

import numpy as np
import pytest

from index.rescore import score_one, score_rows


@pytest.mark.parametrize("dim", [1, 3, 16, 63, 64, 129])
def test_scores_do_not_depend_on_what_else_is_scored(unit_vectors, dim):
    queries, vectors = unit_vectors(9, dim, seed=1), unit_vectors(50, dim)
    rows = np.tile(np.arange(50, dtype=np.int64), 9)
    together = score_rows(queries, vectors, rows, offsets=np.arange(10, dtype=np.int64) * 50).reshape(9, 50)
    shifted = np.empty((51, dim), dtype=np.float32)[1:]  # the same values at another address
    shifted[:] = vectors
    shifted.flags.writeable = False
    for i in range(9):
        for row in range(0, 50, 7):
            alone = score_one(queries[i], shifted, np.array([row], dtype=np.int64))
            assert alone[0] == together[i, row]


def test_scores_are_inner_products(unit_vectors):
    queries, vectors = unit_vectors(2, 20, seed=1), unit_vectors(5, 20)
    scores = score_rows(queries, vectors, np.array([4, 0, 2]), offsets=np.array([0, 1, 3]))
    expected = [queries[0] @ vectors[4], queries[1] @ vectors[0], queries[1] @ vectors[2]]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
