from __future__ import annotations

import numpy as np
import pytest

from index import factory
from index.errors import InvalidIndexConfigError
from index.factory import IndexConfig, build_index


def test_auto_is_flat_for_few_rows_and_a_graph_for_many(unit_vectors, monkeypatch):
    monkeypatch.setattr(factory, "EXACT_ROWS", 200)
    assert build_index(unit_vectors(199), IndexConfig()).kind == "flat"
    assert build_index(unit_vectors(200), IndexConfig()).kind == "hnsw"


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_kind_is_built_as_named(unit_vectors, kind):
    index = build_index(unit_vectors(30), IndexConfig(kind=kind))
    assert (index.kind, index.num_rows, index.dim) == (kind, 30, 16)


def test_parameters_are_those_of_the_config():
    vectors = np.eye(4, dtype=np.float32)
    graph = {"m": 5, "ef_construction": 6, "ef_search": 7, "seed": 8, "threads": 1}
    hnsw = build_index(vectors, IndexConfig(kind="hnsw", parameters=graph))
    assert hnsw.parameters() == graph
    hashes = {"bits": 3, "tables": 2, "probes": 4, "seed": 5}
    assert build_index(vectors, IndexConfig(kind="lsh", parameters=hashes)).parameters() == hashes


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
    ],
)
def test_config_refuses_bad_values(values, message):
    with pytest.raises(InvalidIndexConfigError, match=message):
        IndexConfig(**values)
