"""Export of a catalogue as a data folder, and the way back into another catalogue."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall.errors import DataError
from recall.live.catalog import Catalog
from recall.live.export import export
from recall.live.load import load, schema_differences
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from recall.tables import DataFolder
from training.split import assign_split

SCHEMA = DataSchema(
    name='a "shop"\x7f',
    item_features=(
        FeatureSpec(name="title", kind="text", domain="title"),
        FeatureSpec(name="related items", kind="set", domain="item_id"),
        FeatureSpec(name="brand", kind="category", domain="maker"),
        FeatureSpec(name="price", kind="number", domain="price"),
        FeatureSpec(name="picture", kind="vector", domain="picture", dim=2),
    ),
    user_features=(FeatureSpec(name="country", kind="category", domain="country"),),
    item_attributes=(
        FeatureSpec(name="brand", kind="category", domain="maker"),
        FeatureSpec(name="stock", kind="number", domain="stock"),
    ),
)
ITEMS = [
    ItemRecord(
        item_id="b",
        features={"title": "Zweite\n", "related items": ("a",), "picture": np.array([0.5, -1], dtype=np.float32)},
    ),
    ItemRecord(item_id="a", features={"brand": "x", "price": 0.1}, attributes={"brand": "x", "stock": 3.0}),
    ItemRecord(item_id="gone", features={"title": "Gone"}),
]
EVENTS = [("u2", "a", 30), ("u1", "b", 20), ("u1", "gone", 10), ("u1", "never", 5), ("u1", "a", 20)]


def _filled(path: Path, schema: DataSchema = SCHEMA, items: Sequence[ItemRecord] = ITEMS) -> Catalog:
    catalog = Catalog.create(path, schema)
    catalog.put_items(items)
    return catalog


def _add_events(catalog: Catalog, events: Sequence[tuple[str, str, int]] = EVENTS) -> None:
    catalog.add_interactions([InteractionRecord(user_id=u, item_id=i, timestamp=t) for u, i, t in events])


def _plain(features: FeatureMap) -> dict[str, Any]:
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in features.items()}


def _content(path: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns items in the order of their writes, users, and interactions in the order of their insertion."""
    with Catalog.open(path) as catalog:
        stored = [item for batch in catalog.scan_items(100) for item in batch]
    items = [(item.item_id, _plain(item.features), _plain(item.attributes)) for item in stored]
    connection = sqlite3.connect(path)
    users = connection.execute("SELECT user_id, payload FROM users ORDER BY user_id").fetchall()
    query = "SELECT user_id, item_id, timestamp FROM interactions ORDER BY insertion"
    events = connection.execute(query).fetchall()
    connection.close()
    return items, users, events


def test_export_writes_what_is_stored_and_leaves_out_deleted_items_with_their_interactions(tmp_path: Path) -> None:
    with _filled(tmp_path / "c.sqlite") as catalog:
        catalog.put_users([UserRecord(user_id="u1", features={"country": "fr"}), UserRecord(user_id="u9")])
        catalog.delete_items(["gone"])
        _add_events(catalog)

    summary = export(tmp_path / "c.sqlite", tmp_path / "out")

    assert (summary.sequence, summary.num_items, summary.num_users) == (4, 2, 2)
    assert (summary.num_interactions, summary.num_interactions_left_out) == (3, 2)
    folder = DataFolder.open(tmp_path / "out")
    assert schema_differences(folder.schema, SCHEMA) == []
    assert folder.schema == SCHEMA
    ids, features, attributes = folder.items()
    assert ids == ["b", "a"]
    assert [_plain(row) for row in features] == [_plain(item.features) for item in ITEMS[:2]]
    assert attributes == [{}, {"brand": "x", "stock": 3.0}]
    assert folder.users() == (["u1", "u9"], [{"country": "fr"}, {}])
    assert folder.interactions().rows() == [("u2", "a", 30), ("u1", "b", 20), ("u1", "a", 20)]
    split = assign_split(folder.interactions(), folder.config.split)
    assert (folder.config.split.rule, split["split"].unique().to_list()) == ("time", ["train"])


def test_export_of_an_empty_catalogue_loads_but_for_vectors_whose_length_nothing_tells(tmp_path: Path) -> None:
    Catalog.create(tmp_path / "c.sqlite", SCHEMA).close()
    summary = export(tmp_path / "c.sqlite", tmp_path / "out")
    folder = DataFolder.open(tmp_path / "out")
    assert folder.items() == ([], [], [])
    assert [spec.name for spec in folder.schema.item_features] == ["title", "related items", "brand", "price"]
    assert summary.notices == ("item feature 'picture' is not declared: its values cannot be read as vector",)


ID = st.text(min_size=1, max_size=6)
FEATURES = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(min_size=1, max_size=8),
        "related items": st.lists(st.text(max_size=4), min_size=1, max_size=3).map(tuple),
        "price": st.floats(allow_nan=False, allow_infinity=False),
        "picture": st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=2).map(
            lambda values: np.array(values, dtype=np.float32)
        ),
    },
)
BRAND = st.fixed_dictionaries({}, optional={"brand": st.text(min_size=1, max_size=4)})
STOCK = st.fixed_dictionaries({}, optional={"stock": st.floats(-9, 9)})
RECORDS = st.dictionaries(ID, st.tuples(FEATURES, BRAND, STOCK), max_size=12)
EVENT = st.tuples(ID, st.integers(0, 4), st.integers(-(2**63), 2**63 - 1))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(records=RECORDS, users=st.dictionaries(ID, ID, max_size=3), events=st.lists(EVENT, max_size=6))
def test_load_of_an_export_gives_the_same_content(
    records: dict[str, tuple[Any, Any, Any]], users: dict[str, str], events: list[tuple[str, int, int]]
) -> None:
    vector = {"picture": np.zeros(2, dtype=np.float32)}
    items = [ItemRecord(item_id="\x00", features=vector)] + [
        ItemRecord(item_id=item_id, features={**features, **brand}, attributes={**brand, **stock})
        for item_id, (features, brand, stock) in records.items()
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with _filled(root / "a.sqlite", items=items) as catalog:
            catalog.put_users([UserRecord(user_id=u, features={"country": c}) for u, c in users.items()])
            _add_events(catalog, [(user, items[place % len(items)].item_id, time) for user, place, time in events])
        summary = export(root / "a.sqlite", root / "folder")
        load(DataFolder.open(root / "folder"), root / "b.sqlite")
        assert _content(root / "b.sqlite") == _content(root / "a.sqlite")
        assert summary.notices == ()
        with Catalog.open(root / "b.sqlite") as catalog:
            assert catalog.schema == SCHEMA


def test_integers_that_are_a_category_and_a_number_share_a_column(tmp_path: Path) -> None:
    schema = DataSchema(
        name="years",
        item_features=(FeatureSpec(name="year", kind="category", domain="year"),),
        item_attributes=(FeatureSpec(name="year", kind="number", domain="year"),),
    )
    items = [ItemRecord(item_id="a", features={"year": "1999"}, attributes={"year": 1999.0})]
    with _filled(tmp_path / "c.sqlite", schema, items):
        assert export(tmp_path / "c.sqlite", tmp_path / "first").notices == ()
    assert DataFolder.open(tmp_path / "first").items() == (["a"], [{"year": "1999"}], [{"year": 1999.0}])

    with Catalog.open(tmp_path / "c.sqlite") as catalog:
        catalog.put_items([ItemRecord(item_id="b", features={"year": "007"})])
    summary = export(tmp_path / "c.sqlite", tmp_path / "second")
    assert summary.notices == ("item attribute 'year' is not declared: its values cannot be read as number",)
    assert DataFolder.open(tmp_path / "second").items()[1] == [{"year": "1999"}, {"year": "007"}]


def test_attribute_that_is_not_the_feature_of_its_name_gives_way_and_is_counted(tmp_path: Path) -> None:
    items = [
        ItemRecord(item_id="a", features={"brand": "x"}, attributes={"brand": "y"}),
        ItemRecord(item_id="b", attributes={"brand": "z"}),
    ]
    with _filled(tmp_path / "c.sqlite", items=items):
        summary = export(tmp_path / "c.sqlite", tmp_path / "out")
    assert "1 items have an attribute 'brand' that is not their feature" in "".join(summary.notices)
    assert pl.read_parquet(tmp_path / "out" / "items.parquet")["brand"].to_list() == ["x", "z"]


def test_feature_unknown_to_the_schema_is_there_to_be_declared(tmp_path: Path) -> None:
    items = [ItemRecord(item_id="a", features={"colour": "red"}), ItemRecord(item_id="b", features={"brand": "x"})]
    with _filled(tmp_path / "c.sqlite", items=items):
        export(tmp_path / "c.sqlite", tmp_path / "out")
    assert "colour" not in {spec.name for spec in DataFolder.open(tmp_path / "out").schema.item_features}
    config = tmp_path / "out" / "dataset.toml"
    config.write_text(config.read_text().replace('# "colour" = ', '"colour" = '))
    assert DataFolder.open(tmp_path / "out").items()[1] == [{"colour": "red"}, {"brand": "x"}]


def test_times_of_availability_are_said_to_be_lost(tmp_path: Path) -> None:
    items = [ItemRecord(item_id="a", available_from=5), ItemRecord(item_id="b")]
    with _filled(tmp_path / "c.sqlite", items=items):
        notices = export(tmp_path / "c.sqlite", tmp_path / "out").notices
    assert "1 items have a time of availability, which a data folder does not hold" in notices


def test_export_shows_one_state_while_others_write(tmp_path: Path) -> None:
    def write(name: str, done: int, total: int) -> None:
        if name == "items" and done == 0:
            other.put_items([ItemRecord(item_id="new"), ItemRecord(item_id="a", features={"title": "changed"})])
            other.delete_items(["b"])
            other.put_users([UserRecord(user_id="new")])
            _add_events(other, [("new", "a", 99)])

    with _filled(tmp_path / "c.sqlite") as catalog:
        _add_events(catalog)
    with Catalog.open(tmp_path / "c.sqlite") as other:
        summary = export(tmp_path / "c.sqlite", tmp_path / "out", progress=write)
        assert other.last_sequence() == 6
    folder = DataFolder.open(tmp_path / "out")
    assert (summary.sequence, folder.items()[0], folder.users()[0]) == (3, ["b", "a", "gone"], [])
    assert "title" not in folder.items()[1][1]
    assert len(folder.interactions()) == 4


def test_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(name: str, done: int, total: int) -> None:
        if name == "interactions" and done:
            raise KeyboardInterrupt

    with _filled(tmp_path / "c.sqlite") as catalog:
        _add_events(catalog)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(KeyboardInterrupt):
            export(tmp_path / "c.sqlite", tmp_path / "out", progress=interrupt)
        assert sorted(tmp_path.iterdir()) == before
        catalog.put_items([ItemRecord(item_id="c")])  # the read transaction has ended


def test_damaged_rows_are_left_out_and_named(tmp_path: Path) -> None:
    with _filled(tmp_path / "c.sqlite") as catalog:
        catalog.put_users([UserRecord(user_id="u1"), UserRecord(user_id="u2")])
        _add_events(catalog)
    connection = sqlite3.connect(tmp_path / "c.sqlite")
    connection.execute("UPDATE items SET payload = x'00' WHERE item_id = 'a'")
    connection.execute("UPDATE users SET checksum = 1 WHERE user_id = 'u2'")
    connection.commit()
    connection.close()
    summary = export(tmp_path / "c.sqlite", tmp_path / "out")
    assert summary.notices[0].startswith("2 damaged rows are left out: item 'a' (row 2), user 'u2';")
    folder = DataFolder.open(tmp_path / "out")
    assert (folder.items()[0], folder.users()[0]) == (["b", "gone"], ["u1"])


def test_export_refuses_a_folder_that_exists(tmp_path: Path, catalog_path: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match="exists; choose another folder"):
        export(catalog_path, tmp_path)


def test_export_reads_in_batches(
    tmp_path: Path, catalog_path: Path, catalog: Catalog, make_item: Callable[..., ItemRecord], monkeypatch: Any
) -> None:
    monkeypatch.setattr("recall.live.export_rows.BATCH_SIZE", 3)
    catalog.put_items([make_item(str(number), "x") for number in range(8)])
    calls: list[tuple[str, int, int]] = []
    export(catalog_path, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert [call for call in calls if call[0] == "items"] == [("items", n, 8) for n in (0, 3, 6, 8)]
    assert DataFolder.open(tmp_path / "out").items()[0] == [str(number) for number in range(8)]
