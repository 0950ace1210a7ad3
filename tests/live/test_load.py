"""Loading of data folders into a catalogue."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recall.errors import CatalogError, DataError
from recall.live.catalog import Catalog
from recall.live.load import LoadSummary, load, schema_differences
from recall.live.records import ItemRecord, StoredItem
from recall.schema import DataSchema, FeatureSpec
from recall.tables import DataFolder

ITEMS = {
    "item_id": ["a", "b", "c"],
    "title": ["First of all", "Second", None],
    "tags": [["x", "y"], [], None],
    "price": [1.5, None, 3.0],
}
EVENTS = {
    "user_id": [1, 1, 1, 2],
    "item_id": ["b", "a", "c", "c"],
    "timestamp": [20, 10, 30, 5],
    "split": ["train", "train", "test", "train"],
}
CONFIG = """
[item_features]
title = "text"
tags = "set"
price = "number"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    pl.DataFrame(ITEMS).write_parquet(folder / "items.parquet")
    pl.DataFrame({"user_id": [1, 2], "country": ["fr", None]}).write_parquet(folder / "users.parquet")
    pl.DataFrame(EVENTS).write_parquet(folder / "interactions.parquet")
    (folder / "dataset.toml").write_text(CONFIG)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sqlite"


def test_load_writes_items_users_and_train_interactions(folder: Path, path: Path) -> None:
    summary = load(DataFolder.open(folder), path)

    with Catalog.open(path) as catalog:
        assert summary == LoadSummary(
            catalog_uuid=catalog.uuid,
            sequence=3,
            num_items=3,
            num_items_written=3,
            num_users=2,
            num_users_written=2,
            num_interactions=3,
            num_interactions_added=3,
        )
        assert catalog.schema == DataFolder.open(folder).schema
        assert catalog.get_item("a") == StoredItem(
            item_id="a",
            sequence=1,
            features={"title": "First of all", "tags": ("x", "y"), "price": 1.5},
            attributes={"tags": ("x", "y"), "price": 1.5},
        )
        assert catalog.get_item("b") == StoredItem(item_id="b", sequence=2, features={"title": "Second"})
        assert catalog.get_user("1") == {"country": "fr"}
        assert catalog.get_user("2") == {}
        assert catalog.history("1", 10) == ("a", "b")
        assert catalog.popularity() == {"a": 1, "b": 1, "c": 1}


def test_second_load_writes_nothing(folder: Path, path: Path) -> None:
    data = DataFolder.open(folder)
    first = load(data, path)

    second = load(data, path)

    assert (second.num_items_written, second.num_users_written, second.num_interactions_added) == (0, 0, 0)
    assert (second.sequence, second.catalog_uuid) == (first.sequence, first.catalog_uuid)


def test_load_writes_only_the_item_that_changed(folder: Path, path: Path) -> None:
    load(DataFolder.open(folder), path)
    pl.DataFrame({**ITEMS, "price": [1.5, 9.0, 3.0]}).write_parquet(folder / "items.parquet")

    summary = load(DataFolder.open(folder), path)

    assert (summary.num_items_written, summary.sequence) == (1, 4)
    with Catalog.open(path) as catalog:
        assert [stored.item_id for stored in catalog.changes(3, limit=10)] == ["b"]


def test_interrupted_load_is_completed_by_another(folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recall.live.load.BATCH_SIZE", 2)

    def interrupt(name: str, done: int, total: int) -> None:
        assert (name, done, total) == ("items", 2, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(DataFolder.open(folder), path, progress=interrupt)
    with Catalog.open(path) as catalog:
        assert catalog.last_sequence() == 2

    reports: list[tuple[str, int, int]] = []
    summary = load(DataFolder.open(folder), path, progress=lambda *report: reports.append(report))

    assert (summary.num_items_written, summary.sequence, summary.num_interactions_added) == (1, 3, 3)
    assert reports == [
        ("items", 2, 3),
        ("items", 3, 3),
        ("users", 2, 2),
        ("interactions", 2, 3),
        ("interactions", 3, 3),
    ]


def test_all_interactions_are_loaded_where_there_is_no_split_and_no_time(folder: Path, path: Path) -> None:
    pl.DataFrame(EVENTS).select("user_id", "item_id").write_parquet(folder / "interactions.parquet")

    summary = load(DataFolder.open(folder), path)

    assert summary.num_interactions_added == 4
    with Catalog.open(path) as catalog:
        assert catalog.history("1", 10) == ("b", "a", "c")


def test_bad_table_leaves_no_catalogue_behind(folder: Path, path: Path) -> None:
    pl.DataFrame({**ITEMS, "item_id": ["a", "a", "c"]}).write_parquet(folder / "items.parquet")

    with pytest.raises(DataError, match="'a'"):
        load(DataFolder.open(folder), path)

    assert not path.exists()


def test_load_refuses_a_catalogue_of_another_schema_and_names_the_difference(folder: Path, path: Path) -> None:
    load(DataFolder.open(folder), path)
    (folder / "dataset.toml").write_text(CONFIG.replace('title = "text"', 'title = "category"'))

    with pytest.raises(CatalogError, match="item feature 'title' is text in domain 'title' in the catalogue and categ"):
        load(DataFolder.open(folder), path)

    with Catalog.open(path) as catalog:
        assert catalog.last_sequence() == 3


def test_load_brings_a_deleted_item_back(folder: Path, path: Path) -> None:
    load(DataFolder.open(folder), path)
    with Catalog.open(path) as catalog:
        catalog.delete_items(["a"])
        catalog.put_items([ItemRecord(item_id="extra")])

    assert load(DataFolder.open(folder), path).num_items_written == 1

    with Catalog.open(path) as catalog:
        assert {stored.item_id for batch in catalog.scan_items(10) for stored in batch} == {"a", "b", "c", "extra"}


def test_schema_differences_name_each_column_but_not_name_and_order() -> None:
    title = FeatureSpec(name="title", kind="text", domain="title")
    image = FeatureSpec(name="image", kind="vector", domain="image", dim=3)
    wide = FeatureSpec(name="image", kind="vector", domain="image", dim=4)
    stored = DataSchema(name="old", item_features=(title, image), user_features=(title,))

    assert schema_differences(stored, stored.model_copy(update={"name": "new", "item_features": (image, title)})) == []
    assert schema_differences(
        stored, DataSchema(name="old", item_features=(title, wide), item_attributes=(title,))
    ) == [
        "item feature 'image' is vector of 3 numbers in domain 'image' in the catalogue"
        " and vector of 4 numbers in domain 'image' in the data",
        "user feature 'title' is text in domain 'title' in the catalogue and absent in the data",
        "item attribute 'title' is absent in the catalogue and text in domain 'title' in the data",
    ]
