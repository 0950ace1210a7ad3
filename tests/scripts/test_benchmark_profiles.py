"""The benchmark of the cap on profiles: its page, and its slice from start to end."""

from __future__ import annotations

import json

import pytest

import kept
from ablations import FIGURES, K
from profile_caps import CAPS, CONTENT, FUSED, Served
from profiles_page import page, recall_rows, time_rows
from recall.live.profiles import PROFILE_TOKENS
from training.channels import LiveChannel
from training.protocol import candidate_set, evaluation_case


def row(figure, score, tokens, value, *, to_none=0.0):
    ends = {"low": value - 0.25, "high": value + 0.25, "users": 9}
    differences = {"difference": to_none, "difference_low": to_none - 0.125, "difference_high": to_none + 0.125}
    return {"figure": figure, "score": score, "tokens": tokens, "value": value, **ends, **differences}


def result(*, name="shop", model_id="m" * 64, only_cold=False):
    cold = [row("cold", FUSED, 64, 0.25, to_none=-0.25), row("cold", FUSED, None, 0.5)]
    cold += [row("cold", CONTENT, 64, 0.5), row("cold", CONTENT, None, 0.5)]
    among_all = [{**one, "figure": "cold among all", "users": 9 if only_cold else 8} for one in cold]
    times = [
        {"tokens": 64, "cut": 0.5, "profile_us": 20.0, "scoring_us": 5.0, "heaviest_us": 60.0},
        {"tokens": None, "cut": 0.0, "profile_us": 30.0, "scoring_us": 20.0, "heaviest_us": 80.0},
    ]
    return {
        "set": name, "model_id": model_id, "seed": 1, "command": "python it", "commit": "0123456789abcdef",
        "date": "2020-02-02", "machine": "2 cores", "rows": cold + among_all, "times": times,
    }  # fmt: skip


def test_caps_stand_beside_no_cap():
    assert list(recall_rows(result()))[:2] == [
        ("cold", "64", ".2500 [.0000, .5000]", "-.2500 [-.3750, -.1250]", ".5000 [.2500, .7500]",
         "+.0000 [-.1250, +.1250]"),
        ("cold", "no cap", ".5000 [.2500, .7500]", "", ".5000 [.2500, .7500]", ""),
    ]  # fmt: skip
    assert list(time_rows(result())) == [
        ("64", "50.0%", "20", "5", "25", "0.50", "60", "0.75"),
        ("no cap", "0.0%", "30", "20", "50", "1.00", "80", "1.00"),
    ]


def test_a_figure_that_says_the_same_as_another_is_left_out():
    assert {cells[0] for cells in recall_rows(result())} == {"cold", "cold among all"}
    assert {cells[0] for cells in recall_rows(result(only_cold=True))} == {"cold"}


def test_page_has_a_section_a_model(tmp_path):
    for number, made in enumerate((result(name="zoo"), result(model_id="n" * 64), result())):
        kept.keep(tmp_path / f"{number}.json", made)
    lines = page(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## shop", "## shop", "## zoo"]
    facts = [line for line in lines if "seed 1" in line]
    wanted = "`python it`, model `mmmmmmmmmmmm`, seed 1, commit `0123456789ab`, 2020-02-02. Machine: 2 cores."
    assert facts[0] == wanted
    assert facts[1] == wanted.replace("m" * 12, "n" * 12)


@pytest.mark.slow
def test_quick_run_is_whole_and_ranks_as_what_serves(run_script, tmp_path):
    arguments = ("--quick", "--work", tmp_path / "work", "--page", tmp_path / "profiles.md", "--json", "-")
    done = run_script("benchmark_profiles.py", *arguments)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert set(value) == {"machine", "commit", "rows", "ratios"}
    recalls = [one for one in value["rows"] if "score" in one]
    assert {(one["figure"], one["score"], one["tokens"]) for one in recalls} == {
        (figure.name, score, cap) for figure in FIGURES for score in (FUSED, CONTENT) for cap in CAPS
    }
    assert [one["tokens"] for one in value["rows"] if "cut" in one] == list(CAPS)
    values = {(one["figure"], one["score"], one["tokens"]): one["value"] for one in recalls}
    for one in recalls:
        to_none = one["value"] - values[one["figure"], one["score"], None]
        assert one["difference"] == pytest.approx(to_none, abs=1e-9)
    assert "## synthetic-shop" in (tmp_path / "profiles.md").read_text()
    (model,) = (tmp_path / "work" / "quick" / "runs").glob("*/model")
    served = Served.of(tmp_path / "work" / "quick" / "data" / "synthetic-shop", model)
    case = evaluation_case(served.evaluation, candidate_set(served.evaluation, "all"))
    vectors = served.vectors(case.users)
    profiles = served.profiles(case.users, served.generation.model.fusion, PROFILE_TOKENS)
    lists = served.ranked(case.users, case.candidates, vectors=vectors, profiles=profiles)
    channel = LiveChannel(channel="served", generation=served.generation)
    assert lists == channel.recommend(case.users, K, case.candidates)


@pytest.mark.slow
def test_a_run_without_a_model_is_refused(run_script, tmp_path):
    done = run_script("benchmark_profiles.py", "--data", tmp_path)
    assert done.returncode == 2
    assert "--model" in done.stderr
