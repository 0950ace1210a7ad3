from __future__ import annotations

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError
from index.flat import FlatIndex
from index.kd_tree import KdTreeIndex, KdTreeParameters


def _same(found, truth):
    np.testing.assert_array_equal(found.counts, truth.counts)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


def test_longer_vector_wins_over_a_nearer_one():
    # By distance row 0 is nearest to the query, by inner product row 1 is best: 1 against 2 and -1.
    vectors = np.array([[1, 0], [2, 2], [-1, 0]], dtype=np.float32)
    found = KdTreeIndex.build(vectors).search(np.array([[1, 0]], dtype=np.float32), 2)
    assert found.rows.tolist() == [[1, 0]]
    assert found.scores.tolist() == [[2, 1]]


@pytest.mark.parametrize("dim", [1, 3, 16])
@pytest.mark.parametrize("k", [1, 10, 399])
def test_search_is_exact_for_vectors_of_any_length(dim, k):
    generator = np.random.default_rng(dim)
    vectors = generator.standard_normal((400, dim)).astype(np.float32) * np.float32(10) ** generator.integers(
        -3, 4, (400, 1)
    ).astype(np.float32)
    queries = generator.standard_normal((30, dim)).astype(np.float32) * np.float32(1e-8)
    _same(KdTreeIndex.build(vectors).search(queries, k), FlatIndex(vectors).search(queries, k))


def test_query_of_zeros_takes_the_lowest_rows(unit_vectors):
    found = KdTreeIndex.build(unit_vectors(500)).search(np.zeros((2, 16), dtype=np.float32), 4)
    assert found.rows.tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("share", [0.99, 0.5, 0.2, 0.05])
def test_search_under_a_bitmap_is_exact(unit_vectors, share):
    vectors = unit_vectors(1000)
    allowed = bitmap.from_mask(np.random.default_rng(0).random(1000) < share)
    found = KdTreeIndex.build(vectors).search(vectors[:30], 25, allowed=allowed)
    _same(found, FlatIndex(vectors).search(vectors[:30], 25, allowed=allowed))


def test_bitmap_that_bars_everything_near_is_searched_further_out(unit_vectors):
    vectors = unit_vectors(1000)
    query = vectors[:1]
    allowed = bitmap.from_rows(np.argsort(vectors @ query[0])[:300], 1000)  # the farthest
    found = KdTreeIndex.build(vectors).search(query, 10, allowed=allowed)
    _same(found, FlatIndex(vectors).search(query, 10, allowed=allowed))


def test_tree_says_what_it_was_built_with(unit_vectors, tmp_path):
    index = KdTreeIndex.build(unit_vectors(50), KdTreeParameters(leaf_size=4))
    index.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert KdTreeIndex.load(tmp_path, unit_vectors(50), KdTreeParameters(leaf_size=4)).parameters() == {"leaf_size": 4}
    assert KdTreeIndex.build(unit_vectors(50)).parameters() == {"leaf_size": 16}
    assert index.retuned() is index
    assert index.resident_bytes() >= 50 * 17 * 8  # float64, one coordinate more
    with pytest.raises(InvalidIndexConfigError, match="leaf_size is -1"):
        KdTreeParameters(leaf_size=-1)
