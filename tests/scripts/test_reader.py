"""The checks see what they look for: a reader against a real server and ledgers that are wrong on purpose."""

from __future__ import annotations

import pytest

from ledger import Ledger
from reader import Reader
from recall.client import ItemRecord

PROBE = "b3"


@pytest.fixture
def reader_of(client):
    def make(stored):
        ledger = Ledger(stored)
        return ledger, Reader(client, ledger, probe=PROBE)

    return make


def everything(reader, item_ids):
    return reader.recall(item_ids) + [problem for item_id in item_ids for problem in reader.closely(item_id)]


def test_server_that_holds_what_the_ledger_says_differs_in_nothing(reader_of):
    _, reader = reader_of({"a0": {"topic": "a"}, "gone": None})
    assert everything(reader, ["a0", "gone"]) == []
    assert reader.num_checks == 6


def test_lost_item_is_seen_in_every_way(reader_of):
    _, reader = reader_of({"lost": {"topic": "a"}})
    problems = everything(reader, ["lost"])
    assert [text.split("'lost' ")[1].split(" ")[:2] for text in problems] == [
        ["is", "acknowledged"],
        ["is", "stored"],
        ["is", "not"],
    ]


def test_item_that_came_back_is_seen_by_recall_and_by_id(reader_of):
    _, reader = reader_of({"a0": None})
    problems = everything(reader, ["a0"])
    assert len(problems) == 2
    assert "is deleted and returned" in problems[0]


def test_old_features_are_seen(reader_of):
    _, reader = reader_of({"a0": {"topic": "b"}})
    assert any("was acknowledged as {'topic': 'b'}" in problem for problem in reader.closely("a0"))


def test_items_with_a_write_on_its_way_are_left_out(reader_of):
    ledger, reader = reader_of({"lost": {"topic": "a"}})
    ledger.begin({"lost": None})
    assert everything(reader, ["lost"]) == []


def test_unacknowledged_write_may_be_stored_or_not_but_not_in_part(reader_of, client):
    old = {"n0": None, "n1": None}
    ledger, reader = reader_of(old)
    client.upsert([ItemRecord(item_id="n0", features={"topic": "x"})])
    change = {"n0": {"topic": "x"}, "n1": {"topic": "y"}}
    ledger.begin(change)
    num_stored, num_lost, halves = reader.resolve()
    assert (num_stored, num_lost, len(halves)) == (0, 1, 1)
    client.upsert([ItemRecord(item_id="n1", features={"topic": "y"})])
    ledger.begin(change)
    assert reader.resolve() == (1, 0, [])
    assert everything(reader, list(change)) == []
