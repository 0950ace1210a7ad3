"""The ablation benchmark: what a variant changes, its slice from start to end, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import kept
from ablations import DEFAULT, FIGURES, VARIANTS, changes_nothing, chosen_variants, variant_run
from ablations_page import HEADER, page, table_rows
from quality_data import data_folders
from quality_run import Run
from recall.cli.settings import resolve
from recall.errors import ConfigError, DataError
from training.config import TrainConfig


@pytest.fixture
def shared(tmp_path):
    return Run(data=Path("shop"), work=tmp_path, seed=3, commit="0123456789abcdef")


def leaves(value, place=()):
    if not isinstance(value, dict):
        return {place: value}
    return {k: v for name, below in value.items() for k, v in leaves(below, (*place, name)).items()}


def settings(run):
    return leaves(resolve(TrainConfig, "train", file=run.config, environ={}).model_dump())


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_differs_from_the_default_in_one_setting(name, shared):
    """A content variant may be what the default does already; ids alone differ in the features, not in a setting."""
    default, changed = settings(variant_run(shared, DEFAULT)), settings(variant_run(shared, name))
    different = [place for place in default if default[place] != changed[place]]
    wanted = {DEFAULT: (0,), "id-only": (0,), "fusion-none": (0, 1), "fusion-sparse": (0, 1)}
    assert len(different) in wanted.get(name, (1,))
    assert default.keys() == changed.keys()
    assert VARIANTS[name].with_features == (not name.startswith("id-only"))


def test_base_settings_stand_in_every_variant(shared):
    for name in ("dim-64", DEFAULT):
        found = settings(variant_run(shared, name, base="epochs = 2\n"))
        assert (found["epochs",], found["towers", "dim"]) == (2, 64 if name == "dim-64" else 128)


def test_runs_that_differ_are_kept_apart(shared):
    names = [name for name in VARIANTS if name not in ("fusion-none", "fusion-sparse")]
    assert len({variant_run(shared, name).folder for name in names}) == len(names)
    run = variant_run(shared, "id-only")
    assert run.folder.name.startswith("shop~none-seed3-")
    assert run.figures("all", ".parquet") == run.folder / "validation-all.parquet"
    assert shared.figures("all", ".json") == shared.folder / "all.json"


def test_default_comes_first_whatever_is_named():
    assert chosen_variants(None) == tuple(VARIANTS)
    assert chosen_variants(["dim-64", "no-id", DEFAULT, "dim-64"]) == (DEFAULT, "dim-64", "no-id")
    with pytest.raises(ConfigError, match=r"'dim-65'.*dim-64"):
        chosen_variants(["dim-65"])


def test_a_limit_on_sets_changes_nothing_where_no_set_is_wider(tmp_path):
    def folder(name, *, item_tags, user_tags=None):
        (tmp_path / name).mkdir()
        pl.DataFrame({"user_id": ["u"], "item_id": ["a"]}).write_parquet(tmp_path / name / "interactions.parquet")
        items = {"item_id": ["a", "b"], "title": ["x " * 99, "y"], "tags": [item_tags, None]}
        pl.DataFrame(items, schema_overrides={"tags": pl.List(pl.String)}).write_parquet(
            tmp_path / name / "items.parquet"
        )
        if user_tags is not None:
            pl.DataFrame({"user_id": ["u"], "tags": [user_tags]}).write_parquet(tmp_path / name / "users.parquet")
        return tmp_path / name

    many = [f"t{n}" for n in range(17)]
    narrow = folder("narrow", item_tags=[*many[1:], "T1"])  # 16 values, one of them written twice
    assert changes_nothing("minhash-16", narrow)
    assert not changes_nothing("dim-64", narrow)
    wide, by_users = folder("wide", item_tags=many), folder("users", item_tags=["t"], user_tags=many)
    for data in (wide, by_users):
        assert not changes_nothing("minhash-16", data)
        assert changes_nothing("minhash-64", data)


def test_data_folders_are_found_by_name(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "interactions.parquet").touch()
    (tmp_path / "empty").mkdir()
    assert data_folders(tmp_path) == [tmp_path / name for name in "abc"]
    assert data_folders(tmp_path, ["c", "a"]) == [tmp_path / "c", tmp_path / "a"]
    with pytest.raises(DataError, match=r"'empty' is not in .*a, b, c"):
        data_folders(tmp_path, ["a", "empty"])
    with pytest.raises(DataError, match=r"'any' is not in .*none"):
        data_folders(tmp_path / "empty")


def result(variant, figures, *, name="shop", seed=0):
    """Returns a result with (figure, channel, value, difference) each."""
    cells = [
        {"figure": figure, "channel": channel, "value": value, "low": value - 0.25, "high": value + 0.25, "users": 9,
         "difference": difference, "difference_low": difference - 0.125, "difference_high": difference + 0.125}
        for figure, channel, value, difference in figures
    ]  # fmt: skip
    return {
        "set": name, "seed": seed, "variant": variant, "command": f"python it {name}",
        "commit": "0123456789abcdef+feed", "config_digest": "c" * 64, "date": "2020-02-02", "machine": "2 cores",
        "size_bytes": 3 << 19, "training": {"seconds": 61.4, "epoch": 3}, "figures": cells,
    }  # fmt: skip


def test_table_shows_what_there_is_beside_the_default():
    default = result(
        DEFAULT, [("cold", "served", 0.5, 0.0), ("all", "served", 0.5, 0.0), ("cold", "random", 0.25, -0.25)]
    )
    rows = table_rows([default, result("dim-64", [("cold", "served", 0.375, -0.125)])])
    assert {len(row) for row in rows} == {len(HEADER)}
    assert [row[0] for row in rows] == ["random", DEFAULT, "dim-64"]
    cold = HEADER.index("cold")
    assert [row[cold : cold + 4] for row in rows] == [
        (".2500 [.0000, .5000]", "-.2500 [-.3750, -.1250]", "-", "-"),
        (".5000 [.2500, .7500]", "", "-", "-"),
        (".3750 [.1250, .6250]", "-.1250 [-.2500, +.0000]", "-", "-"),
    ]
    assert rows[2][-5:] == ("1.5", "3", "61", "2020-02-02", "`0123456789ab+feed`")
    assert rows[0][-5:] == ("", "", "", "2020-02-02", "`0123456789ab+feed`")


def test_page_has_one_table_a_set_and_seed_in_the_order_of_the_variants(tmp_path):
    figures = [("cold", "served", 0.5, 0.0)]
    for made in (
        result("no-id", figures), result(DEFAULT, figures), result(DEFAULT, figures, name="zoo"),
        result(DEFAULT, figures, seed=1),
    ):  # fmt: skip
        kept.keep(tmp_path / f"{made['set']}-seed{made['seed']}~{made['variant']}.json", made)
    lines = page(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# Ablations", "## shop, seed 0", "## shop, seed 1", "## zoo, seed 0",
    ]  # fmt: skip
    names = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert names == ["| variant", "| default", "| no-id", "| variant", "| default", "| variant", "| default"]
    assert lines.count("`python it shop`") == 2
    listed = [line for line in lines if line.startswith("- `")]
    assert len(listed) == len(VARIANTS) - 1
    assert '- `id-only-table`: `towers.id_encoder = "table"`, `--features none`' in listed


@pytest.mark.slow
def test_quick_run_is_whole_and_goes_on_where_it_was_stopped(run_script, tmp_path):
    def run():
        arguments = ("--quick", "--work", tmp_path / "work", "--page", tmp_path / "ablations.md", "--json", "-")
        done = run_script("benchmark_ablations.py", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    first, _ = run()
    assert set(first) == {"machine", "commit", "rows", "ratios"}
    shown = {(row["variant"], row["channel"], row["figure"]) for row in first["rows"]}
    wanted = ((DEFAULT, "served"), (DEFAULT, "random"), ("id-only-table", "served"))
    assert shown == {(*pair, figure.name) for pair in wanted for figure in FIGURES}
    assert all(row["difference"] == 0 for row in first["rows"] if (row["variant"], row["channel"]) == wanted[0])
    values = {(row["variant"], row["channel"], row["figure"]): row["value"] for row in first["rows"]}
    for row in first["rows"]:
        assert row["difference"] == pytest.approx(row["value"] - values[DEFAULT, "served", row["figure"]], abs=1e-9)
    (lost,) = (tmp_path / "work" / "quick" / "runs").glob("*~none-*/validation-all.json")
    assert pl.read_parquet(lost.with_suffix(".parquet"))["user_id"].n_unique() > 1
    lost.unlink()
    again, messages = run()
    assert [line for line in messages.splitlines() if ": training" in line or "evaluating" in line] == [
        "synthetic-shop: evaluating, candidates all"
    ]
    for rows in (again["rows"], first["rows"]):
        for row in rows:
            del row["date"]
    assert again["rows"] == first["rows"]
    assert "## synthetic-shop, seed 0" in (tmp_path / "ablations.md").read_text()
