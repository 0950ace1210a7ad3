"""Search of a base whose dead rows are dropped from a longer answer, or barred in the search."""

from __future__ import annotations

import numpy as np
import pytest

from index.factory import IndexConfig, build_index
from index.live import LiveIndex
from index.protocols import SearchOptions


@pytest.fixture
def live(unit_vectors) -> LiveIndex:
    vectors = unit_vectors(400, 16)
    base = build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1}))
    return LiveIndex([f"{row:03}" for row in range(400)], vectors, base, sequence=0)


@pytest.mark.parametrize("num_dead", [1, 30, 200])  # dropped, dropped, barred
def test_deleted_rows_are_left_out_of_full_results(live, unit_vectors, num_dead):
    queries = unit_vectors(6, 16, seed=1)
    dead = [f"{row:03}" for row in np.random.default_rng(0).permutation(400)[:num_dead]]
    live.apply([], [], deleted=dead, sequence=1)
    exact = live.search(queries, 50, [SearchOptions(exact=True)] * 6)
    for hits, truth in zip(live.search(queries, 50), exact, strict=True):
        assert len(hits.item_ids) == 50
        assert not set(dead) & set(hits.item_ids)
        assert len(set(hits.item_ids) & set(truth.item_ids)) >= 48


def test_query_whose_neighbors_are_dead_gets_the_next_ones(live, unit_vectors):
    query = unit_vectors(2, 16, seed=1)
    near = live.search(query[:1], 30)[0].item_ids
    live.apply([], [], deleted=near, sequence=1)  # all that a longer answer of 10 holds, and few of all
    found, other = live.search(query, 10)
    assert found.item_ids == live.search(query[:1], 10, [SearchOptions(exact=True)])[0].item_ids
    assert len(other.item_ids) == 10
    assert (
        live.search(query[:1], 400)[0].item_ids == live.search(query[:1], 1000, [SearchOptions(exact=True)])[0].item_ids
    )
