"""The quality benchmark: its slice from start to end, what is kept of it, and the page."""

from __future__ import annotations

import json

import polars as pl
import pytest

import kept
from quality_data import narrowed
from quality_page import page, table_rows
from quality_run import CANDIDATES, CHANNELS, candidate_names, channel_names, ratios_of
from recall.errors import DataError
from recall.tables import DataFolder


@pytest.fixture
def shop(tmp_path):
    """Two warm items and a cold one that occurs in test; `b` and `c` have one word in common."""
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [("u", "a", "train"), ("v", "b", "train"), ("u", "b", "test"), ("u", "c", "test")]
    pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row").write_parquet(
        folder / "interactions.parquet"
    )
    items = {"item_id": ["a", "b", "c"], "title": ["x", "y", "y z"], "tags": [["t"], None, ["t"]], "price": [1.0, 2, 3]}
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    pl.DataFrame({"user_id": ["u"], "country": ["nl"]}).write_parquet(folder / "users.parquet")
    (folder / "dataset.toml").write_text('name = "shop"\n[item_features]\ntitle = "text"\ntags = "set"\n')
    return folder


def result(values, *, seed=0, name="shop"):
    """Returns a result with one figure for each (candidates, slice, channel)."""
    rows = [
        {"set": name, "candidates": c, "slice": s, "channel": channel, "metric": metric, "k": k, "value": value,
         "low": 0.0, "high": 1.0, "users": 1234, "seed": seed}
        for (c, s, channel), value in values.items()
        for metric, k in (("recall", 20), ("recall", 100), ("ndcg", 20), ("mrr", 20))
    ]  # fmt: skip
    return {
        "set": name, "seed": seed, "command": "python it", "commit": "0123456789abcdef+feed", "config_digest": "c" * 64,
        "machine": "2 cores", "date": "2020-02-02", "training": {"seconds": 61.4, "epoch": 3}, "rows": rows,
    }  # fmt: skip


def test_step_is_done_once_and_a_failed_one_again(tmp_path):
    file = tmp_path / "step.json"
    with pytest.raises(ZeroDivisionError):
        kept.kept(file, lambda: {"x": 1 // 0})
    assert list(tmp_path.iterdir()) == []
    assert kept.kept(file, lambda: {"x": "é"}) == {"x": "é"}
    assert kept.kept(file, lambda: {"x": 1 // 0}) == {"x": "é"}
    assert list(tmp_path.iterdir()) == [file]


def test_candidates_are_those_with_something_to_find(shop):
    assert candidate_names(shop) == CANDIDATES
    table = pl.read_parquet(shop / "interactions.parquet")
    table.filter(pl.col("item_id") != "c").write_parquet(shop / "interactions.parquet")
    assert candidate_names(shop) == ("all", "warm")
    table.filter((pl.col("item_id") != "b") | (pl.col("split") == "train")).write_parquet(shop / "interactions.parquet")
    assert candidate_names(shop) == ("cold-split", "cold", "all")


def test_friends_are_shown_where_users_name_users(shop):
    assert "friends" in CHANNELS
    assert channel_names(shop) == tuple(name for name in CHANNELS if name != "friends")
    pl.DataFrame({"user_id": ["u"], "friends": [["v"]]}).write_parquet(shop / "users.parquet")
    with (shop / "dataset.toml").open("a") as stream:
        stream.write('[domains]\n"users.friends" = "user_id"\n')
    assert channel_names(shop) == CHANNELS


def test_new_and_known_users_are_shown_where_there_are_both():
    values = {("all", part, channel): value for part, channel, value in [
        ("all", "served", 0.5), ("warm_users", "served", 0.75), ("cold_users", "served", 0.25),
        ("all", "popularity", 0.5), ("warm_users", "popularity", 0.5), ("cold_users", "popularity", 0.5),
        ("all", "friends", 0.25),
    ]}  # fmt: skip
    lines = [(row[1], row[2]) for row in table_rows([result(values)])]
    users = [(title, name) for title in ("warm users", "cold users") for name in ("served", "popularity")]
    assert lines == [("everything", name) for name in ("served", "friends", "popularity")] + users
    assert ratios_of(result(values)["rows"]) == {
        "served_over_friends_all": 2.0,
        "served_over_popularity_all_warm_users": 1.5,
        "served_over_popularity_all_cold_users": 0.5,
    }
    only_new = {key: value for key, value in values.items() if key[1] != "warm_users"}
    assert set(ratios_of(result(only_new)["rows"])) == {"served_over_friends_all"}


def test_narrowed_data_has_the_named_features_and_all_else(shop, tmp_path):
    made = narrowed(shop, ["items.title", "users.country"], root=tmp_path / "data")
    assert made.name == "shop~title+country"
    folder = DataFolder.open(made)
    assert [(spec.name, spec.kind) for spec in folder.schema.item_features] == [("title", "text")]
    assert [spec.name for spec in folder.schema.user_features] == ["country"]
    assert folder.interactions().equals(DataFolder.open(shop).interactions())
    assert narrowed(shop, ["users.country", "items.title"], root=tmp_path / "data") == made
    with pytest.raises(DataError, match=r"items\.colour"):
        narrowed(shop, ["items.colour"], root=tmp_path / "data")


def test_table_leaves_out_slices_that_change_nothing():
    values = {
        ("all", "all", "served"): 0.5,
        ("all", "warm_items", "served"): 0.25,
        ("all", "warm_users", "served"): 0.5,
    }
    values |= {("cold-split", "all", "linear"): 0.125, ("cold-split", "all", "served"): 1.0}
    rows = table_rows([result(values, seed=1), result(values)])
    assert [(*row[:4], row[-1]) for row in rows] == [
        ("cold-split", "everything", "served", "1.0000 [.0000, 1.0000]", "0"),
        ("cold-split", "everything", "served", "1.0000 [.0000, 1.0000]", "1"),
        ("cold-split", "everything", "linear", ".1250 [.0000, 1.0000]", "0"),
        ("cold-split", "everything", "linear", ".1250 [.0000, 1.0000]", "1"),
        ("all", "everything", "served", ".5000 [.0000, 1.0000]", "0"),
        ("all", "everything", "served", ".5000 [.0000, 1.0000]", "1"),
        ("all", "warm items", "served", ".2500 [.0000, 1.0000]", "0"),
        ("all", "warm items", "served", ".2500 [.0000, 1.0000]", "1"),
    ]


def test_page_has_one_table_a_set_with_every_run(tmp_path):
    values = {("all", "all", "served"): 0.5}
    for value in (result(values, name="zoo"), result(values, seed=1), result(values)):
        kept.keep(tmp_path / f"{value['set']}-seed{value['seed']}.json", value)
    lines = page(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# Quality", "## shop", "## zoo"]
    assert "Machine: 2 cores." in lines
    runs = [line for line in lines if line.startswith("- Seed")]
    command, facts = runs[1].split(", ", 1)
    assert command == "- Seed 1: `python it`"
    assert facts == "commit `0123456789ab+feed`, config `cccccccccccc`, trained in 61 s, epoch 3, 2020-02-02."
    assert len(runs) == 3
    assert sum(line.startswith("|---") for line in lines) == 2


@pytest.mark.slow
def test_quick_run_is_whole_and_goes_on_where_it_was_stopped(run_script, tmp_path):
    def run():
        arguments = ("--quick", "--work", tmp_path / "work", "--page", tmp_path / "quality.md", "--json", "-")
        done = run_script("benchmark_quality.py", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    first, _ = run()
    assert set(first) == {"machine", "commit", "rows", "ratios"}
    assert {(row["candidates"], row["channel"]) for row in first["rows"]} == {
        (c, n) for c in CANDIDATES for n in CHANNELS if n != "friends"
    }
    needed = {"set", "candidates", "channel", "slice", "metric", "k", "value", "low", "high", "users", "command"}
    needed |= {"commit", "seed", "config_digest", "training_seconds"}
    assert all(needed == set(row) for row in first["rows"])
    (lost,) = (tmp_path / "work" / "quick" / "runs").glob("*/cold.json")
    lost.unlink()
    again, messages = run()
    assert [line for line in messages.splitlines() if "training" in line or "evaluating" in line] == [
        "synthetic-shop: evaluating, candidates cold"
    ]
    assert again["rows"] == first["rows"]
    assert "## synthetic-shop" in (tmp_path / "quality.md").read_text()


@pytest.mark.slow
def test_unknown_set_is_answered_with_those_there_are(run_script, shop, tmp_path):
    done = run_script("benchmark_quality.py", "--only", "nowhere", "--data-root", tmp_path, "--work", tmp_path / "work")
    assert done.returncode == 1
    assert "there are: shop" in done.stderr
