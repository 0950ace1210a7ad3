from __future__ import annotations

import numpy as np
import pytest

from index.flat import FlatIndex
from index.made_queries import distinct_rows, made_queries, queries_beside


def greatest_cosines(vectors):
    """Of each row to the nearest other row, [n]."""
    return (vectors @ vectors.T - 2 * np.eye(len(vectors), dtype=np.float32)).max(axis=1)


def test_query_is_as_far_from_its_row_as_the_nearest_other_row(unit_vectors):
    vectors = unit_vectors(300, 8)
    rows = np.arange(0, 300, 3)
    made = queries_beside(FlatIndex(vectors), rows, np.random.default_rng(0))
    to_row = np.einsum("ij,ij->i", made, vectors[rows])
    np.testing.assert_allclose(to_row, greatest_cosines(vectors)[rows], atol=1e-5)


@pytest.mark.parametrize("copies", [2, 30])
@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_query_passes_over_copies_of_its_row_however_many(unit_vectors, copies, noise):
    """Or an index, which holds the row, would be asked for what it holds: every query would be too easy."""
    once = unit_vectors(60, 8)
    vectors = np.repeat(once, copies, axis=0)
    vectors += np.float32(noise) * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    rows = np.arange(0, vectors.shape[0], 7)
    made = queries_beside(FlatIndex(vectors), rows, np.random.default_rng(0))
    to_row = np.einsum("ij,ij->i", made, vectors[rows])
    np.testing.assert_allclose(to_row, greatest_cosines(once)[rows // copies], atol=1e-4)


def test_rows_are_drawn_each_direction_once(unit_vectors):
    once = unit_vectors(50, 8)
    lengths = np.linspace(1, 3, 900, dtype=np.float32)[:, None]
    vectors = lengths * np.concatenate([np.repeat(once[:1], 851, axis=0), once[1:]])
    assert distinct_rows(vectors[851:]).tolist() == list(range(49))
    assert distinct_rows(vectors).size < 60  # rounding may split the copies, at the border of a cell
    assert len(made_queries(FlatIndex(vectors), 256, np.random.default_rng(0))) < 60


def test_query_among_nothing_but_copies_is_the_row():
    vectors = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (40, 1))
    np.testing.assert_array_equal(made_queries(FlatIndex(vectors), 9, np.random.default_rng(0)), vectors[:1])
