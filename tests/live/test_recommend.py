"""Recommended items of all users of a data folder, against the answers of a live system of the same data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recall.errors import ConfigError
from recall.live.catalog import Catalog
from recall.live.folder_users import FolderUsers
from recall.live.load import load
from recall.live.query import RecallQuery
from recall.live.recommend import SCHEMA, RecommendRequest, recommend
from recall.tables import DataFolder

TOPICS = ("x", "y", "z")
EVENTS = [  # user, item, time, part
    ("u2", "x1", 20, "train"),
    ("u1", "y0", 30, "train"),
    ("u1", "x0", 10, "train"),
    ("u1", "y1", 30, "train"),
    ("u1", "y0", 5, "train"),
    ("u3", "z0", 40, "test"),
]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    path = tmp_path / "data"
    path.mkdir()
    ids = [f"{topic}{number}" for topic in TOPICS for number in range(3)]
    columns = {"item_id": ids, "topic": [i[0] for i in ids], "tags": [[i] for i in ids], "price": [1.0] * len(ids)}
    pl.DataFrame(columns).write_parquet(path / "items.parquet")
    pl.DataFrame({"user_id": ["u9", "u1"], "country": ["nl", "fr"]}).write_parquet(path / "users.parquet")
    schema = ["user_id", "item_id", "timestamp", "split"]
    pl.DataFrame(EVENTS, schema=schema, orient="row").write_parquet(path / "interactions.parquet")
    return DataFolder.open(path)


@pytest.fixture
def deployment_of(deployment: Any) -> Callable[[Path], Any]:
    """Returns a deployment like the usual one over another catalogue."""
    return lambda path: replace(deployment, catalog_path=path, root=path.parent / "built")


@pytest.fixture
def snapshot(folder: DataFolder, tmp_path: Path, deployment_of: Any) -> Path:
    load(folder, tmp_path / "loaded.sqlite")
    deployment = deployment_of(tmp_path / "loaded.sqlite")
    return Path(deployment.root / deployment.rebuild())


def _request(folder: DataFolder, snapshot: Path, k: int = 4) -> RecommendRequest:
    return RecommendRequest(data=folder, snapshot=snapshot, interactions=folder.interactions(), k=k)


def test_users_of_a_folder_are_those_of_a_catalogue_that_loaded_it(folder: DataFolder, tmp_path: Path) -> None:
    load(folder, tmp_path / "loaded.sqlite")
    users = FolderUsers(folder, folder.interactions())
    assert users.user_ids == ["u9", "u1", "u2", "u3"]
    assert users.history("u1", 9) == ("x0", "y0", "y1")
    with Catalog.open(tmp_path / "loaded.sqlite") as catalog:
        for user_id in (*users.user_ids, "nobody"):
            assert users.get_user(user_id) == catalog.get_user(user_id)
            for limit in (0, 1, 2, 9):
                assert users.history(user_id, limit) == catalog.history(user_id, limit)


def test_table_holds_what_a_system_of_the_snapshot_answers(
    folder: DataFolder, snapshot: Path, tmp_path: Path, deployment_of: Any, load_model: Any
) -> None:
    summary = recommend(_request(folder, snapshot), tmp_path / "out.parquet", load_model=load_model)

    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.schema == SCHEMA
    assert (summary.num_users, summary.num_rows, summary.num_short) == (4, 16, 0)
    assert summary.answered_from == {"features": 1, "history": 2, "popularity": 1}
    assert table["user_id"].unique(maintain_order=True).to_list() == ["u9", "u1", "u2", "u3"]
    with deployment_of(tmp_path / "loaded.sqlite").serving() as system:
        for (user_id,), rows in table.group_by("user_id", maintain_order=True):
            result = system.recall(RecallQuery(user_id=str(user_id), limit=4))
            assert rows["item_id"].to_list() == result.item_ids
            assert rows["score"].to_list() == result.scores.tolist()
            assert rows["rank"].to_list() == [1, 2, 3, 4]
            assert set(rows["answered_from"]) == {result.answered_from.value}


def test_users_with_fewer_eligible_items_get_all_of_them(
    folder: DataFolder, snapshot: Path, tmp_path: Path, load_model: Any
) -> None:
    summary = recommend(_request(folder, snapshot, k=9), tmp_path / "out.parquet", load_model=load_model)
    rows = pl.read_parquet(tmp_path / "out.parquet").group_by("user_id").len()
    assert dict(rows.iter_rows()) == {"u9": 9, "u1": 6, "u2": 8, "u3": 9}
    assert (summary.num_short, summary.num_rows) == (2, 32)


def test_users_are_answered_in_batches_and_an_interrupt_leaves_nothing(
    folder: DataFolder, snapshot: Path, tmp_path: Path, load_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.parquet"
    recommend(_request(folder, snapshot), whole, load_model=load_model)
    monkeypatch.setattr("recall.live.recommend._MAX_USERS", 3)
    calls: list[tuple[str, int, int]] = []
    recommend(
        _request(folder, snapshot), tmp_path / "a.parquet", progress=lambda *c: calls.append(c), load_model=load_model
    )
    assert calls == [("users", 0, 4), ("users", 3, 4), ("users", 4, 4)]
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.read_parquet(whole))

    def interrupt(name: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        recommend(_request(folder, snapshot), tmp_path / "b.parquet", progress=interrupt, load_model=load_model)
    assert sorted(tmp_path.iterdir()) == before


def test_k_out_of_range_is_refused(folder: DataFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="k is 0; want 1 to 10,000"):
        recommend(_request(folder, tmp_path, k=0), tmp_path / "out.parquet")
