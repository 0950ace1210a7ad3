"""`recall compare` as a shell sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Returns two files: two channels each, three users of which two are shared; B is better by a half."""
    found = []
    for name, users, extra in (("a", ["u", "v", "w"], 0.0), ("b", ["v", "w", "x"], 0.5)):
        channels = [("served", 0.25 + extra), ("content", 0.25)]
        rows = [(channel, "all", "all", "recall", 20, user, value) for channel, value in channels for user in users]
        columns = ["channel", "candidates", "slice", "metric", "k", "user_id", "value"]
        pl.DataFrame(rows, schema=columns, orient="row").write_parquet(tmp_path / f"{name}.parquet")
        found.append(tmp_path / f"{name}.parquet")
    return found[0], found[1]


def test_two_files_give_a_table_and_notices_on_stderr(run: Run, files: tuple[Path, Path]) -> None:
    code, out, err = run("compare", *files)
    assert code == 0
    header, served, content = [line.split() for line in out.splitlines()]
    assert header[4:] == ["a", "b", "b-a", "low", "high", "better", "worse", "equal", "users"]
    figures = ["0.2500", "0.7500", "+0.5000", "+0.5000", "+0.5000", "100.0%", "0.0%", "0.0%", "2"]
    assert served == ["served", "all", "all", "recall@20", *figures]
    assert content[:4] == ["content", "all", "all", "recall@20"]
    assert content[-2:] == ["100.0%", "2"]
    assert [line.split(",")[0] for line in err.splitlines()] == ["notice: served", "notice: content"]
    assert f"1 users only in {files[0]}, 1 only in {files[1]}" in err


def test_two_channels_of_one_file_as_json(run: Run, files: tuple[Path, Path]) -> None:
    code, out, err = run("compare", files[1], "--channels", "content,served", "--json", "-")
    value = json.loads(out)
    assert (code, err, value["a"], value["b"], value["notices"]) == (0, "", str(files[1]), str(files[1]), [])
    assert [(row["channel_a"], row["channel_b"], row["difference"]) for row in value["rows"]] == [
        ("content", "served", 0.5)
    ]


def test_table_names_both_channels_and_json_goes_to_a_file(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = run("compare", files[0], files[1], "--channels", "content,served", "--json", tmp_path / "c.json")
    assert code == 0
    assert "content -> served" in out
    assert json.loads((tmp_path / "c.json").read_text())["rows"][0]["users"] == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "A.parquet"),
        (["a.parquet"], "name a second file, or two channels"),
        (["a.parquet", "--channels", "served"], "'served' is no pair"),
        (["a.parquet", "--channels", "served,"], "'served,' is no pair"),
        (["a.parquet", "--channels", "a,b,c"], "'a,b,c' is no pair"),
        (["a.parquet", "--channels", "served,served"], "twice in one file"),
    ],
)
def test_wrong_usage_exits_2(run: Run, arguments: list[str], problem: str) -> None:
    code, out, err = run("compare", *arguments)
    assert (code, out) == (2, "")
    assert problem in err


def test_file_of_something_else_exits_1_with_one_line(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": ["a"]}).write_parquet(other)
    code, out, err = run("compare", files[0], other)
    (line,) = err.splitlines()
    assert (code, out) == (1, "")
    assert line.startswith(f"error: {other} is no table of values by user")
