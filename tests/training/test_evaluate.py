"""Evaluation on a checkerboard, where content finds everything, popularity can be counted, and chance is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from index.factory import IndexConfig
from recall.errors import ArtifactError, ConfigError, DataError, UnavailableError
from recall.live.load import load
from recall.live.rebuild import rebuild
from recall.tables import DataFolder
from training.config import TrainConfig
from training.evaluate import EvaluationRequest, evaluate
from training.report import Report
from training.split import carve_validation
from training.train import RunOptions, train

# Of each group, a user has had 14 items in train and validation, so 20 of its 34 are left.
LEFT_IN_GROUP = 20


def _value(report: Report, channel: str, k: int, *, metric: str = "recall", part: str = "all") -> float:
    (value,) = [
        row.value for row in report.rows if (row.channel, row.slice, row.metric, row.k) == (channel, part, metric, k)
    ]
    return value


# Baselines, whose answers are known


def test_content_finds_everything_of_a_users_group(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(5, LEFT_IN_GROUP), channels=("content",)))
    assert _value(report, "content", LEFT_IN_GROUP) == 1.0
    for part in ("warm_items", "cold_items", "warm_users"):
        assert _value(report, "content", LEFT_IN_GROUP, part=part) == 1.0
    assert _value(report, "content", 5) < 1.0


def test_content_finds_cold_items_among_the_cold(checkerboard: Path) -> None:
    request = EvaluationRequest(data=checkerboard, ks=(4,), channels=("content", "popularity"), candidates="cold-split")
    report = evaluate(request)
    assert _value(report, "content", 4) == 1.0
    # Nothing cold was ever counted, so popularity ranks by id: the four cold items of group a come first.
    assert _value(report, "popularity", 4) == 0.5


def test_popularity_is_what_counting_gives(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(10,), channels=("popularity",)))
    table = pl.read_parquet(checkerboard / "interactions.parquet")
    counts = dict(table.filter(pl.col("split") == "train").group_by("item_id").len().iter_rows())
    items = pl.read_parquet(checkerboard / "items.parquet")["item_id"].to_list()
    values = []
    for (_,), rows in table.group_by("user_id"):
        had = set(rows.filter(pl.col("split") != "test")["item_id"])
        wanted = set(rows.filter(pl.col("split") == "test")["item_id"])
        ranked = sorted((item for item in items if item not in had), key=lambda item: (-counts.get(item, 0), item))
        values.append(len(wanted & set(ranked[:10])) / len(wanted))
    assert _value(report, "popularity", 10) == pytest.approx(np.mean(values))


def test_random_finds_about_its_share(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(27,), channels=("random",)))
    # 27 of the 54 items that a user has not had: half of 4 wanted ones for 48 users, give or take .036.
    assert _value(report, "random", 27) == pytest.approx(0.5, abs=0.11)


def test_without_a_source_all_baselines_run_and_no_model_is_named(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(5,)))
    assert {row.channel for row in report.rows} == {"content", "popularity", "random"}
    assert (report.model_id, report.data, report.split) == ("", checkerboard.name, "test")


# The model


@pytest.mark.slow
def test_model_ranks_a_users_group_first(trained: Any) -> None:
    report = evaluate(EvaluationRequest(data=trained.data, model=trained.model, ks=(LEFT_IN_GROUP,)))
    assert report.model_id == trained.result.model_id
    assert {row.channel for row in report.rows} == {"served", "exact", "content", "popularity", "random"}
    chance = LEFT_IN_GROUP / 54
    assert _value(report, "served", LEFT_IN_GROUP, part="warm_items") > 2 * chance
    assert _value(report, "served", LEFT_IN_GROUP) > _value(report, "popularity", LEFT_IN_GROUP)


@pytest.mark.slow
def test_model_tells_cold_items_of_one_group_from_the_other(trained: Any) -> None:
    request = EvaluationRequest(data=trained.data, model=trained.model, ks=(4,), candidates="cold-split")
    # 4 of 8 at random.
    assert _value(evaluate(request), "served", 4) > 0.9


@pytest.mark.slow
def test_served_equals_exact_below_the_size_of_a_graph(trained: Any) -> None:
    report = evaluate(EvaluationRequest(data=trained.data, model=trained.model, channels=("served", "exact")))
    figures = {
        name: [(row.slice, row.metric, row.k, row.value) for row in report.rows if row.channel == name]
        for name in ("served", "exact")
    }
    assert figures["served"] == figures["exact"]


@pytest.mark.slow
def test_indexes_that_search_widely_agree_with_exact(trained: Any) -> None:
    graph = IndexConfig(kind="hnsw", parameters={"ef_search": 500})
    tables = IndexConfig(kind="lsh", parameters={"tables": 8, "bits": 2, "probes": 3})
    for channel, index, margin in (("faiss", graph, 0.02), ("lsh", tables, 0.05)):
        request = EvaluationRequest(
            data=trained.data, model=trained.model, ks=(10,), channels=("exact", channel), index=index
        )
        report = evaluate(request)
        assert _value(report, channel, 10) == pytest.approx(_value(report, "exact", 10), abs=margin)


@pytest.mark.slow
def test_validation_channel_agrees_with_the_score_of_training(
    make_checkerboard: Callable[..., Path], make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Without a test part both rank the same warm items for the same users."""
    data = make_checkerboard(tmp_path / "data", parts={"train": 12, "validation": 3}, cold=False)
    result = train(data, tmp_path / "model", make_config(epochs=2, validation_k=5), options=RunOptions(device="cpu"))
    request = EvaluationRequest(
        data=data, model=tmp_path / "model", split="validation", ks=(5,), candidates="warm", channels=("served",)
    )
    report = evaluate(request)
    assert report.split == "validation"
    assert _value(report, "served", 5) == pytest.approx(result.score, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["model", "snapshot"])
def test_carved_validation_is_the_one_that_the_model_did_not_train_on(
    source: str, make_checkerboard: Callable[..., Path], make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "data", parts={"train": 15}, cold=False)
    # Epochs are chosen by the learned score alone.
    towers = make_config().towers.model_copy(
        update={"audience": False}
    )  # a catalogue knows who had what was carved out
    config = make_config(epochs=2, validation_k=5, fusion={"content": "none"}, towers=towers)
    result = train(data, tmp_path / "model", config, options=RunOptions(seed=7, device="cpu"))
    path = tmp_path / "model"
    if source == "snapshot":
        load(DataFolder.open(data), tmp_path / "catalog.sqlite")
        path = rebuild(tmp_path / "model", tmp_path / "catalog.sqlite", tmp_path / "snapshots")
    request = EvaluationRequest(
        data=data, split="validation", ks=(5,), candidates="warm", channels=("exact",), **{source: path}
    )
    assert _value(evaluate(request), "exact", 5) == pytest.approx(result.score, abs=1e-9)


def test_validation_part_is_carved_with_the_seed_that_is_given(
    make_checkerboard: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "data", parts={"train": 15}, cold=False)
    split = carve_validation(DataFolder.open(data).interactions(), 7)
    request = EvaluationRequest(data=data, split="validation", ks=(5,), channels=("popularity",), carving_seed=7)
    users = set(split.filter(pl.col("split") == "validation")["user_id"])
    assert set(evaluate(request).per_user["user_id"]) == users
    assert set(evaluate(replace(request, carving_seed=None)).per_user["user_id"]) != users


def test_part_carved_for_a_server_is_noticed_for_it_may_have_been_trained_on(
    make_checkerboard: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = make_checkerboard(tmp_path / "data", parts={"train": 15}, cold=False)
    request = EvaluationRequest(data=data, split="validation", target="127.0.0.1:1", channels=("served",))
    with pytest.raises(UnavailableError):
        evaluate(request)
    assert caplog.messages == [
        "the validation part is that of a model trained with seed 0; one of another seed has trained on it"
    ]


def test_lists_of_each_channel_are_given_away_by_user(checkerboard: Path) -> None:
    lists: dict[str, list[list[str]]] = {}
    request = EvaluationRequest(data=checkerboard, ks=(2, 5), channels=("content", "popularity"))
    report = evaluate(request, ranked=lists.__setitem__)
    assert list(lists) == ["content", "popularity"]
    for channel, rankings in lists.items():
        of_channel = report.per_user.filter(pl.col("channel") == channel, pl.col("slice") == "all")
        assert len(rankings) == of_channel["user_id"].n_unique()
        assert {len(ranking) for ranking in rankings} == {5}


@pytest.mark.slow
def test_snapshot_gives_the_figures_of_its_model(trained: Any, tmp_path: Path) -> None:
    load(DataFolder.open(trained.data), tmp_path / "catalog.sqlite")
    snapshot = rebuild(trained.model, tmp_path / "catalog.sqlite", tmp_path / "snapshots")
    requests = [
        EvaluationRequest(data=trained.data, ks=(10,), channels=("served",), **source)
        for source in ({"model": trained.model}, {"snapshot": snapshot})
    ]
    assert evaluate(requests[0]).rows == evaluate(requests[1]).rows


@pytest.mark.slow
def test_snapshot_that_knows_what_is_held_out_is_refused(
    trained: Any, make_checkerboard: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "checkerboard")
    table = pl.read_parquet(data / "interactions.parquet")
    new = pl.DataFrame({"user_id": [f"new{n}" for n in range(30)], "item_id": "b29", "split": "test"})
    pl.concat([table, new]).write_parquet(data / "interactions.parquet")
    folder = DataFolder.open(data)
    load(folder, tmp_path / "catalog.sqlite", interactions=folder.interactions().with_columns(split=pl.lit("train")))
    snapshot = rebuild(trained.model, tmp_path / "catalog.sqlite", tmp_path / "snapshots")
    by_model = evaluate(EvaluationRequest(data=data, ks=(1,), channels=("served",), model=trained.model))
    assert _value(by_model, "served", 1, part="cold_users") == 0
    with pytest.raises(DataError, match=r"was embedded with \d+ interactions, and train has \d+ of it"):
        evaluate(EvaluationRequest(data=data, ks=(1,), channels=("served",), snapshot=snapshot))


# What is reported


def test_users_of_a_figure_are_those_behind_it(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(5, 20), channels=("content",)))
    assert len({(row.slice, row.metric, row.k) for row in report.rows}) == len(report.rows)
    for row in report.rows:
        keys = {"channel": row.channel, "slice": row.slice, "metric": row.metric, "k": row.k}
        values = report.per_user.filter(*(pl.col(name) == value for name, value in keys.items()))
        assert len(values) == row.users
        assert values["value"].mean() == pytest.approx(row.value)
        assert row.low <= row.value <= row.high


def test_json_has_the_fixed_form(checkerboard: Path) -> None:
    record = evaluate(EvaluationRequest(data=checkerboard, ks=(5,), channels=("random",))).to_json()
    assert set(record) == {"model_id", "data", "split", "rows"}
    rows = record["rows"]
    assert isinstance(rows, list)
    wanted = {"channel", "candidates", "slice", "metric", "k", "value", "low", "high", "users"}
    assert all(set(row) == wanted for row in rows)


def test_history_that_is_cut_is_named_and_shows_in_what_is_found(checkerboard: Path, tmp_path: Path) -> None:
    request = {"data": checkerboard, "ks": (LEFT_IN_GROUP,), "channels": ("content", "popularity")}
    whole, none = evaluate(EvaluationRequest(**request)), evaluate(EvaluationRequest(**request, history=0))
    assert "history" not in whole.to_json()
    assert none.to_json()["history"] == 0
    none.write_per_user(tmp_path / "none.parquet")
    assert pl.read_parquet_metadata(tmp_path / "none.parquet")["history"] == "0"
    # Content is nothing without a history; popularity never looked at it, and what users had stays left out.
    assert _value(none, "content", LEFT_IN_GROUP) < 0.8 < _value(whole, "content", LEFT_IN_GROUP)
    by_popularity = [[row for row in report.rows if row.channel == "popularity"] for report in (whole, none)]
    assert by_popularity[0] == by_popularity[1]


def test_progress_counts_users_by_channel(checkerboard: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    evaluate(
        EvaluationRequest(data=checkerboard, ks=(5,), channels=("content", "random")),
        progress=lambda *step: seen.append(step),
    )
    assert seen == [("content", 48, 48), ("random", 48, 48)]


def test_channel_named_twice_runs_once(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(5,), channels=("random", "random")))
    assert len([row for row in report.rows if (row.slice, row.metric) == ("all", "recall")]) == 1


# Refusals


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": ("served",)}, "channel 'served' needs a model or a snapshot, or for served and exact a server"),
        ({"channels": ("lsh",)}, "channel 'lsh' needs a model or a snapshot"),
        ({"channels": ("faiss",), "target": "localhost:1"}, "channel 'faiss' needs a model or a snapshot"),
        ({"channels": ("knn",)}, "channel 'knn' is unknown; choose from served, exact, faiss, lsh, content"),
        ({"channels": ("",)}, "channel '' is unknown"),
        ({"channels": ()}, "no channel is named; choose from content"),
        ({"ks": ()}, "name at least one K"),
        ({"ks": (5, 0)}, r"k = \[5, 0\]; name at least one K, each at least 1"),
        ({"history": -1}, "history = -1; keep 0 items of each user's history or more"),
        ({"split": "train"}, "split 'train' cannot be evaluated; choose validation or test"),
        ({"ks": (20, 20_000), "target": "localhost:1"}, "k = 20000 is beyond the 10,000 items that a server returns"),
        ({"model": Path("m"), "snapshot": Path("s")}, "model, snapshot and target exclude each other; name one"),
        ({"model": Path("m"), "target": "localhost:1"}, "exclude each other"),
    ],
)
def test_request_that_cannot_be_met_is_refused(values: dict[str, Any], message: str, checkerboard: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluationRequest(data=checkerboard, **values)


def test_baselines_beside_a_server_may_be_asked_for_more_than_it_returns(checkerboard: Path) -> None:
    request = EvaluationRequest(data=checkerboard, ks=(20_000,), channels=("random",), target="localhost:1")
    assert max(request.ks) == 20_000


def test_unknown_candidates_and_absent_model_are_refused(checkerboard: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="candidates 'hot' are neither one of"):
        evaluate(EvaluationRequest(data=checkerboard, candidates="hot"))
    with pytest.raises(ArtifactError, match=r"manifest.json cannot be read"):
        evaluate(EvaluationRequest(data=checkerboard, model=tmp_path / "none"))
