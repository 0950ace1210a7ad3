"""One contract for both sparse kinds; bags by hand and inner products in float64 are the oracle."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import bitmap
from index.bags import Bags
from index.errors import InvalidQueryError
from index.protocols import FloatArray
from index.sparse import AppendableSparse, SparseIndex
from index.sparse_kernels import candidates, score_bags

Build = Callable[[Bags], SparseIndex | AppendableSparse]
LAST = 2**64 - 1


def _appended(bags: Bags) -> AppendableSparse:
    index = AppendableSparse(capacity=1)
    for start in range(0, len(bags), 7):
        index.append(bags.take(np.arange(start, min(start + 7, len(bags)))))
    return index


BUILDS: dict[str, Build] = {"sparse": SparseIndex, "appendable_sparse": _appended}


@pytest.fixture(params=sorted(BUILDS))
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param]


def _matrix(bags: Bags, vocabulary: np.ndarray) -> np.ndarray:
    """Returns the bags as a dense float64 matrix over the sorted vocabulary."""
    matrix = np.zeros((len(bags), vocabulary.size))
    owners = np.repeat(np.arange(len(bags)), np.diff(bags.offsets))
    matrix[owners, np.searchsorted(vocabulary, bags.tokens)] = bags.weights
    return matrix


def _products(queries: Bags, bags: Bags) -> np.ndarray:
    vocabulary = np.unique(np.concatenate((queries.tokens, bags.tokens)))
    return _matrix(queries, vocabulary) @ _matrix(bags, vocabulary).T


def _all_pairs(queries: Bags, bags: Bags) -> FloatArray:
    rows = np.tile(np.arange(len(bags), dtype=np.int64), len(queries))
    offsets = np.arange(len(queries) + 1, dtype=np.int64) * len(bags)
    return score_bags(queries, bags, rows, offsets=offsets).reshape(len(queries), len(bags))


def test_search_orders_bags_made_by_hand(build, bags_of):
    index = build(bags_of({1: 0.5, 7: 1}, {}, {0: 1, LAST: 2}, {7: 0.25}, {7: -1}, {3: 1}))
    found = index.search(bags_of({7: 1, 1: 2}, {0: 4, LAST: 0.5, 99: 1}), 6)
    assert found.rows.tolist() == [[0, 3, 1, 2, 5, 4], [2, 0, 1, 3, 4, 5]]
    assert found.scores.tolist() == [[2, 0.25, 0, 0, 0, -1], [5, 0, 0, 0, 0, 0]]
    assert found.counts.tolist() == [6, 6]
    assert (index.kind, index.num_rows, index.parameters()) == ("sparse", 6, {})


def test_search_fills_up_with_the_lowest_rows_that_share_no_token(build, bags_of):
    index = build(bags_of(*({5: 1} if row == 700 else {1: 1} for row in range(900))))
    assert index.search(bags_of({5: 1}), 4).rows.tolist() == [[700, 0, 1, 2]]
    assert index.search(bags_of({5: -1}), 4).rows.tolist() == [[0, 1, 2, 3]]
    assert index.search(bags_of({}), 3).rows.tolist() == [[0, 1, 2]]


def test_final_scores_leave_few_candidates_however_many_are_alike():
    scores = np.full(1000, 0.2, dtype=np.float32)  # such as an offset and no word in common
    scores[[3, 700]] = 0.5
    assert candidates(scores, 4, allowed=None, margin=0.0).tolist() == [0, 1, 2, 3, 4, 700]
    assert candidates(scores, 4, allowed=None, margin=1e-6).size == 1000


def test_search_of_an_empty_index_finds_nothing(build, bags_of):
    found = build(Bags.none(0)).search(bags_of({1: 1}, {}), 5)
    assert found.rows.shape == (2, 0)
    assert found.counts.tolist() == [0, 0]


def test_search_of_empty_bags_scores_zero(build, bags_of):
    found = build(Bags.none(3)).search(bags_of({1: 1}), 10**9)
    assert (found.rows.tolist(), found.scores.tolist()) == ([[0, 1, 2]], [[0, 0, 0]])


def test_search_agrees_with_float64_products(build, zipf_bags):
    bags, queries = zipf_bags(700), zipf_bags(30, seed=1, length=60)
    found = build(bags).search(queries, 25)
    true = _products(queries, bags)
    best = -np.sort(-true, axis=1)[:, :25]
    np.testing.assert_allclose(found.scores, best, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(true, found.rows, axis=1), best, atol=1e-6)


def test_every_way_to_score_gives_the_same_floats(zipf_bags):
    bags, queries = zipf_bags(500), zipf_bags(20, seed=1, length=100)
    by_pair = _all_pairs(queries, bags)
    for index in (SparseIndex(bags), _appended(bags).rows(500)):
        by_token = [index.scores(queries.take(np.array([query]))) for query in range(20)]
        np.testing.assert_array_equal(np.array(by_token), by_pair)


def test_batched_search_equals_single_searches(build, zipf_bags):
    index, queries = build(zipf_bags(300)), zipf_bags(12, seed=1)
    together = index.search(queries, 9)
    for query in range(12):
        alone = index.search(queries.take(np.array([query])), 9)
        np.testing.assert_array_equal(alone.rows[0], together.rows[query])
        np.testing.assert_array_equal(alone.scores[0], together.scores[query])


def test_search_returns_only_allowed_rows(build, zipf_bags):
    bags, queries = zipf_bags(600), zipf_bags(10, seed=2)
    index = build(bags)
    everything = index.search(queries, 600)
    for share in (0.9, 0.05):
        mask = np.random.default_rng(1).random(600) < share
        found = index.search(queries, 10, allowed=bitmap.from_mask(mask))
        for i in range(10):
            assert found.rows[i].tolist() == [row for row in everything.rows[i].tolist() if mask[row]][:10]
    few = index.search(queries, 10, allowed=bitmap.from_rows(np.array([7, 599]), 600))
    assert few.counts.tolist() == [2] * 10
    assert (few.rows[:, 2:] == -1).all()


def test_search_refuses_bad_arguments(build, bags_of):
    index = build(bags_of({1: 1}))
    with pytest.raises(InvalidQueryError, match="k is 0"):
        index.search(bags_of({1: 1}), 0)
    with pytest.raises(InvalidQueryError, match="at least 1 bytes"):
        index.search(bags_of({1: 1}), 1, allowed=np.empty(0, dtype=np.uint8))


def test_appended_search_stays_within_the_bound(bags_of):
    index = AppendableSparse(capacity=1)
    index.append(bags_of({1: 1}, {2: 1}))
    held = index.rows(2)
    index.append(bags_of({1: 5, 2: 5, 3: 5}))
    assert index.search(bags_of({1: 1}), 5, num_rows=2).rows.tolist() == [[0, 1]]
    assert index.search(bags_of({1: 1}), 5).rows.tolist() == [[2, 0, 1]]
    assert held.scores(bags_of({1: 1, 2: 2})).tolist() == [1, 2]
    with pytest.raises(InvalidQueryError, match="num_rows is 4; want 0 to the 3"):
        index.search(bags_of({1: 1}), 1, num_rows=4)


def test_readers_see_whole_rows_while_rows_are_appended(bags_of):
    index, faults, done = AppendableSparse(capacity=1), [], threading.Event()
    query = bags_of({token: 1 for token in range(50)})

    def read() -> None:
        while not done.is_set():
            bound = index.num_rows
            scores = index.rows(bound).scores(query)
            if scores.size != bound or (scores != 50).any():
                faults.append(scores)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        index.append(query)
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []


rows = st.dictionaries(st.sampled_from([0, 1, 2, 3, 2**63, LAST]), st.sampled_from([-1.0, 0.25, 0.5, 1.0]), max_size=5)


@settings(deadline=None)
@given(rows=st.lists(rows, max_size=20), query=rows, k=st.integers(1, 25), barred=st.sets(st.integers(0, 19)))
def test_search_equals_brute_force(rows, query, k, barred):
    def bags_of(*dicts: dict[int, float]) -> Bags:
        tokens = np.array([token for one in dicts for token in one], dtype=np.uint64)
        weights = np.array([weight for one in dicts for weight in one.values()], dtype=np.float32)
        return Bags.of(tokens, weights, np.cumsum([0, *(len(one) for one in dicts)]))

    # The weights are small binary fractions, so sums are exact and ties are real.
    scores = [sum(weight * row.get(token, 0) for token, weight in query.items()) for row in rows]
    allowed = [row for row in range(len(rows)) if row not in barred]
    expected = sorted(allowed, key=lambda row: (-scores[row], row))[:k]
    bits = bitmap.from_rows(np.array(allowed, dtype=np.int64), len(rows))
    for build in BUILDS.values():
        found = build(bags_of(*rows)).search(bags_of(query), k, allowed=bits)
        used = int(found.counts[0])
        assert found.rows[0, :used].tolist() == expected
        assert found.scores[0, :used].tolist() == [scores[row] for row in expected]
