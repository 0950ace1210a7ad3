"""The benchmark of live indexes: what is written to them, their recall, its slice from start to end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from index.flat import FlatIndex
from index.hnsw import HnswIndex, HnswParameters
from index.protocols import SearchOptions
from index_data import K, clustered_queries, clustered_set
from index_live import LiveState, Written, least_setting, states


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return clustered_set(tmp_path_factory.mktemp("live"), 500, 8, num_queries=20)


@pytest.fixture(scope="module")
def base(data):
    return HnswIndex.build(data.vectors, HnswParameters(threads=1))


def test_states_are_shares_of_the_rows_with_the_names_of_the_full_size():
    full = [(one.name, one.fresh, one.deleted) for one in states(500_000)]
    assert full == [("live", 0, 0.0), ("live_2k_fresh", 2_000, 0.01), ("live_20k_fresh", 20_000, 0.05)]
    assert [one.fresh for one in states(500)] == [0, 2, 20]


def test_fresh_rows_are_neither_rows_nor_queries():
    fresh, queries = clustered_queries(50, 8, stream=2), clustered_queries(50, 8)
    assert (fresh @ queries.T).max() < 0.9999


def test_recall_is_that_of_what_is_live(data, base):
    state = LiveState(data, base, Written(name="some", fresh=40, deleted=0.1))
    live = state.live({"ef": 2_000}, threads=1)
    assert (live.counts().fresh, live.counts().deleted) == (40, 50)
    vectors = live.gather(list(live.item_ids()))[0]
    exact = FlatIndex(vectors).search(data.queries, K).scores[:, -1]
    np.testing.assert_array_equal(state.floors(), exact)
    assert state.recall({"ef": 2_000}, state.floors()) == 1.0
    setting = least_setting(state, 0.9)
    assert setting is not None
    assert state.recall(setting, state.floors()) >= 0.9
    hits = live.search(data.queries[:1], 500, [SearchOptions(exact=True)])[0]
    assert any("-" in item_id for item_id in hits.item_ids)


@pytest.mark.slow
def test_quick_run_names_every_ratio_and_writes_its_page(run_script, tmp_path):
    arguments = ("--quick", "--work", tmp_path / "work", "--page", tmp_path / "docs", "--json", "-")
    done = run_script("benchmark_live.py", *arguments)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert set(value) == {"machine", "commit", "rows", "ratios"}
    names = [f"{state.name}{how}_over_raw" for how in ("", "_batched") for state in states(600)]
    assert list(value["ratios"]) == names
    assert all(row["recall_at_100"] >= 0.98 for row in value["rows"])
    (page,) = (tmp_path / "docs").glob("live-*.md")
    assert "live_20k_fresh_batched_over_raw" in page.read_text(encoding="utf-8")
