"""Users that a trained model has never seen: from a few interactions, from features alone, and from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recall.live.catalog import Catalog
from recall.live.config import ServeConfig
from recall.live.load import load
from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.rebuild import rebuild
from recall.live.records import InteractionRecord
from recall.live.service import RecallSystem
from recall.tables import DataFolder
from training.evaluate import EvaluationRequest, evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def catalog_file(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a catalogue with two users besides those of the data folder, who have had one and three items."""
    file = tmp_path_factory.mktemp("cold-users") / "catalog.sqlite"
    load(DataFolder.open(trained.data), file)
    had = {"newcomer": ("b03",), "guest": ("a01", "a11", "a21")}
    with Catalog.open(file) as catalog:
        catalog.add_interactions(
            [
                InteractionRecord(user_id=user, item_id=item, timestamp=place)
                for user, items in had.items()
                for place, item in enumerate(items)
            ]
        )
    return file


@pytest.fixture(scope="module")
def system(trained: Any, catalog_file: Path) -> Iterator[RecallSystem]:
    snapshots = catalog_file.parent / "snapshots"
    rebuild(trained.model, catalog_file, snapshots)
    running = RecallSystem.start(snapshots, catalog_file, ServeConfig())
    yield running
    running.close()


@pytest.mark.parametrize("group", ["a", "b"])
@pytest.mark.parametrize("num_items", [1, 2, 3])
def test_stranger_with_a_few_items_gets_what_their_group_likes(
    system: RecallSystem, group: str, num_items: int
) -> None:
    history = tuple(f"{group}{n:02}" for n in (3, 14, 27)[:num_items])
    result = system.recall(RecallQuery(user_id="stranger", history=history, limit=10))
    assert result.answered_from is AnsweredFrom.HISTORY
    assert {item_id[0] for item_id in result.item_ids} == {group}
    assert not set(history) & set(result.item_ids)


def test_items_that_a_new_user_is_stored_with_shape_the_answer(system: RecallSystem) -> None:
    for user, group in (("newcomer", "b"), ("guest", "a")):
        result = system.recall(RecallQuery(user_id=user, limit=10))
        assert result.answered_from is AnsweredFrom.HISTORY
        assert {item_id[0] for item_id in result.item_ids} == {group}


def test_stranger_with_features_alone_is_answered_from_them(system: RecallSystem) -> None:
    first, second, elsewhere = (
        system.recall(RecallQuery(user_id=user, features={"country": country}, limit=34))
        for user, country in (("x", "nl"), ("y", "nl"), ("x", "de"))
    )
    assert first.answered_from is AnsweredFrom.FEATURES
    assert first.item_ids == second.item_ids  # an id that was never seen says nothing
    assert first.scores.tolist() != elsewhere.scores.tolist()


def test_stranger_of_whom_nothing_is_known_gets_what_is_popular(system: RecallSystem, catalog_file: Path) -> None:
    with Catalog.open(catalog_file) as catalog:
        counts = catalog.popularity()
    result = system.recall(RecallQuery(user_id="stranger", limit=10))
    assert result.answered_from is AnsweredFrom.POPULARITY
    assert result.item_ids == sorted(counts, key=lambda item_id: (-counts[item_id], item_id))[:10]


def test_evaluation_shows_what_a_few_items_are_worth(trained: Any, tmp_path: Path) -> None:
    """Of users with unknown ids and without features nothing is known but the history that is left."""
    data = _with_new_ids(trained.data, tmp_path / "strangers")
    found = {
        history: evaluate(
            EvaluationRequest(data=data, model=trained.model, ks=(20,), channels=("served",), history=history)
        )
        for history in (0, 1, 3, None)
    }
    recall = {
        history: row.value
        for history, report in found.items()
        for row in report.rows
        if (row.slice, row.metric) == ("all", "recall")
    }
    # A user has 20 items of the own group left, of 54: with its group first all is found, without a hint .37 of it.
    assert recall[0] < 0.6
    assert min(recall[1], recall[3], recall[None]) > 0.8


def _with_new_ids(data: Path, out: Path) -> Path:
    out.mkdir()
    table = pl.read_parquet(data / "interactions.parquet")
    table.with_columns(pl.concat_str(pl.lit("stranger-"), "user_id").alias("user_id")).write_parquet(
        out / "interactions.parquet"
    )
    for name in ("items.parquet", "dataset.toml"):
        (out / name).write_bytes((data / name).read_bytes())
    return out
