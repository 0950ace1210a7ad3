from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import numpy as np
import pytest

from recall.errors import CatalogBusyError, CatalogError, DeadlineError, InvalidRequestError
from recall.live import catalog_rows
from recall.live.catalog import Catalog
from recall.live.ingest import Ingest
from recall.live.query import RecallQuery
from recall.live.records import ItemRecord, UserRecord
from recall.live.retriever import Retriever
from recall.live.update_mask import UpdateMask
from recall.live.writes import RequestKey, WarningCode


def neighbours(ingest, topic, limit=1):
    generation = ingest.generation
    vector = generation.model.vector({"topic": topic})
    return Retriever(None).recall(generation, [RecallQuery(vector=vector, limit=limit)])[0].item_ids


def test_upsert_is_stored_and_found_when_it_returns(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({"a": "jazz"}))
    result = ingest.upsert([make_item("b", "rock"), make_item("c", "folk")])
    assert result.sequence == catalog.last_sequence() == ingest.generation.index.sequence == 2
    assert result.model_id == ingest.generation.model.model_id
    assert result.warnings == ()
    assert neighbours(ingest, "rock") == ["b"]
    assert neighbours(ingest, "folk") == ["c"]


def test_upsert_embeds_each_item_once(catalog, make_generation, make_item, make_model):
    embedded = []
    model = make_model(on_embed=embedded.extend)
    ingest = Ingest(catalog, make_generation({}, model=model))
    embedded.clear()
    ingest.upsert([make_item("a", "jazz"), make_item("b", "rock", price=3.0, tags=("x", "y"))])
    assert embedded == ["a", "b"]


def test_upsert_does_not_read_back_what_it_wrote(catalog, make_generation, make_item, monkeypatch):
    ingest = Ingest(catalog, make_generation({}))
    read = []
    original = catalog_rows.item_from_payload
    monkeypatch.setattr(catalog_rows, "item_from_payload", lambda *row: read.append(row[0]) or original(*row))
    request = RequestKey(request_id="r", digest=b"d")
    first = ingest.upsert([make_item("a", "jazz"), make_item("b", "rock")], request=request)
    assert ingest.upsert([make_item("a", "jazz"), make_item("b", "rock")], request=request) == first
    assert read == []
    ingest.upsert([make_item("a", price=2.0)], mask=UpdateMask.of(["features.price"]))
    assert "a" in read
    assert neighbours(ingest, "jazz") == ["a"]


def test_upsert_replaces_an_item(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({"a": "jazz", "b": "rock"}))
    ingest.upsert([make_item("a", "folk")])
    assert neighbours(ingest, "folk") == ["a"]
    assert ingest.generation.index.num_items == 2


def test_delete_is_gone_when_it_returns_and_counts_what_was_stored(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz"), make_item("b", "jazz")])
    result = ingest.delete(["a", "never-there"])
    assert (result.sequence, result.num_deleted) == (3, 1)
    assert neighbours(ingest, "jazz", limit=5) == ["b"]
    assert ingest.delete(["a"]).num_deleted == 0


def test_upsert_of_an_item_that_does_not_fit_stores_nothing(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    with pytest.raises(InvalidRequestError) as caught:
        ingest.upsert([make_item("a", "jazz"), make_item("b", price="cheap"), make_item("c", "x", tags="y")])
    assert [v.field for v in caught.value.violations] == ["items[1].features.price", "items[2].features.tags"]
    with pytest.raises(InvalidRequestError, match=r"items\[1\].features: the served model makes no usable vector"):
        ingest.upsert([make_item("a", "jazz"), make_item("b", price=-1.0)])
    assert catalog.last_sequence() == 0
    assert ingest.generation.index.num_items == 0


def test_validate_only_stores_nothing_and_warns(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({"a": "jazz"}))
    result = ingest.upsert([make_item("b", colour="red")], validate_only=True)
    assert [w.code for w in result.warnings] == [WarningCode.UNKNOWN_FEATURE, WarningCode.LOW_INFORMATION]
    assert result.sequence == 0
    assert catalog.get_item("b") is None
    assert "b" not in ingest.generation.index


def test_upsert_keeps_an_unknown_feature_and_names_it(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    (warning,) = ingest.upsert([make_item("a", "jazz", colour="red")]).warnings
    assert (warning.item_id, warning.code) == ("a", "UNKNOWN_FEATURE")
    assert "'colour'" in warning.message
    assert catalog.get_item("a").features == {"topic": "jazz", "colour": "red"}


def test_warnings_stay_short_enough_for_a_reply_and_lose_no_item_without_information(
    catalog, make_generation, make_item
):
    ingest = Ingest(catalog, make_generation({}))
    colours = {f"colour_{place:03}": "red" for place in range(200)}
    warnings = ingest.upsert([make_item(f"i{place:03}", **colours) for place in range(100)]).warnings
    assert sum(len(w.message) for w in warnings) < 2**20
    assert [w.item_id for w in warnings if w.code == "LOW_INFORMATION"] == [f"i{place:03}" for place in range(100)]
    named = [w for w in warnings if w.code == "UNKNOWN_FEATURE"]
    assert f"{20_000 - len(named) + 1:,} more unknown features" in named[-1].message
    assert named[-1].item_id >= named[-2].item_id


def test_warnings_about_users_stay_short_enough_for_a_reply(catalog, make_generation):
    ingest = Ingest(catalog, make_generation({}))
    users = [UserRecord(user_id="u", features={f"colour_{place:05}": "red" for place in range(20_000)})]
    warnings = ingest.upsert_users(users, validate_only=True).warnings
    assert len(warnings) < 20_000
    assert "more unknown features" in warnings[-1].message


def test_follow_applies_what_another_process_wrote(catalog, catalog_path, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    with Catalog.open(catalog_path) as other:
        other.put_items([make_item(name, "jazz") for name in "abc"])
        other.delete_items(["b"])
    assert neighbours(ingest, "jazz", limit=5) == []
    ingest.follow()
    assert neighbours(ingest, "jazz", limit=5) == ["a", "c"]
    assert ingest.generation.index.sequence == 4


def test_upsert_also_applies_what_another_process_wrote_before(catalog, catalog_path, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    with Catalog.open(catalog_path) as other:
        other.put_items([make_item("a", "jazz")])
    ingest.upsert([make_item("b", "jazz")])
    assert neighbours(ingest, "jazz", limit=5) == ["a", "b"]


def test_follow_skips_an_item_that_cannot_be_embedded_until_it_can(catalog, make_generation, make_item, caplog):
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("bad", "rock")])
    catalog.put_items([make_item("bad", price="cheap"), make_item("good", "jazz"), make_item("worse", price=-1.0)])
    ingest.follow()
    assert set(ingest.follower.skipped) == {"bad", "worse"}
    assert "feature 'price'" in ingest.follower.skipped["bad"]
    assert "the item of write 2 is stored but cannot be retrieved" in caplog.text
    assert ingest.generation.index.sequence == 4
    assert list(ingest.generation.index.item_ids()) == ["good"]
    ingest.upsert([make_item("bad", "folk")])
    ingest.delete(["worse"])
    assert not ingest.follower.skipped
    assert neighbours(ingest, "folk") == ["bad"]


def test_follow_of_more_changes_than_a_batch_reaches_the_end(catalog, make_generation, make_item, monkeypatch):
    monkeypatch.setattr("recall.live.follower._BATCH_SIZE", 4)
    ingest = Ingest(catalog, make_generation({}))
    for last in (4, 12, 17):
        catalog.put_items([make_item(f"i{n:02}", "jazz") for n in range(catalog.last_sequence(), last)])
        ingest.follow()
        assert ingest.generation.index.sequence == ingest.generation.index.num_items == last


def test_concurrent_upserts_are_all_found_when_they_return(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    barrier = threading.Barrier(8)

    def write(worker):
        barrier.wait()
        for n in range(20):
            topic = f"topic-{worker}-{n}"
            result = ingest.upsert([make_item(f"item-{worker}-{n}", topic)])
            assert neighbours(ingest, topic) == [f"item-{worker}-{n}"]
            assert ingest.generation.index.sequence >= result.sequence
        return result.sequence

    with ThreadPoolExecutor(8) as pool:
        sequences = list(pool.map(write, range(8)))
    assert max(sequences) == catalog.last_sequence() == 160
    assert ingest.generation.index.num_items == 160


def test_concurrent_upserts_of_one_item_leave_the_stored_one(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ingest.upsert([make_item("a", f"t{n}")]), range(64)))
    topic = catalog.get_item("a").features["topic"]
    vectors, _ = ingest.generation.index.gather(["a"])
    assert np.allclose(vectors[0], ingest.generation.model.vector({"topic": topic}))


def grouped(ingest, writes):
    """Makes writes wait for each other, so that they form one group; returns what each returned or raised, by name."""
    outcomes = {}

    def run(name, write):
        try:
            outcomes[name] = write()
        except (CatalogError, UnicodeEncodeError) as error:
            outcomes[name] = error

    threads = [threading.Thread(target=run, args=pair) for pair in writes.items()]
    with ingest._lock:
        for thread in threads:
            thread.start()
        while len(ingest._queue) < len(threads):
            pass
    for thread in threads:
        thread.join()
    return outcomes


def num_commits(catalog):
    """Counts commits in the log: frames whose header, after that of the file, names the size of the database."""
    log = catalog.path.with_name(catalog.path.name + "-wal").read_bytes()
    return sum(log[at + 4 : at + 8] != bytes(4) for at in range(32, len(log), 24 + 4096))


def test_writes_that_wait_take_one_commit_together_and_replies_of_their_own(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("old", "jazz")])
    before = num_commits(catalog)
    writes = {name: partial(ingest.upsert, [make_item(name, "jazz")]) for name in "abcdef"}
    outcomes = grouped(ingest, {**writes, "delete": partial(ingest.delete, ["old"])})
    assert num_commits(catalog) == before + 1
    assert sorted(outcome.sequence for outcome in outcomes.values()) == [2, 3, 4, 5, 6, 7, 8]
    assert outcomes["delete"].num_deleted == 1
    assert neighbours(ingest, "jazz", limit=9) == list("abcdef")
    ingest.upsert([make_item("g", "jazz")])
    assert num_commits(catalog) == before + 2


def test_a_failing_request_does_not_fail_those_in_its_group(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    writes = {name: partial(ingest.upsert, [make_item(name, "jazz")]) for name in "abc"}
    bad = ItemRecord(item_id="bad\udc80", features={"topic": "jazz"})  # half a character: cannot be stored
    outcomes = grouped(ingest, {"bad": partial(ingest.upsert, [make_item("ok", "jazz"), bad]), **writes})
    assert isinstance(outcomes.pop("bad"), UnicodeEncodeError)
    assert sorted(outcome.sequence for outcome in outcomes.values()) == [1, 2, 3]
    assert neighbours(ingest, "jazz", limit=5) == ["a", "b", "c"]


def test_a_lock_of_another_process_is_waited_for_once_a_group(
    catalog, catalog_path, make_generation, make_item, monkeypatch
):
    monkeypatch.setattr("recall.live.catalog_file.BUSY_TIMEOUT_SECONDS", 0.05)
    tried = []
    with Catalog.open(catalog_path) as patient, closing(sqlite3.connect(catalog_path, isolation_level=None)) as other:
        monkeypatch.setattr(
            patient, "write", lambda writes: (tried.append(len(writes)), Catalog.write(patient, writes))
        )
        ingest = Ingest(patient, make_generation({}))
        other.execute("BEGIN IMMEDIATE")
        outcomes = grouped(ingest, {name: partial(ingest.upsert, [make_item(name, "jazz")]) for name in "abc"})
        assert [type(outcome) for outcome in outcomes.values()] == [CatalogBusyError] * 3
        assert tried == [3]


def test_a_closed_catalogue_fails_the_write_and_not_the_next_search(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({"a": "jazz"}))
    catalog.close()
    with pytest.raises(CatalogError, match="closed"):
        ingest.upsert([make_item("b", "jazz")])
    assert neighbours(ingest, "jazz", limit=5) == ["a"]


def test_switch_replays_and_embeds_with_the_new_model(catalog, make_generation, make_item, make_model):
    ingest = Ingest(catalog, make_generation({}))
    ingest.upsert([make_item("a", "jazz"), make_item("b", "rock")])
    other = make_model(model_id="b" * 64)
    ingest.switch(make_generation({}, model=other))
    assert ingest.generation.model is other
    assert ingest.generation.index.sequence == 2
    assert neighbours(ingest, "rock") == ["b"]
    assert ingest.upsert([make_item("c", "folk")]).model_id == "b" * 64
    assert neighbours(ingest, "folk") == ["c"]


def test_an_upsert_tried_with_the_old_model_is_embedded_again(catalog, make_generation, make_item, make_model):
    other = make_generation({}, model=make_model(model_id="b" * 64))
    ingest = None

    def switch_once(item_ids):
        if ingest is not None and ingest.generation.model.model_id != "b" * 64:
            ingest.switch(other)

    ingest = Ingest(catalog, make_generation({}, model=make_model(on_embed=switch_once)))
    ingest.upsert([make_item("a", "jazz")])
    vectors, _ = ingest.generation.index.gather(["a"])
    assert np.allclose(vectors[0], other.model.vector({"topic": "jazz"}))


def test_wait_for_returns_once_the_write_is_visible(catalog, make_generation, make_item):
    ingest = Ingest(catalog, make_generation({}))
    catalog.put_items([make_item("a", "jazz")])
    timer = threading.Timer(0.05, ingest.follow)
    timer.start()
    ingest.wait_for(1, timeout_seconds=5)
    assert "a" in ingest.generation.index
    timer.join()


def test_wait_for_a_write_that_does_not_come_says_so(catalog, make_generation):
    ingest = Ingest(catalog, make_generation({}))
    with pytest.raises(DeadlineError, match=r"write 7 is not visible after 0\.01 s, the last visible one is 0"):
        ingest.wait_for(7, timeout_seconds=0.01)
