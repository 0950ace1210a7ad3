"""One contract for every kind of index over rows; exact search in float64 and hand-made vectors are the oracle."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidQueryError, InvalidVectorError
from index.factory import IndexConfig, build_index
from index.flat import AppendableFlat, FlatIndex
from index.protocols import FloatArray, VectorIndex

Build = Callable[[FloatArray], VectorIndex]


def _appendable(vectors: FloatArray) -> VectorIndex:
    index = AppendableFlat(vectors.shape[1], capacity=2)
    for start in range(0, len(vectors), 7):
        index.append(vectors[start : start + 7])
    return index


BUILDS: dict[str, Build] = {
    "flat": FlatIndex,
    "appendable_flat": _appendable,
    "hnsw": lambda vectors: build_index(
        vectors, IndexConfig(kind="hnsw", parameters={"ef_construction": 64, "threads": 1})
    ),
    "lsh": lambda vectors: build_index(vectors, IndexConfig(kind="lsh")),
    **{
        kind: lambda vectors, kind=kind: build_index(vectors, IndexConfig(kind=kind, parameters={"threads": 1}))
        for kind in ("ivf_flat", "ivf_pq", "scalar")
    },
    "kd_tree": lambda vectors: build_index(vectors, IndexConfig(kind="kd_tree")),
}
EXACT = ("flat", "appendable_flat", "kd_tree")


@pytest.fixture(params=sorted(BUILDS))
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param]


@pytest.fixture(params=sorted(EXACT))
def build_exact(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param]


HAND = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], dtype=np.float32)


def test_search_orders_four_hand_made_vectors(build):
    found = build(HAND).search(np.array([[1, 0], [0, 1]], dtype=np.float32), 4)
    assert found.rows.tolist() == [[0, 3, 1, 2], [1, 3, 0, 2]]
    np.testing.assert_array_equal(found.scores, np.array([[1, 0.6, 0, -1], [1, 0.8, 0, 0]], dtype=np.float32))
    assert found.counts.tolist() == [4, 4]


def test_search_gives_equal_scores_in_row_order(build):
    vectors = HAND[[0, 1, 0, 1, 0, 1, 0]]
    found = build(vectors).search(HAND[:1], 7)
    assert found.rows.tolist() == [[0, 2, 4, 6, 1, 3, 5]]


def test_exact_search_cuts_a_tie_at_the_lowest_rows(build_exact):
    vectors = np.tile(HAND[3:], (5000, 1))
    assert build_exact(vectors).search(HAND[:2], 3).rows.tolist() == [[0, 1, 2]] * 2


def test_search_with_k_above_rows_returns_every_row(build):
    found = build(HAND).search(HAND[:1], 10**9)
    assert found.rows.shape == (1, 4)
    assert sorted(found.rows[0].tolist()) == [0, 1, 2, 3]


def test_search_of_an_empty_index_finds_nothing(build):
    found = build(HAND[:0]).search(HAND, 5)
    assert found.rows.shape == (4, 0)
    assert found.counts.tolist() == [0, 0, 0, 0]


def test_search_returns_only_allowed_rows(build, unit_vectors):
    vectors = unit_vectors(600)
    index = build(vectors)
    generator = np.random.default_rng(1)
    for share in (0.9, 0.5, 0.05):
        mask = generator.random(600) < share
        found = index.search(vectors[:20], 10, allowed=bitmap.from_mask(mask))
        assert found.counts.tolist() == [10] * 20
        assert mask[found.rows].all()


def test_search_with_fewer_allowed_than_k_returns_all_of_them(build, unit_vectors):
    index = build(unit_vectors(300))
    found = index.search(unit_vectors(3, seed=5), 10, allowed=bitmap.from_rows(np.array([7, 299, 100]), 300))
    assert found.rows.shape == (3, 10)
    assert found.counts.tolist() == [3, 3, 3]
    for rows, scores in zip(found.rows, found.scores, strict=True):
        assert sorted(rows[:3].tolist()) == [7, 100, 299]
        assert rows[3:].tolist() == [-1] * 7
        assert (np.diff(scores[:3]) <= 0).all()
        assert np.isneginf(scores[3:]).all()


def test_search_with_nothing_allowed_finds_nothing(build, unit_vectors):
    found = build(unit_vectors(50)).search(unit_vectors(2), 5, allowed=bitmap.empty(50))
    assert found.counts.tolist() == [0, 0]
    assert (found.rows == -1).all()


def test_exact_search_agrees_with_float64_products(build_exact, unit_vectors):
    vectors, queries = unit_vectors(700), unit_vectors(40, seed=3)
    found = build_exact(vectors).search(queries, 25)
    true = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    best = -np.sort(-true, axis=1)[:, :25]
    np.testing.assert_allclose(found.scores, best, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(true, found.rows, axis=1), best, atol=1e-6)


def test_search_finds_most_of_what_exact_search_finds(build, unit_vectors):
    vectors, queries = np.split(unit_vectors(1550), [1500])
    truth = FlatIndex(vectors).search(queries, 10).rows
    found = build(vectors).search(queries, 10).rows
    recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert recall >= 0.9  # against exact search


def test_scores_are_the_same_floats_as_those_of_exact_search(build, unit_vectors):
    vectors, queries = unit_vectors(800, 33), unit_vectors(30, 33, seed=3)
    found = build(vectors).search(queries, 10)
    truth = FlatIndex(vectors).search(queries, 800)
    for i in range(30):
        by_row = dict(zip(truth.rows[i].tolist(), truth.scores[i].tolist(), strict=True))
        assert [by_row[row] for row in found.rows[i].tolist()] == found.scores[i].tolist()


def test_batched_search_equals_single_searches(build, unit_vectors):
    vectors, queries = unit_vectors(900, 24), unit_vectors(60, 24, seed=3)
    index = build(vectors)
    together = index.search(queries, 12)
    for i in range(60):
        alone = index.search(queries[i : i + 1], 12)
        np.testing.assert_array_equal(alone.rows[0], together.rows[i])
        np.testing.assert_array_equal(alone.scores[0], together.scores[i])


def test_queries_whose_scores_float32_cannot_hold_are_refused(build):
    index = build(HAND)
    with pytest.raises(InvalidVectorError, match=r"queries\[1\] has values too far from 1 .*3e\+38"):
        index.search(np.array([[1, 0], [3e38, -3e38]], dtype=np.float32), 2)
    assert index.search(np.array([[1e19, 0]], dtype=np.float32), 1).rows.tolist() == [[0]]


def test_k_may_be_a_number_of_numpy(build, unit_vectors):
    vectors = unit_vectors(600)
    index = build(vectors)
    np.testing.assert_array_equal(index.search(vectors[:2], np.int32(7)).rows, index.search(vectors[:2], 7).rows)


def test_queries_that_are_no_numbers_are_refused(build):
    for queries in ([["a", "b"]], [[1, 2], [1]]):
        with pytest.raises(InvalidVectorError, match="queries cannot be read as float32"):
            build(HAND).search(queries, 1)


def test_search_leaves_its_arguments_alone(build, unit_vectors):
    queries, allowed = unit_vectors(4), bitmap.full(100)
    before = queries.copy(), allowed.copy()
    build(unit_vectors(100)).search(queries, 3, allowed=allowed)
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(allowed, before[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_search_refuses_a_query_that_is_not_finite(build, value):
    queries = HAND.copy()
    queries[2, 1] = value
    with pytest.raises(InvalidVectorError, match=r"queries\[2\] .* position 1"):
        build(HAND).search(queries, 1)


def test_search_refuses_bad_arguments(build):
    index = build(HAND)
    with pytest.raises(InvalidVectorError, match=r"\[1, 3\]; want \[n, 2\]"):
        index.search(np.ones((1, 3), dtype=np.float32), 1)
    with pytest.raises(InvalidQueryError, match="k is 0"):
        index.search(HAND, 0)
    for k in ("3", None, 1.5, True, np.float32(2), np.True_):
        with pytest.raises(InvalidQueryError, match=rf"k is {re.escape(repr(k))}; want a whole number"):
            index.search(HAND, k)
    for allowed in (np.empty(0, dtype=np.uint8), np.ones(4, dtype=np.bool_), np.ones((1, 1), dtype=np.uint8)):
        with pytest.raises(InvalidQueryError, match="at least 1 bytes"):
            index.search(HAND, 1, allowed=allowed)
    for values in ([15], b"\x0f", 15):
        with pytest.raises(InvalidQueryError, match=f"allowed is a {type(values).__name__}; want uint8 of at least 1"):
            index.search(HAND, 1, allowed=values)


def test_search_takes_a_bitmap_with_steps_between_its_bytes(build, unit_vectors):
    index = build(unit_vectors(600))
    allowed = bitmap.from_mask(np.random.default_rng(1).random(600) < 0.5)
    found = index.search(unit_vectors(3, seed=5), 10, allowed=np.repeat(allowed, 2)[::2])
    np.testing.assert_array_equal(found.rows, index.search(unit_vectors(3, seed=5), 10, allowed=allowed).rows)


@pytest.mark.parametrize(
    ("vector", "fault"), [([np.nan, 1], "NaN"), ([1, np.inf], "infinite"), ([0, 0], "zero"), ([1e30, 0], "float32")]
)
def test_build_refuses_a_vector_that_cannot_be_scored(build, vector, fault):
    with pytest.raises(InvalidVectorError, match=rf"vectors\[\d\] .*{fault}"):
        build(np.array([[1, 0], vector], dtype=np.float32))


def test_parameters_are_readable(build):
    index = build(HAND)
    assert all(isinstance(value, int | float | str) for value in index.parameters().values())
    assert (index.dim, index.num_rows) == (2, 4)
