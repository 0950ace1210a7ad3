from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import bitmap, fused
from index.bags import Bags
from index.factory import IndexConfig, build_index
from index.flat import FlatIndex
from index.fused import FusedQueries, FusedRows, fused_ranking, fused_search
from index.protocols import FloatArray, RowArray
from index.rescore import score_one
from index.sparse import ScannedBags, SparseIndex
from index.sparse_kernels import score_bags


def _rows(vectors: FloatArray, bags: Bags) -> FusedRows:
    return FusedRows(vectors=vectors, largest_norm=FlatIndex(vectors).largest_norm, sparse=SparseIndex(bags))


def _kernel_scores(rows: FusedRows, queries: FusedQueries, query: int) -> FloatArray:
    every = np.arange(len(rows.vectors), dtype=np.int64)
    profile = queries.profiles.take(np.array([query]))
    sparse = score_bags(profile, rows.sparse.bags, every, offsets=np.array([0, every.size]))
    return score_one(queries.vectors[query], rows.vectors, every) + sparse


def _in_order(scores: FloatArray, allowed: RowArray) -> RowArray:
    return allowed[np.lexsort((allowed, -scores[allowed]))]


@pytest.fixture(scope="module")
def data(unit_vectors, zipf_bags) -> tuple[FusedRows, FusedQueries]:
    queries = FusedQueries(vectors=unit_vectors(20, 24, seed=3), profiles=zipf_bags(20, seed=4, length=60))
    return _rows(unit_vectors(900, 24), zipf_bags(900)), queries


def test_search_adds_two_products_made_by_hand(bags_of):
    rows = _rows(np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32), bags_of({1: 0.5}, {2: 1}, {}))
    queries = FusedQueries(vectors=np.array([[1, 0], [0, 1]], dtype=np.float32), profiles=bags_of({2: 2}, {1: 1}))
    found = fused_search(rows, queries, 3, allowed=None)
    assert found.rows.tolist() == [[1, 0, 2], [1, 2, 0]]
    np.testing.assert_array_equal(found.scores, np.array([[2, 1, 0.6], [1, 0.8, 0.5]], dtype=np.float32))


def test_queries_of_zero_vectors_are_scored_by_bags_alone(data):
    rows, queries = data
    by_bags = FusedQueries(vectors=np.zeros_like(queries.vectors), profiles=queries.profiles)
    found = fused_search(rows, by_bags, 30, allowed=None)
    alone = SparseIndex(rows.sparse.bags).search(queries.profiles, 30)
    np.testing.assert_array_equal(found.rows, alone.rows)
    np.testing.assert_array_equal(found.scores, alone.scores)


def test_search_agrees_with_float64_and_orders_by_the_kernels(data):
    rows, queries = data
    found = fused_search(rows, queries, 30, allowed=None)
    for query in range(20):
        scores = _kernel_scores(rows, queries, query)
        expected = _in_order(scores, np.arange(900))[:30]
        np.testing.assert_array_equal(found.rows[query], expected)
        np.testing.assert_array_equal(found.scores[query], scores[expected])
        dense = rows.vectors.astype(np.float64) @ queries.vectors[query]
        profile = dict(zip(*(a.tolist() for a in _bag(queries.profiles, query)), strict=True))
        for row in expected[:5]:
            bag = zip(*(a.tolist() for a in _bag(rows.sparse.bags, row)), strict=True)
            true = dense[row] + sum(profile.get(token, 0) * weight for token, weight in bag)
            assert scores[row] == pytest.approx(true, abs=1e-6)


def _bag(bags: Bags, row: int) -> tuple[np.ndarray, np.ndarray]:
    one = bags.take(np.array([row]))
    return one.tokens, one.weights


def test_search_in_many_blocks_equals_one_block_and_single_searches(data, monkeypatch):
    rows, queries = data
    whole = fused_search(rows, queries, 15, allowed=None)
    monkeypatch.setattr(fused, "_BLOCK_SCORES", 1800)  # blocks of two queries
    parts = fused_search(rows, queries, 15, allowed=None)
    np.testing.assert_array_equal(whole.rows, parts.rows)
    np.testing.assert_array_equal(whole.scores, parts.scores)


def test_search_decides_near_ties_by_the_kernels(unit_vectors, zipf_bags):
    # Vectors one float apart: the matrix product may order them otherwise than the kernel, which decides.
    base = unit_vectors(1, 64)[0]
    vectors = np.tile(base, (500, 1))
    vectors[np.arange(500), np.arange(500) % 64] *= np.float32(1 + 2**-23)
    bag = zipf_bags(40, seed=1).take(np.array([5]))
    rows = _rows(vectors, bag.take(np.zeros(500, dtype=np.int64)))
    queries = FusedQueries(vectors=base[None], profiles=bag)
    everything, some = (fused_search(rows, queries, k, allowed=None) for k in (500, 7))
    np.testing.assert_array_equal(some.rows, everything.rows[:, :7])


def test_scanned_and_inverted_bags_give_the_same_result(data):
    rows, queries = data
    scanned = FusedRows(vectors=rows.vectors, largest_norm=rows.largest_norm, sparse=ScannedBags(rows.sparse.bags))
    one, other = (fused_search(some, queries, 25, allowed=None) for some in (rows, scanned))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_ranking_of_a_complete_list_is_exact(data):
    rows, queries = data
    exact = fused_search(rows, queries, 20, allowed=None)
    for listed in (20, 100, 900):  # the list is exact, however short: what it lacks, the bags bring
        dense = FlatIndex(rows.vectors).search(queries.vectors, listed)
        found = fused_ranking(rows, queries, 20, dense=dense, allowed=None)
        np.testing.assert_array_equal(found.rows, exact.rows)
        np.testing.assert_array_equal(found.scores, exact.scores)


def test_ranking_over_a_graph_finds_most_of_the_exact_result(data):
    rows, queries = data
    graph = build_index(rows.vectors, IndexConfig(kind="hnsw", parameters={"threads": 1}))
    allowed = bitmap.from_mask(np.random.default_rng(0).random(900) < 0.5)
    for bits in (None, allowed):
        exact = fused_search(rows, queries, 20, allowed=bits).rows
        dense = graph.search(queries.vectors, 80, allowed=bits)
        found = fused_ranking(rows, queries, 20, dense=dense, allowed=bits).rows
        assert np.mean([np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)]) > 0.97


directions = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (-1.0, 0.25)])
bag = st.dictionaries(st.sampled_from([0, 1, 2, 2**64 - 1]), st.sampled_from([-0.5, 0.25, 1.0]), max_size=4)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(directions, bag), min_size=1, max_size=20),
    query=st.tuples(directions | st.just((0.0, 0.0)), bag),
    k=st.integers(1, 25),
    barred=st.sets(st.integers(0, 19)),
)
def test_search_and_ranking_equal_brute_force(rows, query, k, barred):
    def bags_of(*dicts: dict[int, float]) -> Bags:
        tokens = np.array([token for one in dicts for token in one], dtype=np.uint64)
        weights = np.array([weight for one in dicts for weight in one.values()], dtype=np.float32)
        return Bags.of(tokens, weights, np.cumsum([0, *(len(one) for one in dicts)]))

    (direction, profile), num_rows = query, len(rows)
    vectors = np.array([vector for vector, _ in rows], dtype=np.float32)
    # Small binary fractions: sums are exact and ties are real.
    scores = [
        float(np.dot(direction, vector)) + sum(weight * one.get(token, 0) for token, weight in profile.items())
        for vector, one in rows
    ]
    allowed = [row for row in range(num_rows) if row not in barred]
    expected = sorted(allowed, key=lambda row: (-scores[row], row))[:k]
    bits = bitmap.from_rows(np.array(allowed, dtype=np.int64), num_rows)
    both = _rows(vectors, bags_of(*(one for _, one in rows)))
    asked = FusedQueries(vectors=np.array([direction], dtype=np.float32), profiles=bags_of(profile))
    results = [fused_search(both, asked, k, allowed=bits)]
    if allowed:
        wanted = min(k, len(allowed))
        dense = FlatIndex(vectors).search(asked.vectors, wanted, allowed=bits)
        results.append(fused_ranking(both, asked, wanted, dense=dense, allowed=bits))
    for found in results:
        used = int(found.counts[0])
        assert found.rows[0, :used].tolist() == expected
        assert found.scores[0, :used].tolist() == [scores[row] for row in expected]
