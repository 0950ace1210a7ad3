"""Attributes of items from the catalogue to a filtered recall: live, after a restart and after a rebuild."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.attributes import ColumnSpec
from index.conditions import And, AnyOf, Condition, Equals, Not, Present, Range
from recall.errors import InvalidRequestError, NotReadyError
from recall.live.attributes import indexed_attributes, indexed_columns, stored_attributes
from recall.live.catalog import Catalog
from recall.live.query import AnsweredFrom, RecallQuery, SimilarQuery
from recall.live.records import InteractionRecord, ItemRecord, StoredItem
from recall.live.service import RecallSystem
from recall.live.snapshot import load_generation
from recall.schema import DataSchema, FeatureSpec

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SPECS = {"topic": "category", "tags": "set", "price": "number", "shop": "category"}
SCHEMA = DataSchema(
    name="tiny",
    item_features=tuple(
        FeatureSpec.model_validate({"name": name, "kind": SPECS[name], "domain": name})
        for name in ("topic", "tags", "price")
    ),
    user_features=(FeatureSpec(name="country", kind="category", domain="country"),),
    item_attributes=tuple(
        FeatureSpec.model_validate({"name": name, "kind": kind, "domain": name}) for name, kind in SPECS.items()
    ),
)
CHEAP = Range("price", high=10)


def item(item_id: str, topic: str = "jazz", *, shop: str = "", **features: object) -> ItemRecord:
    attributes = {"shop": shop} if shop else {}
    return ItemRecord(item_id=item_id, features={"topic": topic, **features}, attributes=attributes)


ITEMS = [
    item("j1", price=5.0, tags=("live", "old"), shop="here"),
    item("j2", price=50.0, tags=("live",), shop="there"),
    item("j3", tags=("old",)),
    item("r1", "rock", price=5.0, shop="here"),
]


@pytest.fixture
def catalog(catalog_path: Path) -> Iterator[Catalog]:
    with Catalog.create(catalog_path, SCHEMA) as opened:
        opened.put_items(ITEMS)
        yield opened


def recalled(system: RecallSystem, condition: Condition, **query: object) -> list[str]:
    asked = RecallQuery(history=("r1",), filter=condition, limit=10, **query)
    return sorted(system.recall(asked).item_ids)


def test_recall_returns_only_what_passes_the_filter(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        assert recalled(system, CHEAP) == ["j1"]  # r1 is of the history
        assert recalled(system, CHEAP, exclude_history=False) == ["j1", "r1"]
        assert recalled(system, Not(CHEAP)) == ["j2", "j3"]
        assert recalled(system, Equals("shop", "here"), exclude_history=False, exact=True) == ["j1", "r1"]
        assert recalled(system, AnyOf("tags", ("old",))) == ["j1", "j3"]
        assert recalled(system, AnyOf("tags", ("old",)), candidates=("j1", "j2", "nobody")) == ["j1"]
        assert recalled(system, Equals("topic", "jazz"), exclude=("j2",)) == ["j1", "j3"]


def test_short_recall_says_how_many_pass(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        query = RecallQuery(history=("r1",), filter=CHEAP, limit=5)
        reason = system.recall(query).short_reason
    assert reason == (
        "5 items were wanted, 1 are eligible: the catalogue holds 2 retrievable items that pass the filter, "
        "1 of them excluded"
    )


def test_upserted_item_passes_filters_at_once_and_after_restart_and_rebuild(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert([item("new", price=3.0, shop="there")])
        system.upsert([item("j1", price=50.0, tags=("live", "old"))])  # dearer, and of no shop any more
        assert recalled(system, CHEAP) == ["new"]
        assert recalled(system, Present("shop")) == ["j2", "new"]
    with deployment.serving() as system:  # the same snapshot, with the writes replayed
        assert recalled(system, CHEAP) == ["new"]
        assert recalled(system, Present("shop")) == ["j2", "new"]
    deployment.rebuild()
    with deployment.serving() as system:
        assert system.generation.index.counts().fresh == 0
        assert recalled(system, CHEAP) == ["new"]
        assert recalled(system, Present("shop")) == ["j2", "new"]
        system.delete(["new"])
        assert recalled(system, CHEAP) == []


def test_write_of_attributes_alone_is_seen(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        before = system.generation.index.gather(["j3"])[0]
        system.upsert([item("j3", tags=("old",), shop="here")])
        assert recalled(system, Equals("shop", "here")) == ["j1", "j3"]
        np.testing.assert_array_equal(system.generation.index.gather(["j3"])[0], before)


def test_user_of_whom_nothing_is_known_gets_the_most_popular_that_pass(deployment, catalog) -> None:
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=i) for i in ("j2", "j3", "r1")])
    deployment.rebuild()
    with deployment.serving() as system:
        result = system.recall(RecallQuery(filter=CHEAP, limit=3))
        assert result.answered_from is AnsweredFrom.POPULARITY
        assert result.item_ids == ["r1", "j1"]
        assert "2 are eligible" in result.short_reason


def test_share_of_unseen_items_obeys_the_filter(deployment, make_model) -> None:
    model = make_model(known_items=frozenset(["j2", "j3", "r1"]))
    deployment.rebuild(model=model)
    with deployment.serving(model, fresh_share=0.5) as system:
        system.upsert([item("new", "rock", price=99.0)])
        by_price = RecallQuery(history=("r1",), filter=Range("price", low=20), limit=2)
        assert set(system.recall(by_price).item_ids) == {"new", "j2"}
        assert system.recall(RecallQuery(history=("r1",), filter=CHEAP, limit=2)).item_ids == ["j1"]


def test_filter_that_does_not_fit_is_an_invalid_request(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system, pytest.raises(InvalidRequestError) as refused:
        recalled(system, And((CHEAP, Equals("prize", 3))))
    assert [violation.field for violation in refused.value.violations] == ["filter"]
    assert "filter.conditions[1] compares 'prize', which is no column; known columns are topic (cat" in str(
        refused.value
    )


@pytest.mark.parametrize("version", ["v1", "v1-fused"])
def test_snapshot_from_before_there_were_attributes_says_so(version: str) -> None:
    from recall.live.retriever import Retriever

    folder = min((SAMPLES / version / "snapshots").glob("0*"))
    generation = load_generation(folder, lineage=None)
    query = RecallQuery(history=("i1",), filter=Equals("brand", "brand1"))
    wanted = f"snapshot {folder.name}: filter compares 'brand', but this index or snapshot holds no attributes; rebuild"
    with pytest.raises(NotReadyError, match=wanted):
        Retriever(users=None).recall(generation, [query])
    assert Retriever(users=None).recall(generation, [RecallQuery(history=("i1",))])[0].item_ids


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / "v1", tmp_path / "sample"))


def test_sample_catalogue_is_filtered_after_a_rebuild(sample: Path) -> None:
    from recall.live.rebuild import rebuild

    rebuild(sample / "model", sample / "catalog.sqlite", sample / "snapshots")
    system = RecallSystem.start(sample / "snapshots", sample / "catalog.sqlite")
    try:
        query = RecallQuery(history=("i2",), filter=Equals("brand", "brand1"), limit=20, attributes=("brand",))
        result = system.recall(query)
        brands = [system.get(item_id).item.attributes["brand"] for item_id in result.item_ids]
        assert set(brands) == {"brand1"}
        assert result.attributes == {"brand": brands}
    finally:
        system.close()


def test_sample_snapshot_of_before_attributes_is_answered_with_those_of_the_catalogue(sample: Path) -> None:
    system = RecallSystem.start(sample / "snapshots", sample / "catalog.sqlite")
    try:
        asked = {"limit": 3, "attributes": ("brand",)}
        recalled = system.recall(RecallQuery(history=("i2",), **asked))
        (batched,) = system.recall_batch([RecallQuery(history=("i2",), **asked)])
        for result in (recalled, batched, system.similar(SimilarQuery(item_id="i2", **asked))):
            brands = [system.get(item_id).item.attributes["brand"] for item_id in result.item_ids]
            assert len(brands) == 3
            assert result.attributes == {"brand": brands}
        with pytest.raises(InvalidRequestError, match="attributes: 'colour' is no attribute; known columns are brand"):
            system.recall(RecallQuery(history=("i2",), attributes=("brand", "colour")))
    finally:
        system.close()


def test_answer_holds_the_attributes_asked_for_of_each_item(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert([item("j3", tags=("z", "a", "z"), price=1.0)])
        query = RecallQuery(history=("r1",), candidates=("j1", "j3"), attributes=("price", "tags", "shop"))
        result = system.recall(query)
        assert result.item_ids == ["j1", "j3"] or result.item_ids == ["j3", "j1"]
        rows = {i: [column[place] for column in result.attributes.values()] for place, i in enumerate(result.item_ids)}
        assert rows == {"j1": [5.0, ("live", "old"), "here"], "j3": [1.0, ("a", "z"), None]}
        with pytest.raises(InvalidRequestError, match="attributes: 'colour' is no column; known columns are topic"):
            system.recall(RecallQuery(history=("r1",), attributes=("colour",)))


def test_values_returned_are_those_that_passed_the_filter_whatever_is_written_meanwhile(deployment) -> None:
    deployment.rebuild()
    with deployment.serving(merge=False) as system:
        stop, faults = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                query = RecallQuery(history=("r1",), filter=CHEAP, limit=9, attributes=("price", "shop"))
                result = system.recall(query)
                pairs = list(zip(*result.attributes.values(), strict=True))
                faults.extend(pair for pair in pairs if pair not in ((5.0, "here"), (5.0, None), (1.0, "cheap")))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(60):
            price, shop = ((1.0, "cheap"), (99.0, "dear"))[number % 2]
            system.upsert([item(item_id, price=price, shop=shop) for item_id in ("j2", "j3")])
        stop.set()
        reader.join()
        assert faults == []


def test_stored_attributes_have_the_form_of_indexed_ones() -> None:
    stored = {
        "a": StoredItem(item_id="a", sequence=1, features={"tags": ("b", "a", "b"), "price": 2.0}, attributes={}),
        "b": StoredItem(item_id="b", sequence=2, features={"tags": ()}, attributes={"shop": "here"}),
    }
    assert stored_attributes(SCHEMA, stored, ["b", "gone", "a"], ["tags", "price", "shop"]) == {
        "tags": [None, None, ("a", "b")],
        "price": [None, None, 2.0],
        "shop": ["here", None, None],
    }


def test_columns_are_those_that_filters_can_use() -> None:
    assert [(column.name, column.kind) for column in indexed_columns(SCHEMA)] == list(SPECS.items())
    text = FeatureSpec(name="title", kind="text", domain="title")
    assert indexed_columns(DataSchema(name="odd", item_attributes=(text,))) == ()


def test_value_comes_from_the_attribute_then_from_the_feature_and_is_missing_where_neither_fits() -> None:
    columns = [
        ColumnSpec(name="year", kind="category"),
        ColumnSpec(name="price", kind="number"),
        ColumnSpec(name="tags", kind="set"),
    ]
    features = [
        ({"year": 1991.0, "price": 2.5, "tags": ("a", "b")}, {}),
        ({"year": 1991.0, "price": 2.5}, {"year": "1992", "price": 3.0}),
        ({"year": 1991.5, "price": "1991", "tags": "a"}, {}),
        ({"year": np.ones(2, dtype=np.float32), "price": "dear", "tags": 3.0}, {}),
        ({"year": "", "price": float("inf")}, {"tags": ()}),
    ]
    items = [
        StoredItem(item_id=str(number), sequence=number, features=given, attributes=attributes)
        for number, (given, attributes) in enumerate(features)
    ]
    assert indexed_attributes(columns, items) == [
        {"year": "1991", "price": 2.5, "tags": ("a", "b")},
        {"year": "1992", "price": 3.0},
        {"price": 1991.0},
        {},
        {"tags": ()},
    ]
