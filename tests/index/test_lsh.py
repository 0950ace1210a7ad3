from __future__ import annotations

import math

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, InvalidQueryError
from index.flat import FlatIndex
from index.lsh import HyperplaneLsh, LshParameters, candidate_probability, collision_probability
from index.lsh_kernels import probed_buckets


def _pair(angle: float) -> np.ndarray:
    return np.array([[1, 0], [math.cos(angle), math.sin(angle)]], dtype=np.float32)


@pytest.mark.parametrize("degrees", [10, 45, 90, 150])
def test_one_bit_collides_with_probability_one_minus_angle_over_pi(degrees):
    # 200 seeds of 100 tables are 20,000 planes: three standard deviations are at most 3 * sqrt(.25 / 20000) = .011.
    angle = math.radians(degrees)
    agree = [
        np.mean(np.equal(*HyperplaneLsh(2, LshParameters(bits=1, tables=100, probes=1, seed=seed)).codes(_pair(angle))))
        for seed in range(200)
    ]
    assert collision_probability(math.cos(angle)) == pytest.approx(1 - degrees / 180)
    assert np.mean(agree) == pytest.approx(1 - degrees / 180, abs=0.011)


def test_tables_are_the_or_of_ands():
    # One draw is "the pair shares a bucket in some of 3 tables of 4 bits"; 2,000 draws, three sigma = .034.
    angle, bits, tables = math.radians(40), 4, 3
    shared = []
    for seed in range(25):
        codes = HyperplaneLsh(2, LshParameters(bits=bits, tables=tables * 80, probes=1, seed=seed)).codes(_pair(angle))
        shared.append(np.equal(*codes).reshape(80, tables).any(axis=1))
    p = (1 - 40 / 180) ** bits
    assert candidate_probability(math.cos(angle), bits=bits, tables=tables) == pytest.approx(1 - (1 - p) ** tables)
    assert np.mean(shared) == pytest.approx(1 - (1 - p) ** tables, abs=0.034)


def test_probes_come_in_order_of_the_squared_margins_crossed():
    generator = np.random.default_rng(0)
    margins = generator.standard_normal((3, 2, 6)).astype(np.float32)
    codes = generator.integers(0, 64, (3, 2)).astype(np.int32)
    buckets = probed_buckets(codes, margins, 64)
    for i, table in np.ndindex(3, 2):
        flips = buckets[i, table] ^ codes[i, table]
        costs = [sum(float(margins[i, table, b]) ** 2 for b in range(6) if flip >> b & 1) for flip in flips.tolist()]
        assert sorted(flips.tolist()) == list(range(64))
        np.testing.assert_allclose(costs, sorted(costs))


def test_more_probes_find_more(unit_vectors):
    vectors, queries = np.split(unit_vectors(3100, 32), [3000])
    truth = FlatIndex(vectors).search(queries, 10).rows
    recalls = []
    for probes in (1, 8, 64):
        index = HyperplaneLsh(32, LshParameters(bits=8, tables=2, probes=probes))
        index.append(vectors)
        found = index.search(queries, 10).rows
        recalls.append(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)]))
    assert recalls == sorted(recalls)
    assert recalls[2] > 0.95  # against exact search
    assert recalls[0] < recalls[2]


def test_rule_reaches_its_target_for_neighbors_at_its_cosine():
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((400, 32))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    others = generator.standard_normal((400, 32))
    others -= (others * queries).sum(axis=1, keepdims=True) * queries
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    neighbors = 0.7 * queries + math.sqrt(1 - 0.7**2) * others
    noise = generator.standard_normal((4000, 32))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = np.concatenate([neighbors, noise]).astype(np.float32)
    index = HyperplaneLsh(32, LshParameters.for_target(len(vectors), target_recall=0.9, cosine=0.7))
    index.append(vectors)
    found = index.search(queries.astype(np.float32), 1).rows[:, 0]
    assert np.mean(found == np.arange(400)) > 0.855  # .9 less three sigma of 400 draws


def test_rule_grows_with_rows_and_target():
    small, large = LshParameters.for_target(1000), LshParameters.for_target(1_000_000)
    assert small.bits < large.bits
    assert LshParameters.for_target(1000, target_recall=0.99).tables > small.tables


@pytest.mark.parametrize("values", [{"bits": -1}, {"bits": 25}, {"tables": -1}, {"probes": 17}, {"seed": -1}])
def test_parameters_out_of_range_are_refused(values):
    with pytest.raises(InvalidIndexConfigError, match=f"{next(iter(values))} is"):
        LshParameters(**{"bits": 4, "tables": 2, "probes": 1, "seed": 0, **values})


def test_rule_refuses_a_target_outside_zero_to_one():
    with pytest.raises(InvalidIndexConfigError, match="target_recall is 1"):
        LshParameters.for_target(10, target_recall=1)


def test_row_by_row_equals_all_at_once(unit_vectors):
    vectors, queries = unit_vectors(300), unit_vectors(10, seed=1)
    parameters = LshParameters(bits=5, tables=4, probes=3)
    whole, parts = HyperplaneLsh(16, parameters), HyperplaneLsh(16, parameters, capacity=1)
    whole.append(vectors)
    for row in range(300):
        parts.append(vectors[row : row + 1])
    np.testing.assert_array_equal(whole.search(queries, 9).rows, parts.search(queries, 9).rows)


def test_search_stays_within_the_bound(unit_vectors):
    vectors = unit_vectors(200)
    index = HyperplaneLsh(16, LshParameters(bits=4, tables=3, probes=2), capacity=50)
    index.append(vectors)
    early = HyperplaneLsh(16, LshParameters(bits=4, tables=3, probes=2))
    early.append(vectors[:60])
    found = index.search(vectors[150:], 10, num_rows=60)
    np.testing.assert_array_equal(found.rows, early.search(vectors[150:], 10).rows)
    with pytest.raises(InvalidQueryError, match="num_rows is -1"):
        index.search(vectors, 1, num_rows=-1)


def test_far_query_is_never_short():
    # Every row is opposite to the query, so no near bucket holds any.
    vectors = np.tile(np.array([[-1, 0.01, 0, 0]], dtype=np.float32), (50, 1))
    index = HyperplaneLsh(4, LshParameters(bits=12, tables=1, probes=1))
    index.append(vectors)
    query = np.array([[1, 0, 0, 0]], dtype=np.float32)
    assert index.search(query, 5).rows.tolist() == [[0, 1, 2, 3, 4]]
    assert index.search(query, 5, allowed=bitmap.from_rows(np.array([7, 9]), 50)).counts.tolist() == [2]
