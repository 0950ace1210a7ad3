"""Data that would leak or mislead is refused by the commands that read it: exit 1, an error line with row and cure.

One test a kind of refusal, on training and evaluation both; nothing is trained and nothing written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]
ITEMS = {"item_id": ["a", "b", "c"], "title": ["one", "two", "three"]}
USERS = {"user_id": ["u", "v"], "country": ["nl", "de"]}
PAIRS = {"user_id": ["u", "u", "v", "v"], "item_id": ["a", "b", "b", "c"]}
PARTS = {"split": ["train", "test", "train", "test"]}


@pytest.fixture(params=["train", "evaluate"])
def refused(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Refused:
    """Writes a data folder and checks that the command refuses it with an error line that has each of `wanted`."""

    def check(*wanted: str, pairs: Any = None, items: Any = ITEMS, users: Any = USERS, toml: str = "") -> None:
        data, out = tmp_path / "data", tmp_path / "model"
        data.mkdir()
        tables = {"interactions": {**PAIRS, **PARTS} if pairs is None else pairs, "items": items, "users": users}
        for name, table in tables.items():
            pl.DataFrame(table).write_parquet(data / f"{name}.parquet")
        (data / "dataset.toml").write_text(toml, encoding="utf-8")
        arguments = ["--out", out] if request.param == "train" else []
        code, printed, messages = run(request.param, "--data", data, *arguments)
        assert (code, printed) == (1, "")
        *before, line = messages.splitlines()  # training says its configuration first
        assert line.startswith(f"error: {data}")
        assert [text for text in before if text.startswith("error")] == []
        assert [text for text in wanted if text not in line] == []
        assert not out.exists()

    return check


def test_duplicate_of_user_and_item_is_refused(refused: Refused) -> None:
    pairs = {"user_id": ["u", "v", "u"], "item_id": ["a", "b", "a"], "split": ["train", "test", "train"]}
    refused("interactions.parquet, row 2: user_id u, item_id a stands there twice", "keep one row", pairs=pairs)


def test_duplicate_of_user_item_and_timestamp_is_refused(refused: Refused) -> None:
    pairs = {"user_id": ["u"] * 3, "item_id": ["a"] * 3, "timestamp": [1, 2, 1]}
    refused("row 2: user_id u, item_id a, timestamp 1 stands there twice", "keep one row", pairs=pairs)


def test_duplicate_among_integer_ids_is_refused(refused: Refused) -> None:
    pairs = {"user_id": [7, 8, 7], "item_id": [1, 1, 1]}
    refused("row 2: user_id 7, item_id 1 stands there twice", pairs=pairs, items={"item_id": [1, 2]})


def test_null_user_of_an_interaction_is_refused(refused: Refused) -> None:
    pairs = {**PAIRS, **PARTS, "user_id": ["u", None, "v", "v"]}
    refused("interactions.parquet, row 1: user_id is null or empty; give every row an id", pairs=pairs)


def test_null_item_of_an_interaction_is_refused(refused: Refused) -> None:
    pairs = {**PAIRS, **PARTS, "item_id": ["a", "b", "b", None]}
    refused("interactions.parquet, row 3: item_id is null or empty; give every row an id", pairs=pairs)


def test_null_id_of_an_item_is_refused(refused: Refused) -> None:
    refused("items.parquet, row 1: item_id is null or empty; give", items={**ITEMS, "item_id": ["a", None, "c"]})


def test_null_id_of_a_user_is_refused(refused: Refused) -> None:
    refused("users.parquet, row 0: user_id is null or empty; give", users={**USERS, "user_id": [None, "v"]})


def test_item_that_stands_there_twice_is_refused(refused: Refused) -> None:
    refused("items.parquet, row 2: item_id 'a' stands there twice; keep", items={**ITEMS, "item_id": ["a", "b", "a"]})


def test_user_that_stands_there_twice_is_refused(refused: Refused) -> None:
    refused("users.parquet, row 1: user_id 'u' stands there twice; keep", users={**USERS, "user_id": ["u", "u"]})


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        (
            '[item_features]\nplot = "text"\n',
            "dataset.toml declares items.plot, which items.parquet lacks; drop or add",
        ),
        (
            '[user_features]\nage = "number"\n',
            "dataset.toml declares users.age, which users.parquet lacks; drop or add",
        ),
        ('[item_attributes]\nprice = "number"\n', "dataset.toml declares items.price, which items.parquet lacks; drop"),
        ('[domains]\n"items.plot" = "title"\n', "gives 'items.plot' a domain, which is no column; drop or correct it"),
        (
            "[interactions]\nmin_weight = 4.0\n",
            "has no column 'weight', which interactions.min_weight = 4.0 needs; drop",
        ),
    ],
)
def test_declared_column_that_is_absent_is_refused(toml: str, wanted: str, refused: Refused) -> None:
    refused(wanted, toml=toml)


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_pair_in_two_parts_is_refused(parts: tuple[str, str], refused: Refused) -> None:
    pairs = {
        "user_id": ["v", "u", "w", "u"],
        "item_id": ["a", "b", "b", "b"],
        "split": ["train", parts[0], "test", parts[1]],
    }
    refused(
        "interactions.parquet, row 3: user_id u, item_id b is in two parts of the split; keep it in one", pairs=pairs
    )


def test_pair_of_one_timestamp_in_two_parts_is_refused(refused: Refused) -> None:
    pairs = {"user_id": ["u", "u"], "item_id": ["b", "b"], "timestamp": [5, 5], "split": ["train", "test"]}
    refused("row 1: user_id u, item_id b, timestamp 5 is in two parts of the split; keep it in one", pairs=pairs)


def test_pair_that_returns_later_in_another_part_is_read(run: Run, tmp_path: Path) -> None:
    # Read, yet no target: what the user had in train is no discovery in test.
    pairs = {
        "user_id": ["u"] * 3,
        "item_id": ["a", "a", "b"],
        "timestamp": [1, 2, 3],
        "split": ["train", "test", "test"],
    }
    pl.DataFrame(pairs).write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame(ITEMS).write_parquet(tmp_path / "items.parquet")
    code, out, _ = run("evaluate", "--data", tmp_path, "--k", 2, "--channels", "popularity")
    assert code == 0
    found = {line.split()[3]: line.split()[4] for line in out.splitlines() if line.split()[2] == "all"}
    assert found["recall@2"] == "1.0000"  # the list is b, c: of two relevant items it would be a half
