"""What the catalogue stores and in which order it shows it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recall
from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.catalog_file import CatalogFile
from recall.live.convert import to_payload
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.schema import DataSchema, FeatureSpec

SCHEMA = DataSchema(name="shop", item_features=(FeatureSpec(name="title", kind="text", domain="title"),))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create(tmp_path / "c.sqlite", SCHEMA) as catalog:
        yield catalog


def item(item_id: str, title: str = "a title") -> ItemRecord:
    return ItemRecord(item_id=item_id, features={"title": title})


def shown(items: list[StoredItem]) -> list[tuple[int, str, bool]]:
    return [(stored.sequence, stored.item_id, stored.deleted) for stored in items]


def test_new_catalogue_is_empty_and_has_its_own_uuid(catalog: Catalog, tmp_path: Path) -> None:
    with Catalog.create(tmp_path / "other.sqlite", SCHEMA) as other:
        assert other.uuid != catalog.uuid
    assert catalog.last_sequence() == 0
    assert catalog.changes(0, limit=10) == []
    assert list(catalog.scan_items(10)) == []
    assert catalog.popularity() == {}


def test_reopened_catalogue_holds_the_same(catalog: Catalog) -> None:
    catalog.put_items([item("a"), item("b")])
    catalog.put_users([UserRecord(user_id="u", features={"age": 41.0})])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="a", timestamp=5)])
    catalog.close()

    with Catalog.open(catalog.path) as again:
        assert again.uuid == catalog.uuid
        assert again.schema == SCHEMA
        assert again.last_sequence() == 2
        assert again.get_item("b") == StoredItem(item_id="b", sequence=2, features={"title": "a title"})
        assert again.get_user("u") == {"age": 41.0}
        assert again.history("u", 10) == ("a",)


@pytest.mark.parametrize("item_id", ["plain", "Ж ü 漢字 🎬", "a\x00b", "' OR 1=1 --", "%", "x" * 512])
def test_every_kind_of_feature_and_id_comes_back_as_it_went_in(catalog: Catalog, item_id: str) -> None:
    record = ItemRecord(
        item_id=item_id,
        features={
            "genre": "drame français",
            "tags": ("b", "a", "ü"),
            "title": "A title",
            "price": 0.1,
            "image": np.array([1 / 3, -2.5e-38, 3.4e38], dtype=np.float32),
        },
        attributes={"price": -1e300, "shelves": ("x",)},
    )

    catalog.put_items([record])
    stored = catalog.get_item(item_id)

    assert stored is not None
    assert stored.item_id == item_id
    assert stored.features["tags"] == ("b", "a", "ü")
    assert stored.features["price"] == 0.1
    image = stored.features["image"]
    assert isinstance(image, np.ndarray)
    assert image.tobytes() == record.features["image"].tobytes()
    assert to_payload(stored.features, stored.attributes) == to_payload(record.features, record.attributes)


def test_each_written_item_takes_the_next_sequence(catalog: Catalog) -> None:
    assert catalog.put_items([item("a"), item("b"), item("c")]) == 3
    assert catalog.put_items([item("b", "new")]) == 4
    assert catalog.put_items([]) == 4

    assert shown(catalog.changes(0, limit=10)) == [(1, "a", False), (3, "c", False), (4, "b", False)]
    assert shown(catalog.changes(1, limit=1)) == [(3, "c", False)]
    assert catalog.get_item("b") == StoredItem(item_id="b", sequence=4, features={"title": "new"})
    assert catalog.last_sequence() == 4


def test_known_items_are_taken_for_their_own_whole_rows_alone(catalog: Catalog) -> None:
    written = [item("a"), item("b"), item("c"), item("d")]
    catalog.put_items(written)
    catalog.delete_items(["c"])
    with CatalogFile(catalog.path).writing() as connection:
        connection.execute("UPDATE items SET checksum = checksum + 1 WHERE item_id = 'd'")
    known = {1: written[0], 2: item("z"), 4: written[3], 5: written[2]}

    a, b, d, c = catalog.changes(0, limit=10, known=known)

    assert a.features is written[0].features
    assert (b.item_id, b.features) == ("b", written[1].features)
    assert d.damage
    assert (c.deleted, c.features) == (True, {})


def test_last_of_two_writes_of_one_item_in_a_batch_stays(catalog: Catalog) -> None:
    assert catalog.put_items([item("a", "first"), item("a", "second")]) == 2

    assert catalog.changes(0, limit=10) == [StoredItem(item_id="a", sequence=2, features={"title": "second"})]


def test_deletion_leaves_a_tombstone_with_a_new_sequence(catalog: Catalog) -> None:
    catalog.put_items([item("a"), item("b"), item("c")])

    assert catalog.delete_items(["b", "unknown", "a", "b"]) == (5, 2)
    assert catalog.delete_items(["a"]) == (5, 0)

    assert catalog.get_item("a") is None
    assert catalog.num_items() == 1
    assert shown(catalog.changes(0, limit=10)) == [(3, "c", False), (4, "b", True), (5, "a", True)]
    assert catalog.changes(4, limit=10)[0].features == {}
    assert [shown(batch) for batch in catalog.scan_items(10)] == [[(3, "c", False)]]


def test_deleted_item_can_be_put_again(catalog: Catalog) -> None:
    catalog.put_items([item("a")])
    catalog.delete_items(["a"])

    assert catalog.put_items([item("a", "again")]) == 3

    assert shown(catalog.changes(0, limit=10)) == [(3, "a", False)]


def test_changed_items_are_those_not_stored_exactly_like_this(catalog: Catalog) -> None:
    catalog.put_items([item(str(number)) for number in range(1200)])
    catalog.delete_items(["7"])

    offered = [item(str(number), "new" if number == 1100 else "a title") for number in range(1201)]

    assert [record.item_id for record in catalog.changed_items(offered)] == ["7", "1100", "1200"]


def test_scan_shows_each_item_once_while_others_write(catalog: Catalog) -> None:
    catalog.put_items([item(str(number)) for number in range(10)])
    seen = []
    for batch in catalog.scan_items(3):
        seen += [stored.item_id for stored in batch]
        catalog.put_items([item("0"), item("9"), item(f"new {len(seen)}")])

    until = 10
    missed = {stored.item_id for stored in catalog.changes(until, limit=100)}
    assert len(seen) == len(set(seen))
    assert set(seen) | missed >= {str(number) for number in range(10)}
    assert not any(item_id.startswith("new") for item_id in seen)


def test_history_is_ordered_by_time_then_insertion_oldest_first(catalog: Catalog) -> None:
    events = [("c", 30), ("b", 20), ("z", 20), ("a", 10), ("y", 20)]
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=name, timestamp=time) for name, time in events])
    catalog.add_interactions([InteractionRecord(user_id="other", item_id="x", timestamp=99)])

    assert catalog.history("u", 10) == ("a", "b", "z", "y", "c")
    assert catalog.history("u", 2) == ("y", "c")
    assert catalog.history("u", 0) == ()
    assert catalog.history("nobody", 10) == ()


def test_history_counts_an_item_once_at_its_last_time(catalog: Catalog) -> None:
    events = [("a", 1), ("b", 2), ("a", 3), ("c", 3)]
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=name, timestamp=time) for name, time in events])

    assert catalog.history("u", 10) == ("b", "a", "c")
    assert catalog.history("u", 2) == ("a", "c")
    assert catalog.popularity() == {"a": 2, "b": 1, "c": 1}


def test_history_without_times_is_in_order_of_insertion(catalog: Catalog) -> None:
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=name) for name in ("m", "a", "z")])

    assert catalog.history("u", 10) == ("m", "a", "z")


def test_repeated_interaction_is_ignored(catalog: Catalog) -> None:
    event = InteractionRecord(user_id="u", item_id="a", timestamp=7)

    assert catalog.add_interactions([event, event]) == 1
    assert catalog.add_interactions([event]) == 0
    assert catalog.popularity() == {"a": 1}


def test_put_users_counts_those_that_changed(catalog: Catalog) -> None:
    users = [UserRecord(user_id="u", features={"age": 1.0}), UserRecord(user_id="v")]

    assert catalog.put_users(users) == 2
    assert catalog.put_users(users) == 0
    assert catalog.put_users([UserRecord(user_id="u", features={"age": 2.0})]) == 1
    assert (catalog.get_user("u"), catalog.get_user("v"), catalog.get_user("w")) == ({"age": 2.0}, {}, None)


def test_batch_is_written_as_a_whole_or_not_at_all(catalog: Catalog) -> None:
    broken = [item("a"), item("b\ud800")]  # half a surrogate pair is no UTF-8

    with pytest.raises(UnicodeEncodeError):
        catalog.put_items(broken)

    assert catalog.get_item("a") is None
    assert catalog.put_items([item("c")]) == 1


def test_damaged_payload_names_the_item(catalog: Catalog) -> None:
    catalog.put_items([item("a")])
    file = CatalogFile(catalog.path)
    with file.writing() as connection:
        connection.execute("UPDATE items SET payload = x'ffffff'")
    file.close()

    with pytest.raises(CatalogError, match="item 'a': its row 1 in the catalogue is damaged"):
        catalog.get_item("a")


def test_threads_write_and_read_at_once(catalog: Catalog) -> None:
    last: list[int] = []

    def write(name: str) -> None:
        for number in range(20):
            last.append(catalog.put_items([item(f"{name} {number}")]))
            assert catalog.get_item(f"{name} {number}") is not None

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(last) == list(range(1, 81))
    assert [stored.sequence for stored in catalog.changes(0, limit=100)] == list(range(1, 81))


ids = st.sampled_from(["a", "b", "é"])
writes = st.one_of(
    st.tuples(st.just("put"), st.lists(st.tuples(ids, st.text("xyz", max_size=2)), max_size=3)),
    st.tuples(st.just("delete"), st.lists(st.tuples(ids, st.just("")), max_size=3)),
    st.tuples(st.just("reopen"), st.just([])),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(writes, max_size=8))
def test_catalogue_agrees_with_a_dict(steps: list[tuple[str, list[tuple[str, str]]]]) -> None:
    truth: dict[str, tuple[int, str | None]] = {}
    sequence = 0
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog.create(Path(folder) / "c.sqlite", SCHEMA)
        for step, rows in steps:
            if step == "put":
                for item_id, title in rows:
                    sequence += 1
                    truth[item_id] = (sequence, title)
                assert catalog.put_items([item(*row) for row in rows]) == sequence
            elif step == "delete":
                for item_id, _ in rows:
                    if truth.get(item_id, (0, None))[1] is not None:
                        sequence += 1
                        truth[item_id] = (sequence, None)
                assert catalog.delete_items([item_id for item_id, _ in rows])[0] == sequence
            else:
                catalog.close()
                catalog = Catalog.open(catalog.path)
        seen = {
            stored.item_id: (stored.sequence, None if stored.deleted else stored.features["title"])
            for stored in catalog.changes(0, limit=100)
        }
        catalog.close()
    assert seen == truth


WRITER = """
import sys
from pathlib import Path
from recall.live.catalog import Catalog
from recall.live.records import ItemRecord

path, name, num_writes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Catalog.open(path) as catalog:
    for number in range(num_writes):
        item_ids = [f"{name} {number} {part}" for part in range(3)]
        last = catalog.put_items([ItemRecord(item_id=item_id, features={"title": "t" * 500}) for item_id in item_ids])
        print(last, item_ids[-1], sep="\\t", flush=True)
        if number % 5 == 4:
            print(catalog.delete_items([item_ids[0]])[0], f"-{item_ids[0]}", sep="\\t", flush=True)
"""


def start_writer(path: Path, name: str, num_writes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(num_writes)]
    root = Path(recall.__file__).parents[1]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ})


def acknowledged(lines: list[str]) -> list[tuple[int, str]]:
    return [(int(line.split("\t")[0]), line.rstrip("\n").split("\t")[1]) for line in lines if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4])
def test_killed_writer_loses_nothing_that_it_acknowledged(catalog: Catalog, seconds: float) -> None:
    writer = start_writer(catalog.path, "w", 1_000_000)
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    time.sleep(seconds)
    writer.kill()
    lines += writer.stdout.readlines()
    writer.wait()
    catalog.close()

    with Catalog.open(catalog.path) as again:
        writes = acknowledged(lines)
        assert len(writes) > 1
        assert again.last_sequence() >= writes[-1][0]
        by_sequence = {stored.sequence: stored for stored in again.changes(0, limit=1_000_000)}
        for sequence, name in writes:
            assert by_sequence[sequence].item_id == name.removeprefix("-")
            assert by_sequence[sequence].deleted == name.startswith("-")
        assert again.put_items([item("next")]) == max(by_sequence) + 1


@pytest.mark.slow
def test_two_processes_take_distinct_increasing_sequences(catalog: Catalog) -> None:
    writers = [start_writer(catalog.path, name, 40) for name in ("left", "right")]
    outputs = [writer.communicate()[0].splitlines(keepends=True) for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0]
    sequences = [[sequence for sequence, _ in acknowledged(lines)] for lines in outputs]
    assert all(taken == sorted(taken) for taken in sequences)
    assert not set(sequences[0]) & set(sequences[1])
    assert catalog.last_sequence() == 2 * (40 * 3 + 8)
    assert catalog.num_items() == 2 * (40 * 3 - 8)
