"""A data folder as rows: who is user n, what they took in which order, and which part is for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recall.errors import DataError
from recall.schema import DataSchema
from recall.tables import DataFolder
from training.dataset import TrainingData, read_training_data, select_features

ITEMS = {"item_id": ["a", "b", "c", "d"], "brand": ["x", "y", None, "x"], "price": [1.0, 2.0, 3.0, 4.0]}
USERS = {"user_id": ["v", "w"], "age": [3, None]}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., TrainingData]:
    """Returns what writes a data folder and reads it for training."""

    def run(
        rows: Sequence[tuple[Any, ...]], *, columns: Sequence[str] = ("user_id", "item_id", "timestamp", "split"),
        features: Sequence[str] | None = None, seed: int = 0, toml: str = "",
    ) -> TrainingData:  # fmt: skip
        pl.DataFrame(rows, schema=list(columns), orient="row").write_parquet(tmp_path / "interactions.parquet")
        pl.DataFrame(ITEMS).write_parquet(tmp_path / "items.parquet")
        pl.DataFrame(USERS).write_parquet(tmp_path / "users.parquet")
        (tmp_path / "dataset.toml").write_text(toml)
        return read_training_data(DataFolder.open(tmp_path), features=features, seed=seed)

    return run


ROWS = [
    ("u", "c", 30, "train"),
    ("v", "a", 5, "train"),
    ("u", "a", 10, "train"),
    ("u", "b", 20, "train"),
    ("v", "b", 6, "validation"),
    ("z", "d", 7, "test"),
]


def _named(data: TrainingData, rows: np.ndarray) -> list[tuple[str, str]]:
    return [(data.user_ids[user], data.item_ids[item]) for user, item in rows]


def test_users_with_features_or_interactions_are_rows(read: Callable[..., TrainingData]) -> None:
    data = read(ROWS)
    assert data.item_ids == ["a", "b", "c", "d"]
    assert sorted(data.user_ids) == ["u", "v", "w", "z"]
    assert dict(zip(data.user_ids, data.users, strict=True)) == {"v": {"age": 3.0}, "w": {}, "u": {}, "z": {}}
    assert data.items[0] == {"brand": "x", "price": 1.0}


def test_train_is_by_user_and_in_time_order_without_other_parts(read: Callable[..., TrainingData]) -> None:
    data = read(ROWS)
    assert sorted(_named(data, data.train)) == [("u", "a"), ("u", "b"), ("u", "c"), ("v", "a")]
    assert [item for user, item in _named(data, data.train) if user == "u"] == ["a", "b", "c"]
    assert (np.diff(data.train[:, 0]) >= 0).all()
    assert _named(data, data.validation) == [("v", "b")]
    assert not data.carved


def test_counts_are_of_train_alone(read: Callable[..., TrainingData]) -> None:
    data = read(ROWS)
    assert data.item_counts().tolist() == [2, 1, 1, 0]
    assert dict(zip(data.user_ids, data.user_counts(), strict=True)) == {"u": 3, "v": 1, "w": 0, "z": 0}


@pytest.mark.parametrize(("most", "kept"), [(1, "c"), (2, "bc"), (3, "abc"), (100, "abc")])
def test_history_keeps_the_latest_by_time(most: int, kept: str, read: Callable[..., TrainingData]) -> None:
    data = read(ROWS)
    row = data.histories(most)[data.user_ids.index("u")].toarray()[0]
    assert [data.item_ids[item] for item in np.flatnonzero(row)] == list(kept)
    assert set(row) <= {0.0, 1.0}


def test_repeated_item_counts_in_a_history_and_is_seen_once(read: Callable[..., TrainingData]) -> None:
    data = read([("u", "a", 1, "train"), ("u", "a", 2, "train"), ("u", "b", 3, "train")])
    assert data.histories(10).toarray().tolist() == [[0] * 4, [0] * 4, [2, 1, 0, 0]]
    assert data.seen().toarray().tolist() == [[0] * 4, [0] * 4, [1, 1, 0, 0]]
    assert data.item_counts().tolist() == [2, 1, 0, 0]


def test_without_timestamps_file_order_is_time_order(read: Callable[..., TrainingData]) -> None:
    data = read([("u", "c", "train"), ("u", "a", "train")], columns=("user_id", "item_id", "split"))
    assert _named(data, data.train) == [("u", "c"), ("u", "a")]


def _many(count: int = 400) -> list[tuple[str, str, str]]:
    return [(f"u{n}", "abcd"[n % 4], "train") for n in range(count)]


def test_a_tenth_of_train_is_carved_where_there_is_no_validation(read: Callable[..., TrainingData]) -> None:
    data = read(_many(), columns=("user_id", "item_id", "split"))
    assert data.carved
    assert len(data.validation) == pytest.approx(40, abs=20)
    together = np.concatenate([data.train, data.validation])
    assert sorted(_named(data, together)) == sorted((user, item) for user, item, _ in _many())


def test_carving_is_by_the_seed_and_not_by_row_order(read: Callable[..., TrainingData]) -> None:
    columns = ("user_id", "item_id", "split")
    parts = [
        sorted(_named(data, data.validation))
        for data in (read(_many(), columns=columns), read(_many()[::-1], columns=columns))
    ]
    assert parts[0] == parts[1]
    other = read(_many(), columns=columns, seed=1)
    assert sorted(_named(other, other.validation)) != parts[0]


def test_refit_takes_the_carved_part_back(read: Callable[..., TrainingData]) -> None:
    data = read(_many(), columns=("user_id", "item_id", "split"))
    refit = data.for_refit()
    assert sorted(_named(refit, refit.train)) == sorted((user, item) for user, item, _ in _many())
    assert len(refit.validation) == 0
    assert refit.item_counts().sum() == 400


def test_refit_of_a_given_validation_part_leaves_it_out(read: Callable[..., TrainingData]) -> None:
    data = read(ROWS).for_refit()
    assert ("v", "b") not in _named(data, data.train)


def test_split_rule_of_the_folder_is_applied(read: Callable[..., TrainingData]) -> None:
    rows = [(f"u{n}", item, n * 10 + place) for n in range(5) for place, item in enumerate("abcd")]
    data = read(rows, columns=("user_id", "item_id", "timestamp"), toml='[split]\nrule = "leave-last-out"\n')
    assert {item for _, item in _named(data, data.train)} == {"a", "b"}
    assert {item for _, item in _named(data, data.validation)} == {"c"}


def test_folder_without_training_interactions_is_refused(read: Callable[..., TrainingData]) -> None:
    with pytest.raises(DataError, match=r"has no training interaction; check its split and interactions\.min_weight"):
        read([("u", "a", 1, "test")])


def test_features_are_chosen_by_side_and_name(read: Callable[..., TrainingData]) -> None:
    schema = read(ROWS, features=["items.price", "users.age"]).schema
    assert [spec.name for spec in schema.item_features] == ["price"]
    assert [spec.name for spec in schema.user_features] == ["age"]
    assert [spec.name for spec in schema.item_attributes] == ["brand", "price"]
    assert read(ROWS, features=[]).schema.item_features == ()
    assert len(read(ROWS).schema.item_features) == 2


@pytest.mark.parametrize("name", ["price", "items.prize", "users.price", ""])
def test_unknown_feature_is_refused_with_those_there_are(name: str, read: Callable[..., TrainingData]) -> None:
    with pytest.raises(
        DataError, match=f"feature '{name}' does not exist; choose from items.brand, items.price, users"
    ):
        read(ROWS, features=["items.price", name])


def test_schema_without_features_says_so() -> None:
    with pytest.raises(DataError, match="choose from none"):
        select_features(DataSchema(name="x"), ["items.a"])


@pytest.mark.parametrize(("kind", "noticed"), [("category", True), ("text", False)])
def test_titles_read_as_a_category_are_noticed(
    kind: str, noticed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = range(30)
    items = {"item_id": [str(row) for row in rows], "title": [f"The book {row}" for row in rows], "brand": ["a b"] * 30}
    pl.DataFrame(items).write_parquet(tmp_path / "items.parquet")
    events = {"user_id": ["u"] * 30, "item_id": items["item_id"], "split": ["train"] * 30}
    pl.DataFrame(events).write_parquet(tmp_path / "interactions.parquet")
    (tmp_path / "dataset.toml").write_text(f'[item_features]\ntitle = "{kind}"\nbrand = "category"\n')
    read_training_data(DataFolder.open(tmp_path), features=None, seed=0)
    assert [record.args[1] for record in caplog.records if record.args] == ["title"] * noticed
