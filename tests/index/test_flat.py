from __future__ import annotations

import numpy as np
import pytest

from index import bitmap, flat
from index.errors import InvalidQueryError, InvalidVectorError
from index.flat import AppendableFlat, FlatIndex


def test_search_in_many_blocks_equals_one_block(unit_vectors, monkeypatch):
    vectors, queries = np.repeat(unit_vectors(1500), 8, axis=0), unit_vectors(5, seed=2)
    allowed = bitmap.from_mask(np.random.default_rng(0).random(12_000) < 0.4)
    index = FlatIndex(vectors)
    whole = index.search(queries, 30, allowed=allowed)
    monkeypatch.setattr(flat, "_BLOCK_SCORES", 1)  # blocks of 4,096 rows
    monkeypatch.setattr(flat, "_BLOCK_QUERIES", 2)
    parts = index.search(queries, 30, allowed=allowed)
    np.testing.assert_array_equal(whole.rows, parts.rows)
    np.testing.assert_array_equal(whole.scores, parts.scores)


def test_search_decides_near_ties_by_the_kernel(unit_vectors):
    # Vectors one float apart: the matrix product may order them otherwise than the kernel, which decides.
    base = unit_vectors(1, 64)[0]
    vectors = np.tile(base, (500, 1))
    vectors[np.arange(500), np.arange(500) % 64] *= np.float32(1 + 2**-23)
    index = FlatIndex(vectors)
    everything = index.search(base[None], 500)
    some = index.search(base[None], 7)
    np.testing.assert_array_equal(some.rows, everything.rows[:, :7])


def test_appendable_search_stays_within_the_bound(unit_vectors):
    vectors = unit_vectors(40)
    index = AppendableFlat(16, capacity=4)
    index.append(vectors)
    found = index.search(vectors[39:], 40, num_rows=10)
    assert sorted(found.rows[0].tolist()) == list(range(10))
    with pytest.raises(InvalidQueryError, match="num_rows is 41; want 0 to the 40"):
        index.search(vectors[:1], 1, num_rows=41)


def test_append_keeps_the_rows_an_old_reader_holds(unit_vectors):
    vectors = unit_vectors(100)
    index = AppendableFlat(16, capacity=4)
    index.append(vectors[:3])
    held = index.vectors
    for row in range(3, 100):
        index.append(vectors[row : row + 1])
    np.testing.assert_array_equal(held, vectors[:3])
    np.testing.assert_array_equal(index.vectors, vectors)


def test_append_of_a_bad_vector_adds_nothing(unit_vectors):
    index = AppendableFlat(16)
    bad = unit_vectors(3)
    bad[1, 4] = np.nan
    with pytest.raises(InvalidVectorError, match=r"vectors\[1\] is NaN at position 4"):
        index.append(bad)
    with pytest.raises(InvalidVectorError, match=r"want \[n, 16\]"):
        index.append(unit_vectors(1, 8))
    assert index.num_rows == 0
