"""The index benchmark: its data, settings of equal recall, ratios of kept figures, its slice from start to end."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import index_data
from index_contenders import Contender, Opened, contenders
from index_data import clustered, clustered_queries, clustered_set, divided_set
from index_measure import Effort, batched_rates, curve, least, single_rates
from index_measure import entrant as measured_entrant
from index_model import model_set
from index_page import BUILD_HEADER, SPEED_HEADER, build_rows, page, speed_rows
from index_ratios import ratios
from index_rivals import ladder
from index_run import OUR_GRAPH, OUR_LSH
from recall.errors import DataError


def test_clustered_rows_are_of_length_one_and_near_their_centre():
    rows = clustered(3_000, 32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    products = rows @ rows.T
    np.fill_diagonal(products, 0)
    # A row is centre + noise / 2 with both of variance 1 a coordinate: two of one centre have cosine 1 / 1.25.
    assert 0.6 < np.median(products.max(axis=1)) < 0.95
    assert abs(np.median(products)) < 0.01


def test_clustered_queries_come_from_the_same_centres_and_are_no_rows():
    rows, queries = clustered(4_000, 32), clustered_queries(100, 32)
    best = (queries @ rows.T).max(axis=1)
    assert 0.6 < np.median(best) < 0.95
    assert best.max() < 0.9999
    np.testing.assert_array_equal(clustered(10, 4, seed=3), clustered(10, 4, seed=3))
    assert not np.array_equal(clustered(10, 4, seed=3), clustered(10, 4, seed=4))


def test_recall_counts_rows_that_tie_with_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(index_data, "K", 2)
    vectors = np.array([[1, 0], [0.6, 0.8], [0.6, 0.8], [0, 1]], dtype=np.float32)
    data = index_data.queried_set(tmp_path, "hand", vectors, np.array([[2, 0]], dtype=np.float32))
    assert data.truth.tolist() == [[0, 1]]
    for rows, recall in (([0, 1], 1.0), ([2, 0], 1.0), ([0, 3], 0.5), ([3, -1], 0.0), ([0, -1], 0.5)):
        assert data.recall(np.array([rows]), 2) == recall
    assert data.recall(np.array([[2, 0]]), 1) == 0.0


def test_set_is_made_once(tmp_path):
    made = clustered_set(tmp_path, 300, 8, num_queries=5)
    assert (made.vectors.shape, made.queries.shape, made.truth.shape) == ((300, 8), (5, 8), (5, 100))
    written = (made.folder / "vectors.npy").stat().st_mtime_ns
    again = clustered_set(tmp_path, 300, 8, num_queries=5)
    assert (made.folder / "vectors.npy").stat().st_mtime_ns == written
    np.testing.assert_array_equal(made.truth, again.truth)


def test_divided_set_takes_its_queries_out(tmp_path):
    vectors = clustered(400, 8)
    made = divided_set(tmp_path, "mine", vectors, num_queries=40)
    assert (len(made.vectors), len(made.queries)) == (360, 40)
    assert (made.queries @ made.vectors.T).max() < 0.99999
    with pytest.raises(DataError, match="199 vectors; want 200"):
        divided_set(tmp_path, "few", vectors[:199])


def test_model_set_reads_a_file_or_a_model_with_its_data(tmp_path):
    np.save(tmp_path / "items.npy", clustered(300, 8))
    made = model_set(tmp_path, tmp_path / "items.npy", None)
    assert made.name.startswith("items-")
    np.save(tmp_path / "wrong.npy", np.zeros(3, dtype=np.float32))
    with pytest.raises(DataError, match=r"float32 \[3\]"):
        model_set(tmp_path, tmp_path / "wrong.npy", None)
    with pytest.raises(DataError, match="--data"):
        model_set(tmp_path, tmp_path, None)


def test_contenders_that_are_left_out_are_named_and_unknown_ones_refused():
    everyone, notes = contenders()
    names = [one.name for one in everyone]
    rest, more = contenders(without=[OUR_GRAPH, "faiss HNSW"])
    assert [one.name for one in rest] == [name for name in names if name not in (OUR_GRAPH, "faiss HNSW")]
    assert more == [*notes, f"{OUR_GRAPH} is left out as asked", "faiss HNSW is left out as asked"]
    with pytest.raises(DataError, match=r"'index ghost'; want one of index flat, .*faiss HNSW"):
        contenders(without=["index ghost"])


def test_ladder_climbs_in_even_steps():
    assert ladder(1, 4, step=2) == (1, 2, 4)
    assert ladder(100, 110)[0] == 100
    steps = np.array(ladder(100, 2_000))
    assert steps[-1] == 2_000
    assert (steps[1:] / steps[:-1]).max() < 1.08


def test_curve_keeps_coarse_values_and_spreads_the_finest():
    axes = {"rerank": (10, 20), "probes": (1, 2, 3, 4, 5)}
    assert curve(axes, {"rerank": 20, "probes": 4}, points=3) == [
        {"rerank": 20, "probes": 1},
        {"rerank": 20, "probes": 3},
        {"rerank": 20, "probes": 5},
    ]
    assert curve({}, {}, points=3) == [{}]


class ScanOfSome:
    """Exact search among the first rows only; both parameters together say how many thousandths."""

    def __init__(self, data):
        self.data = data

    def axes(self):
        return {"coarse": (1, 2), "fine": tuple(range(1, 1001))}

    def at(self, setting, *, threads):
        count = max(setting["coarse"] * setting["fine"] * len(self.data.vectors) // 1000, 100)
        return lambda queries, k: np.argsort(-(queries @ self.data.vectors[:count].T), axis=1)[:, :k]


def test_least_setting_is_found_for_each_coarse_value(tmp_path):
    data = clustered_set(tmp_path, 1_000, 4, num_queries=20)
    scan = ScanOfSome(data)
    who = Contender(name="scan", side="ours", family="exact", version="", build=lambda v: scan, load=lambda f, v: scan)
    found = least(Opened(contender=who, built=scan, facts={}), data, 0.95)
    assert [one.setting["coarse"] for one in found] == [1, 2]
    for one in found:
        assert one.recall_at_100 >= 0.95
        below = {**one.setting, "fine": one.setting["fine"] - 1}
        assert data.recall(scan.at(below, threads=1)(data.queries, 100), 100) < 0.95
    assert abs(found[0].setting["fine"] - 2 * found[1].setting["fine"]) <= 2


class Paced(ScanOfSome):
    """Keeps how many queries each call held, and takes a while for each call."""

    def __init__(self, data, seconds):
        super().__init__(data)
        self.seconds, self.calls = seconds, []

    def at(self, setting, *, threads):
        search = super().at(setting, threads=threads)

        def paced(queries, k):
            self.calls.append(len(queries))
            time.sleep(self.seconds)
            return search(queries, k)

        return paced


@pytest.mark.parametrize(
    ("seconds", "call_seconds", "least", "most"),
    [(0.0, math.inf, 300, 300), (0.0, 30.0, 300, 300), (0.04, 0.01, 100, 100), (0.04, 0.08, 100, 200)],
)
def test_slow_point_has_fewer_queries_but_never_less_than_the_least(tmp_path, seconds, call_seconds, least, most):
    data = clustered_set(tmp_path, 400, 4, num_queries=300)
    slow, setting = Paced(data, seconds), {"coarse": 2, "fine": 400}
    who = Contender(name="slow", side="ours", family="exact", version="", build=lambda v: slow, load=lambda f, v: slow)
    one = measured_entrant(Opened(contender=who, built=slow, facts={}), data, setting, call_seconds=call_seconds)
    assert least <= one.num_queries <= most
    found = slow.at(setting, threads=1)(data.queries[: one.num_queries], 100)
    assert (one.recall_at_10, one.recall_at_100) == (data.recall(found, 10), data.recall(found, 100))
    slow.calls.clear()
    (rates,) = batched_rates([one], data, Effort(rounds=2, seconds=0.0))
    assert slow.calls == [one.num_queries] * 3  # the first warms up
    assert len(rates.per_second) == 2
    slow.calls.clear()
    single_rates([one], data, Effort(rounds=2, seconds=0.0))
    assert slow.calls == [1, 1, 1]


def entrant(contender, target, single, *, batched=1.0, side="theirs", family="graph"):
    return {
        "contender": contender, "target": target, "side": side, "family": family, "version": "lib 1, more",
        "setting": {"ef": 7}, "recall_at_10": 0.5, "recall_at_100": target or 1.0,
        "single_per_second": single, "single_rounds": [single, single, single * 2],
        "batched_per_second": batched, "batched_rounds": [batched, batched, batched],
        "build_seconds": 61.25, "build_cores": 1.5, "file_bytes": 200, "parameters": {},
    }  # fmt: skip


@pytest.fixture
def result():
    entrants = [
        entrant(OUR_GRAPH, 0.98, 90.0, batched=30.0, side="ours"), entrant(OUR_GRAPH, 0.95, 100.0, side="ours"),
        entrant("faiss HNSW", 0.98, 60.0, batched=40.0), entrant("faiss HNSW", 0.95, 80.0),
        entrant("hnswlib", 0.98, 120.0), entrant("faiss IndexFlat", None, 2.0, family="exact"),
        entrant("faiss IndexLSH 4x", 0.95, 5.0, family="hashed"),
        entrant("faiss IndexLSH 8x", 0.95, 10.0, family="hashed"),
        entrant(OUR_LSH, 0.95, 40.0, side="ours", family="hashed"),
        entrant("index ivf_pq", 0.95, 40.0, side="ours", family="quantised"),
    ]  # fmt: skip
    step = {"date": "2020-02-02", "machine": "2 cores"}
    memory = {
        OUR_GRAPH: {"anonymous_bytes": 300, "mapped_bytes": 100, "resident_bytes": 0},
        "index ivf_pq": {"anonymous_bytes": 90, "mapped_bytes": 900, "resident_bytes": 40},
    }
    return {
        "set": "shop-5", "num_rows": 5, "dim": 10, "duel": {**step, "entrants": entrants},
        "curve": {**step, "entrants": []}, "memory": {**step, **memory},
        "inserts": {**step, "single_microseconds": 12.5, "hundreds_microseconds": 2.5},
    }  # fmt: skip


def test_ratios_compare_at_equal_recall_with_the_best_of_the_others(result):
    assert ratios(result) == {
        "single_over_best_raw": 90 / 120,
        "batched_over_raw_faiss": 30 / 40,
        "lsh_over_flat": 20.0,
        "lsh_over_faiss_lsh_reranked": 4.0,
        "lsh_over_hnsw": 0.5,
        "memory_over_vectors_and_graph": 400 / (5 * 10 * 4 + 200),
        "lsh_insert_microseconds_single": 12.5,
        "lsh_insert_microseconds_hundreds": 2.5,
        "pq_resident_over_vectors": 40 / 200,
        "pq_anonymous_over_vectors": 90 / 200,
        "pq_recall_at_100": 0.95,
    }


def test_graph_is_also_compared_with_inverted_lists_of_faiss(result):
    theirs = dict(next(row for row in result["duel"]["entrants"] if row["contender"] == "faiss HNSW"))
    result["duel"]["entrants"].append({**theirs, "contender": "faiss IVF", "family": "lists", "target": 0.98})
    before = ratios(result)["single_over_best_raw"]
    assert ratios(result)["single_over_faiss_ivf"] == 90 / theirs["single_per_second"]
    assert ratios(result)["single_over_best_raw"] == before == 90 / 120


def test_ratio_is_left_out_where_a_side_is_missing(result):
    rows = result["duel"]["entrants"]
    result["duel"]["entrants"] = [row for row in rows if row["contender"] != OUR_LSH and row["target"] != 0.98]
    result["inserts"] = {"date": "2020-02-02"}
    assert set(ratios(result)) == {
        "memory_over_vectors_and_graph", "pq_resident_over_vectors", "pq_anonymous_over_vectors", "pq_recall_at_100",
    }  # fmt: skip


def test_ratio_is_the_middle_of_those_of_each_round(result):
    ours, *_ = result["duel"]["entrants"]
    ours["single_rounds"] = [60.0, 240.0, 30.0]  # beside 120, 120 and 240
    assert ratios(result)["single_over_best_raw"] == 0.5


def test_page_has_exact_search_in_each_part_and_the_fastest_first(result):
    rows = list(speed_rows(result))
    assert {len(row) for row in rows} == {len(SPEED_HEADER)}
    assert [row[:2] for row in rows if row[0] == "0.98"] == [
        ("0.98", "hnswlib"),
        ("0.98", OUR_GRAPH),
        ("0.98", "faiss HNSW"),
        ("0.98", "faiss IndexFlat"),
    ]
    assert {len(row) for row in build_rows(result)} == {len(BUILD_HEADER)}
    tree = {"dim": 2, "num_rows": 9, "k": 3, "tree_per_second": 8.0, "flat_per_second": 4.0, "tree_over_flat": 2.0,
            "tree_build_seconds": 0.5}  # fmt: skip
    told = {"ratios": {"lsh_over_flat": 20.0}, "command": "it", "commit": "0123456789abcdef"}
    lines = page([result], [tree], **told).splitlines()
    assert "Machine: 2 cores. Libraries: lib 1." in lines
    assert "| lsh_over_flat | 20 |  |" in lines
    assert "| lsh_over_flat | 20 | >= 12 |" in page([result | {"dim": 64}], [], **told)
    assert "| 2 | 8 | 4 | 2 | 0.5 |" in lines
    assert [line for line in lines if line.startswith("## ")] == [
        "## Ratios", "## shop-5: 5 vectors of 10 dimensions",
        "## Trees: 9 clustered vectors, 3 neighbors, both exact, single",
    ]  # fmt: skip


@pytest.mark.slow
def test_quick_run_is_whole_and_goes_on_where_it_was_stopped(run_script, tmp_path):
    def run():
        arguments = ("--quick", "--work", tmp_path / "work", "--page", tmp_path / "docs", "--json", "-")
        done = run_script("benchmark_index.py", *arguments, "--without", "faiss IVF, faiss IndexLSH 2x")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    first, _ = run()
    assert set(first) == {"machine", "commit", "rows", "ratios"}
    names = {row["contender"] for row in first["rows"] if row["step"] == "duel"}
    assert {"index flat", OUR_GRAPH, OUR_LSH, "faiss IndexFlat", "faiss HNSW"} <= names
    assert not {"faiss IVF", "faiss IndexLSH 2x"} & names
    assert {"single_over_best_raw", "batched_over_raw_faiss", "lsh_over_flat", "lsh_over_hnsw"} <= set(first["ratios"])
    (lost,) = (tmp_path / "work" / "quick").glob("clustered-*/results/inserts-*.json")
    lost.unlink()
    again, messages = run()
    assert [line for line in messages.splitlines() if "measuring" in line] == ["clustered-16-600: measuring inserts"]
    assert [row for row in again["rows"] if row["step"] == "duel"] == [
        row for row in first["rows"] if row["step"] == "duel"
    ]
    (written,) = (tmp_path / "docs").glob("index-*.md")
    assert "clustered-16-600" in written.read_text()


def test_examples_of_the_index_page_run():
    page_text = (Path(__file__).resolve().parents[2] / "docs" / "index.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page_text, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/index.md", "exec"), names)
    assert names["hits"].item_ids[0] == "new"
    assert names["found"].rows[:, 0].tolist() == [0, 1]
    assert all(int(item_id[-1]) % 2 for item_id in names["few"].item_ids)
