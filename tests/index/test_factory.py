from __future__ import annotations

import numpy as np
import pytest

from index import tuning
from index.errors import InvalidIndexConfigError
from index.factory import IndexConfig, build_chosen, build_index


def test_auto_is_flat_for_few_rows_and_tuned_for_many(unit_vectors, monkeypatch):
    monkeypatch.setattr(tuning, "EXACT_ROWS", 400)
    monkeypatch.setattr(tuning, "GRIDS", {kind: tuning.GRIDS[kind] for kind in ("hnsw", "flat")})
    few, many = (build_chosen(unit_vectors(n, 8), IndexConfig(target_recall=0.9)) for n in (399, 400))
    assert few.index.kind == "flat"
    assert few.tuned is not None
    assert len(few.tuned.tried) == 1
    assert many.tuned is not None
    assert many.tuned.reached
    assert many.index is many.tuned.index
    assert {"flat", "hnsw"} <= {trial.kind for trial in many.tuned.tried}


def test_auto_passes_its_goal_on(unit_vectors, monkeypatch):
    monkeypatch.setattr(tuning, "GRIDS", {"flat": tuning.GRIDS["flat"]})
    tuned = build_chosen(unit_vectors(400, 8), IndexConfig(target_recall=0.5, memory_budget_mb=1e-5)).tuned
    assert tuned is not None
    assert (tuned.goal.target_recall, tuned.goal.memory_budget_bytes, tuned.reached) == (0.5, 10, False)


def test_a_kind_that_is_named_is_not_tuned(unit_vectors):
    assert build_chosen(unit_vectors(30), IndexConfig(kind="flat")).tuned is None


def test_untuned_is_flat_for_few_rows_and_a_graph_for_many():
    assert IndexConfig(target_recall=0.9).untuned(19_999) == IndexConfig(kind="flat")
    assert IndexConfig().untuned(20_000) == IndexConfig(kind="hnsw")
    named = IndexConfig(kind="lsh", parameters={"tables": 2})
    assert named.untuned(20_000) is named


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_kind_is_built_as_named(unit_vectors, kind):
    index = build_index(unit_vectors(30), IndexConfig(kind=kind))
    assert (index.kind, index.num_rows, index.dim) == (kind, 30, 16)


def test_parameters_are_those_of_the_config():
    vectors = np.eye(4, dtype=np.float32)
    graph = {"m": 5, "ef_construction": 6, "ef_search": 7, "seed": 8, "threads": 1, "codes": "float32"}
    hnsw = build_index(vectors, IndexConfig(kind="hnsw", parameters=graph))
    assert hnsw.parameters() == graph
    hashes = {"family": "hyperplane", "bits": 3, "tables": 2, "probes": 4, "seed": 5}
    lsh = build_index(vectors, IndexConfig(kind="lsh", parameters=hashes))
    assert hashes.items() <= lsh.parameters().items()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "annoy"}, "kind is 'annoy'; want one of auto"),
        ({"kind": "hnsw", "parameters": {"m": 0}}, "m is 0"),
        ({"kind": "lsh", "parameters": {"bits": 99}}, "bits is 99"),
        ({"kind": "hnsw", "parameters": {"ef_search": -3}}, "ef_search is -3"),
        ({"kind": "hnsw", "parameters": {"links": 3}}, "'links' is no parameter of kind hnsw"),
        ({"kind": "hnsw", "parameters": {"m": "many"}}, "m is 'many'; want int"),
        ({"parameters": {"m": 5}}, "without a kind"),
        ({"target_recall": 0.0}, "target_recall is 0.0"),
        ({"memory_budget_mb": -1.0}, "memory_budget_mb is -1.0"),
        ({"kind": "flat", "target_recall": 0.9}, "kind is 'flat'; leave them out"),
        ({"kind": "hnsw", "memory_budget_mb": 5.0}, "kind is 'hnsw'; leave them out"),
    ],
)
def test_config_refuses_bad_values(values, message):
    with pytest.raises(InvalidIndexConfigError, match=message):
        IndexConfig(**values)
