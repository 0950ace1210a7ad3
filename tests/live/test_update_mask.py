"""Partial updates: what is kept, replaced and removed, alone and beside other writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recall.errors import InvalidRequestError, NotFoundError
from recall.live.catalog import Catalog
from recall.live.catalog_writes import CatalogWrite, UpdateItems
from recall.live.ingest import Ingest
from recall.live.records import ItemRecord
from recall.live.update_mask import UpdateMask
from recall.live.writes import RequestKey, WarningCode

STORED = ItemRecord(
    item_id="a",
    features={"topic": "jazz", "price": 5.0},
    attributes={"shop": "here", "shelf": 3.0},
    available_from=10,
    available_until=20,
)


@pytest.mark.parametrize(
    ("paths", "update", "wanted"),
    [
        (["features.price"], {"features": {"price": 6.0}}, {"features": {"topic": "jazz", "price": 6.0}}),
        (["features.price"], {"features": {"topic": "folk"}}, {"features": {"topic": "jazz"}}),
        (["features.new.name"], {"features": {"new.name": "x"}}, {"features": STORED.features | {"new.name": "x"}}),
        (["features"], {"features": {"tags": ("x",)}}, {"features": {"tags": ("x",)}}),
        (["attributes.shop"], {"attributes": {"shop": "there"}}, {"attributes": {"shop": "there", "shelf": 3.0}}),
        (["attributes"], {}, {"attributes": {}}),
        (["available_until"], {"available_until": 30, "available_from": 1}, {"available_until": 30}),
        (["available_from", "available_until"], {}, {"available_from": None, "available_until": None}),
    ],
)
def test_named_fields_are_replaced_or_removed_and_all_others_stay(
    paths: list[str], update: dict[str, object], wanted: dict[str, object]
) -> None:
    values = {name: getattr(STORED, name) for name in ("features", "attributes", "available_from", "available_until")}
    merged = UpdateMask.of(paths).merged(STORED, ItemRecord(item_id="a", **update))  # type: ignore[arg-type]
    assert merged == ItemRecord(item_id="a", **(values | wanted))  # type: ignore[arg-type]


def test_a_window_that_no_longer_fits_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="available_until 10 of 'a' is not after available_from 10"):
        UpdateMask.of(["available_until"]).merged(STORED, ItemRecord(item_id="a", available_until=10))


def test_an_item_that_updates_make_too_long_is_refused(catalog: Catalog, make_generation, make_item) -> None:
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz"), make_item("b", "jazz", blurb="x" * 2 * 2**20)])
    longer = [make_item(name, notes="x" * 2 * 2**20) for name in ("a", "b")]
    with pytest.raises(InvalidRequestError, match=r"items\[1\]: it has 4,"):
        ingest.upsert(longer, mask=UpdateMask.of(["features.notes"]))
    assert catalog.last_sequence() == 2


def test_an_update_is_stored_found_and_embedded_anew(catalog: Catalog, make_generation, make_item) -> None:
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz", price=3.0, colour="red"), make_item("b", "jazz")])
    result = ingest.upsert([make_item("a", "rock", price=9.0)], mask=UpdateMask.of(["features.topic"]))
    assert [w.code for w in result.warnings] == [WarningCode.UNKNOWN_FEATURE]
    assert catalog.get_item("a").features == {"topic": "rock", "price": 3.0, "colour": "red"}
    vectors, _ = ingest.generation.index.gather(["a"])
    wanted = ingest.generation.model.vector({"topic": "rock", "price": 3.0})
    np.testing.assert_allclose(vectors[0], wanted, atol=1e-6)
    assert result.sequence == ingest.generation.index.sequence == 3


def test_an_update_of_an_item_that_is_not_stored_writes_nothing(catalog: Catalog, make_generation, make_item) -> None:
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz"), make_item("gone", "jazz")])
    ingest.delete(["gone"])
    mask = UpdateMask.of(["features.price"])
    items = [make_item("a", price=1.0), make_item("gone"), make_item("never")]
    for validate_only in (True, False):
        with pytest.raises(NotFoundError, match="item 'gone' and 1 more is not stored; upsert it whole"):
            ingest.upsert(items, mask=mask, validate_only=validate_only)
    assert catalog.last_sequence() == 3
    assert catalog.get_item("a").features == {"topic": "jazz"}


def test_an_update_is_merged_with_what_another_process_wrote_after_the_trial(
    catalog: Catalog, catalog_path, make_generation, make_item, make_model
) -> None:
    other = Catalog.open(catalog_path)
    written = []

    def write_once(item_ids: list[str]) -> None:
        if catalog.last_sequence() == 1 and not written:
            written.append(other.put_items([make_item("a", "rock", price=3.0)]))

    ingest = Ingest(catalog, make_generation({}, model=make_model(on_embed=write_once)))
    catalog.put_items([make_item("a", "jazz", price=1.0)])
    ingest.upsert([make_item("a", price=2.0)], mask=UpdateMask.of(["features.price"]))
    other.close()
    assert written == [2]
    assert catalog.get_item("a").features == {"topic": "rock", "price": 2.0}
    vectors, _ = ingest.generation.index.gather(["a"])
    wanted = ingest.generation.model.vector({"topic": "rock", "price": 2.0})
    np.testing.assert_allclose(vectors[0], wanted, atol=1e-6)


def test_updates_of_different_fields_side_by_side_lose_none(catalog: Catalog, make_generation, make_item) -> None:
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz")])

    def update(number: int) -> None:
        mask = UpdateMask.of([f"attributes.f{number}"])
        ingest.upsert([ItemRecord(item_id="a", attributes={f"f{number}": float(number)})], mask=mask)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(update, range(40)))
    assert catalog.get_item("a").attributes == {f"f{number}": float(number) for number in range(40)}


def test_a_repeated_update_is_not_applied_again(catalog: Catalog, make_item) -> None:
    catalog.put_items([make_item("a", "jazz")])
    change = UpdateItems([make_item("a", price=1.0)], UpdateMask.of(["features.price"]))
    write = CatalogWrite(change=change, request=RequestKey(request_id="r", digest=b"1"))
    catalog.write([write])
    catalog.put_items([make_item("a", "folk")])
    assert catalog.write([write])[0].is_repeat
    assert catalog.get_item("a").features == {"topic": "folk"}
