"""Damage of single rows: real bytes of the file are flipped, then it is read, followed, served and rebuilt."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.ingest import Ingest
from recall.live.query import RecallQuery
from recall.live.records import InteractionRecord, ItemRecord, UserRecord

NUM_ITEMS = 30


def flip(path: Path, text: bytes, *, at: int = 0) -> None:
    """Damages the one place in the file where `text` stands."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    assert content.count(text) == 1
    content[content.index(text) + at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def damaged(catalog: Catalog, make_item: Callable[..., ItemRecord]) -> Path:
    """Items a, b, c of which the payload of b is damaged."""
    catalog.put_items([make_item("a", "topic-one"), make_item("b", "topic-two"), make_item("c", "topic-three")])
    catalog.close()
    flip(catalog.path, b"topic-two", at=3)
    return catalog.path


def test_changes_and_scan_report_the_damaged_item_and_go_on(damaged: Path) -> None:
    with Catalog.open(damaged) as catalog:
        for items in (catalog.changes(0, limit=10), *catalog.scan_items(10)):
            assert [(i.item_id, bool(i.damage)) for i in items] == [("a", False), ("b", True), ("c", False)]
            assert items[1].features == {}
            assert "row 2" in items[1].damage
            assert "upsert the item again" in items[1].damage


def test_get_names_the_damaged_item_and_the_cure(damaged: Path) -> None:
    with Catalog.open(damaged) as catalog:
        with pytest.raises(CatalogError, match=r"item 'b'.*is damaged.*upsert the item again") as caught:
            catalog.get_item("b")
        assert str(damaged) in str(caught.value)
        assert catalog.get_item("a") is not None


def test_a_damaged_item_counts_as_changed_and_an_upsert_or_delete_mends_it(
    damaged: Path, make_item: Callable[..., ItemRecord]
) -> None:
    items = [make_item("a", "topic-one"), make_item("b", "topic-two")]
    with Catalog.open(damaged) as catalog:
        assert catalog.changed_items(items) == items[1:]
        catalog.put_items(items[1:])
        assert catalog.get_item("b") is not None
        assert catalog.changed_items(items) == []
    flip(damaged, b"topic-two")
    with Catalog.open(damaged) as catalog:
        assert catalog.delete_items(["b"]) == (5, 1)
        assert catalog.get_item("b") is None
        assert [bool(item.damage) for item in catalog.changes(0, limit=10)] == [False] * 3


def test_damage_that_spares_the_payload_is_seen_too(catalog: Catalog, make_item: Callable[..., ItemRecord]) -> None:
    record = make_item("a", "jazz")
    catalog.put_items([record, make_item("b", "jazz")])
    for damage in ("deleted = 1", "deleted = 'x'", "checksum = checksum + 1", "checksum = ''", "item_id = 'z'"):
        with sqlite3.connect(catalog.path) as connection:
            connection.execute(f"UPDATE items SET {damage} WHERE sequence = (SELECT min(sequence) FROM items)")
        connection.close()
        assert [bool(item.damage) for item in catalog.changes(0, limit=10)] == [True, False], damage
        assert [len(batch) for batch in catalog.scan_items(10)] == [2], damage
        assert catalog.changed_items([record]) == [record], damage
        catalog.put_items([record, make_item("b", "jazz")])
        catalog.delete_items(["z"])


def test_follow_removes_the_damaged_item_from_the_index_and_says_so_once(
    damaged: Path, make_generation, make_item, caplog
) -> None:
    with Catalog.open(damaged) as catalog:
        ingest = Ingest(catalog, make_generation({"a": "old", "b": "old"}))
        for _ in range(3):
            ingest.follow()
        assert list(ingest.generation.index.item_ids()) == ["a", "c"]
        assert ingest.generation.index.sequence == 3
        assert list(ingest.follower.skipped) == ["b"]
        assert "is damaged" in ingest.follower.skipped["b"]
        assert caplog.text.count("is stored but cannot be retrieved: its row") == 1
        ingest.upsert([make_item("b", "jazz")])
        assert list(ingest.generation.index.item_ids()) == ["a", "b", "c"]
        assert not ingest.follower.skipped


def test_start_serves_all_but_the_damaged_item_and_rebuild_lists_it(deployment, catalog, make_item) -> None:
    catalog.put_items([make_item(item_id, "old") for item_id in "abc"])
    deployment.rebuild()
    catalog.put_items([make_item("b", "topic-two"), make_item("d", "topic-four")])
    catalog.close()
    flip(catalog.path, b"topic-two")
    with deployment.serving() as system:
        assert system.recall(RecallQuery(user_id="u", limit=9)).item_ids == ["a", "c", "d"]
        assert system.status().num_skipped == 1
        with pytest.raises(CatalogError, match="item 'b'"):
            system.get("b")
        name = deployment.rebuild()
        skipped = json.loads((deployment.root / name / "skipped.json").read_text())
        assert list(skipped) == ["b"]
        assert "upsert the item again" in skipped["b"]
    with deployment.serving() as system:
        assert system.generation.snapshot == name
        assert system.status().num_skipped == 1
        system.upsert([make_item("b", "new")])
        assert system.get("b").retrievable
        assert system.status().num_skipped == 0


def test_a_damaged_id_is_read_from_its_second_copy(catalog: Catalog, make_item: Callable[..., ItemRecord]) -> None:
    catalog.put_items([make_item("first-item", "jazz"), make_item("tenth-item", "rock")])
    catalog.close()
    for damage in (1, 0x80):  # another letter, and no UTF-8
        content = bytearray(catalog.path.read_bytes())
        at = [n for n in range(len(content)) if content.startswith(b"first-item", n)]
        assert len(at) == 2
        in_table = next(n for n in at if b"jazz" in content[n : n + 60])
        content[in_table] ^= damage
        catalog.path.write_bytes(content)
        with Catalog.open(catalog.path) as again:
            assert [(i.item_id, i.damage) for i in again.changes(0, limit=9)] == [
                ("first-item", ""),
                ("tenth-item", ""),
            ]
        content[in_table] ^= damage
        catalog.path.write_bytes(content)


def test_a_damaged_id_that_names_another_item_leaves_that_one_alone(catalog: Catalog, make_generation, make_item):
    catalog.put_items([make_item("10", "topic-one"), make_item("11", "topic-two")])
    catalog.close()
    content = catalog.path.read_bytes().replace(b"10\x12", b"11\x12")  # the tag that begins the payload
    catalog.path.write_bytes(content.replace(b"topic-one", b"topic-six"))
    with Catalog.open(catalog.path) as again:
        ingest = Ingest(again, make_generation({}))
        ingest.follow()
        assert list(ingest.generation.index.item_ids()) == ["11"]
        assert list(ingest.follower.skipped) == ["(row 1)"]


def test_a_damaged_user_is_named_and_loading_mends_the_row(catalog: Catalog) -> None:
    user = UserRecord(user_id="u", features={"country": "Ruritania"})
    catalog.put_users([user, UserRecord(user_id="v")])
    catalog.close()
    flip(catalog.path, b"Ruritania")
    with Catalog.open(catalog.path) as again:
        with pytest.raises(CatalogError, match=r"user 'u' is damaged.*load the users again"):
            again.get_user("u")
        assert again.get_user("v") == {}
        assert again.put_users([user]) == 1
        assert again.get_user("u") == user.features


def test_a_damaged_data_schema_is_refused(catalog: Catalog) -> None:
    catalog.close()
    flip(catalog.path, b'"domain":"price"', at=11)
    with pytest.raises(CatalogError, match="its table meta does not fit its checksum; restore a backup"):
        Catalog.open(catalog.path)


def test_a_counter_that_does_not_fit_the_writes_stops_every_write(catalog: Catalog, make_item) -> None:
    catalog.put_items([make_item("a", "jazz"), make_item("b", "jazz")])
    with sqlite3.connect(catalog.path) as connection:
        connection.execute("UPDATE counter SET sequence = 1")
    connection.close()
    for call in (catalog.last_sequence, lambda: catalog.put_items([make_item("c")]), lambda: catalog.delete_items("a")):
        with pytest.raises(CatalogError, match="writes are 1 and 2, its last one of an item 2; restore a backup"):
            call()


def read_all(path: Path) -> dict[str, object]:
    """Reads a catalogue as a rebuild and a server do; a damaged item reads as None."""
    with Catalog.open(path) as catalog:
        catalog.last_sequence()
        items = {item.item_id: item for batch in catalog.scan_items(8) for item in batch}
        seen = {item_id: None if item.damage else dict(item.features) for item_id, item in items.items()}
        return {**seen, "uuid": catalog.uuid, "schema": catalog.schema}


@pytest.mark.slow
def test_no_flipped_bit_is_read_as_if_nothing_were_wrong(catalog: Catalog, make_item) -> None:
    """Every second bit is in the pages of the items. What is left is refused, reported, or as it was."""
    catalog.put_items([make_item(f"item-{n:02}", f"topic-{n}", tags=("x" * n,)) for n in range(NUM_ITEMS)])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="item-01")])
    catalog.close()
    whole, truth = catalog.path.read_bytes(), read_all(catalog.path)
    rows = [n for n in range(len(whole)) if whole.startswith((b"topic-", b"item-"), n)]
    generator = random.Random(0)
    outcomes = {"refused": 0, "reported": 0, "as it was": 0}
    for turn in range(300):
        near = generator.choice(rows) + generator.randrange(-8, 30)
        at = near if turn % 2 else generator.randrange(len(whole))
        content = bytearray(whole)
        at %= len(whole)
        content[at] ^= 1 << generator.randrange(8)
        catalog.path.write_bytes(content)
        try:
            seen = read_all(catalog.path)
        except CatalogError:
            outcomes["refused"] += 1
            continue
        finally:
            for name in ("-wal", "-shm"):
                catalog.path.with_name(catalog.path.name + name).unlink(missing_ok=True)
        wrong = {name: value for name, value in seen.items() if value is not None and value != truth.get(name)}
        assert wrong == {}, at
        assert len(seen) == len(truth), at
        outcomes["reported" if None in seen.values() else "as it was"] += 1
    assert min(outcomes.values()) > 0, outcomes
    assert outcomes["reported"] > 50
