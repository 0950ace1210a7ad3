from __future__ import annotations

import math

import numpy as np
import pytest

from index.errors import InvalidIndexConfigError
from index.lsh import LshIndex
from index.lsh_families import cross_polytope_collision, hyperplane_collision, p_stable_collision
from index.lsh_parameters import LshParameters, default_bits
from index.lsh_rules import for_data
from index.lsh_sample import Sample


@pytest.mark.parametrize(
    "values",
    [
        {"bits": -1},
        {"bits": 25},
        {"tables": -1},
        {"tables": 257},
        {"probes": -1},
        {"probes": 2**20 + 1},
        {"threads": 1025},
        {"tables": 17, "bits": 24},
        {"seed": -1},
        {"min_hits": 256},
        {"width": -0.5},
        {"functions": 33},
        {"family": "minhash"},
        {"target_recall": 1.0},
        {"target_k": 0},
    ],
)
def test_parameters_out_of_range_are_refused(values):
    with pytest.raises(InvalidIndexConfigError, match=next(iter(values))):
        LshParameters(**{"bits": 4, "tables": 2, "probes": 1, "seed": 0, **values})


@pytest.mark.parametrize(("family", "functions"), [("hyperplane", 5), ("cross_polytope", 9)])
def test_functions_that_contradict_bits_are_refused(family, functions):
    with pytest.raises(InvalidIndexConfigError, match=f"functions is {functions} with 8 bits of {family}"):
        LshParameters(family=family, bits=8, functions=functions)


def test_buckets_hold_32_rows_of_evenly_spread_data():
    assert [default_bits(n) for n in (0, 1, 64, 1 << 15, 500_000)] == [1, 1, 1, 10, 14]


@pytest.mark.parametrize("family", ["hyperplane", "cross_polytope", "p_stable"])
def test_without_data_tables_follow_from_the_closed_forms(family):
    rule = LshParameters(family=family, target_recall=0.9).for_rows(10_000, 64, cosine=0.7)
    single = {
        "hyperplane": hyperplane_collision(0.7) ** rule.bits,
        "cross_polytope": cross_polytope_collision(0.7, 1 << (rule.bits - 1)) if rule.bits < 8 else 0.0,
        "p_stable": p_stable_collision(math.sqrt(0.6), 1.0) ** rule.functions,
    }
    if family == "cross_polytope" and rule.bits >= 8:
        single[family] = cross_polytope_collision(0.7, 64) * cross_polytope_collision(0.7, 1 << (rule.bits - 8))
    p = single[family]
    assert 1 - (1 - p) ** rule.tables >= 0.9
    assert 1 - (1 - p) ** (rule.tables - 1) < 0.9
    assert (rule.tables <= 48, rule.probes) == (True, 2 * rule.tables)


def test_rule_without_data_reaches_its_target_for_neighbors_at_its_cosine():
    generator = np.random.default_rng(0)
    queries, others, noise = (generator.standard_normal((n, 32)) for n in (400, 400, 4000))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    others -= (others * queries).sum(axis=1, keepdims=True) * queries
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    neighbors = 0.7 * queries + math.sqrt(1 - 0.7**2) * others
    index = LshIndex.empty(32, LshParameters(target_recall=0.9, target_k=1), capacity=4400)
    index.append(np.concatenate([neighbors, noise]).astype(np.float32))
    found = index.search(queries.astype(np.float32), 1).rows[:, 0]
    assert np.mean(found == np.arange(400)) > 0.855  # .9 less three sigma of 400 draws


def test_rule_grows_with_rows_and_target():
    small, large = (LshParameters().for_rows(n, 64) for n in (1000, 1_000_000))
    assert small.bits < large.bits
    few, many = (LshParameters(bits=8, target_recall=t).for_rows(1000, 64) for t in (0.9, 0.99))
    assert few.tables < many.tables


def test_given_values_stay_and_the_rest_is_chosen(unit_vectors):
    vectors = unit_vectors(800, 24)
    chosen = for_data(vectors, LshParameters(tables=5, min_hits=2, rerank=77, seed=3))
    assert (chosen.tables, chosen.min_hits, chosen.rerank, chosen.seed) == (5, 2, 77, 3)
    assert chosen.family == "cross_polytope"
    assert all((chosen.bits, chosen.functions, chosen.probes >= 5))
    assert for_data(vectors, chosen) == chosen
    assert for_data(vectors, LshParameters(tables=5, min_hits=2, rerank=77, seed=3)) == chosen


def test_a_higher_target_takes_more_probes(unit_vectors):
    vectors = unit_vectors(2000, 24, num_centres=200)
    low, high = (for_data(vectors, LshParameters(bits=6, tables=8, min_hits=1, target_recall=t)) for t in (0.7, 0.98))
    assert low.probes < high.probes


@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 40])
def test_rule_holds_for_a_handful_of_rows(unit_vectors, num_rows):
    for family in ("cross_polytope", "hyperplane", "p_stable"):
        index = LshIndex.build(unit_vectors(40)[:num_rows], LshParameters(family=family))
        assert index.search(unit_vectors(3, seed=1), 50).counts.tolist() == [num_rows] * 3


def test_rule_holds_for_equal_rows():
    vectors = np.ones((100, 4), dtype=np.float32)
    for family in ("cross_polytope", "hyperplane", "p_stable"):
        found = LshIndex.build(vectors, LshParameters(family=family)).search(vectors[:1], 100)
        assert found.rows.tolist() == [list(range(100))]


def test_sample_holds_the_true_neighbors_of_its_queries():
    # Rows on a quarter circle: the neighbors of a row are the rows beside it.
    angles = np.linspace(0, np.pi / 2, 400)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sample = Sample.draw(vectors, 4, seed=0)
    assert sample.neighbors.shape == (25, 4, 2)
    step = angles[1]
    turns = np.abs(np.arccos(np.clip(np.einsum("qd,qnd->qn", sample.queries, sample.neighbors), -1, 1)))
    assert (turns < 4.1 * step + 1e-3).all()
    assert sample.num_rows == 400
    assert step < sample.distance < 4.1 * step


def test_sample_of_copies_asks_beside_them(unit_vectors):
    """Copies share the bucket of their row: any parameters would find them."""
    vectors = np.repeat(unit_vectors(30), 20, axis=0)
    sample = Sample.draw(vectors, 10, seed=0)
    assert (sample.floors < 1 - 1e-4).all()
    assert not sample.owns.any()
