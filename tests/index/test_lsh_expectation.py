from __future__ import annotations

import logging

import numpy as np
import pytest

from index.flat import FlatIndex
from index.kinds import build_kind, parameters_of
from index.lsh import LshIndex
from index.lsh_parameters import LshParameters


def recall_of(index, vectors, queries, k):
    floors = FlatIndex(vectors).search(queries, k).scores[:, -1:]
    return float((index.search(queries, k).scores >= floors).mean())


@pytest.mark.parametrize("family", ["cross_polytope", "p_stable"])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_expected_recall_is_that_of_queries_never_seen(unit_vectors, caplog, family, spread):
    vectors, queries = np.split(unit_vectors(3200, num_centres=300), [3000])
    vectors = vectors * np.random.default_rng(1).lognormal(0, spread, (3000, 1)).astype(np.float32)
    index = LshIndex.build(vectors, LshParameters(family=family, target_k=20, target_recall=0.9))
    expected = index.parameters()["expected_recall"]
    assert expected == pytest.approx(recall_of(index, vectors, queries, 20), abs=0.04)
    assert expected >= 0.9
    assert not caplog.records


def elsewhere(vectors, num_queries, *, seed):
    """Returns means of four rows of chance, as users are of items they had."""
    mixed = vectors[np.random.default_rng(seed).integers(0, len(vectors), (num_queries, 4))].sum(axis=1)
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def test_queries_that_lie_elsewhere_are_provided_for_where_they_are_given(unit_vectors):
    vectors = unit_vectors(4000, 32, num_centres=300)
    asked, others = elsewhere(vectors, 200, seed=1), elsewhere(vectors, 300, seed=2)
    parameters = LshParameters(target_k=20, target_recall=0.9)
    by_rows = LshIndex.build(vectors, parameters)
    assert recall_of(by_rows, vectors, others, 20) < by_rows.parameters()["expected_recall"] - 0.05
    by_queries = build_kind("lsh", vectors, {"target_k": 20, "target_recall": 0.9}, queries=asked)
    expected = by_queries.parameters()["expected_recall"]
    assert expected >= 0.9
    assert recall_of(by_queries, vectors, others, 20) == pytest.approx(expected, abs=0.04)


def test_target_that_cannot_be_reached_is_warned_of_and_readable(unit_vectors, caplog):
    """Beside a column of 1000, a byte a value tells no row from another."""
    vectors = np.concatenate([unit_vectors(2000), np.full((2000, 1), 1000, dtype=np.float32)], axis=1)
    with caplog.at_level(logging.WARNING):
        index = build_kind("lsh", vectors, {"target_k": 20})
    expected = index.parameters()["expected_recall"]
    assert expected < 0.5
    assert [record.getMessage() for record in caplog.records] == [
        f"lsh (cross_polytope) should find {expected:.3f} of the 20 nearest of its 2000 rows, less than the "
        "target_recall 0.95: choose hnsw, or flat and kd_tree where rows are of unequal length; "
        "center rows that share a large constant part"
    ]


def test_expectation_is_kept_in_a_file_and_lost_with_other_probes(unit_vectors, tmp_path):
    vectors = unit_vectors(600)
    index = LshIndex.build(vectors)
    index.save(tmp_path)
    assert 0.9 < index.parameters()["expected_recall"] <= 1
    loaded = LshIndex.load(tmp_path, vectors, parameters_of("lsh", index.parameters()))
    assert loaded.parameters() == index.parameters()
    assert index.retuned(threads=2).parameters()["expected_recall"] == index.parameters()["expected_recall"]
    assert index.retuned(probes=500).parameters()["expected_recall"] == 0
    before = {name: value for name, value in index.parameters().items() if name != "expected_recall"}
    assert LshIndex.load(tmp_path, vectors, parameters_of("lsh", before)).parameters()["expected_recall"] == 0
