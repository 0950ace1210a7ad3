"""A small slice of the check of one service, with the data and the model of a small demo; and its dictionary."""

from __future__ import annotations

import pytest

from index.conditions import And, Equals, Not, Present
from recall.client import ItemRecord, MissingReason, RecallQuery
from recall.live.query import AnsweredFrom
from service_model import ServiceModel, merged_item


@pytest.mark.slow
def test_a_service_agrees_with_a_dictionary_and_under_readers_and_writers(check):
    report = check("check_service.py", "--steps", 40, "--seconds", 2)
    assert report["steps"] >= 40
    assert report["acknowledged_writes"] > 0
    assert report["item_checks"] > 1000
    assert report["differences"] == []


@pytest.fixture
def model():
    """Item a is red by an attribute and blue by a feature, item b begins at 10 and ends at 20."""
    model = ServiceModel()
    a = ItemRecord(item_id="a", features={"brand": "blue"}, attributes={"brand": "red"})
    model.put([a, ItemRecord(item_id="b", features={"price": 1.0}, available_from=10, available_until=20)], 5)
    return model


def test_the_dictionary_knows_numbers_windows_and_what_filters_compare(model):
    assert model.numbers == {"a": 4, "b": 5}
    assert [set(model.available(now)) for now in (9.9, 10, 19.9, 20)] == [{"a"}, {"a", "b"}, {"a", "b"}, {"a"}]
    assert model.passing(Equals("brand", "red"), 0) == {"a"}
    assert model.passing(Equals("brand", "blue"), 0) == set()
    assert model.passing(And([Present("price"), Not(Present("brand"))]), 15) == {"b"}
    assert model.delete(["a", "a2"], 6) == 1
    assert (set(model.items), model.numbers, model.sequence) == ({"b"}, {"b": 5}, 6)


def test_the_dictionary_knows_what_a_user_is_answered_from(model):
    assert model.answered_from("u") is AnsweredFrom.POPULARITY
    model.users["u"] = {}
    assert model.answered_from("u") is AnsweredFrom.POPULARITY
    model.users["u"] = {"country": "GB"}
    model.events["u"] = {("gone", 1)}
    assert model.answered_from("u") is AnsweredFrom.FEATURES
    model.events["u"].add(("b", 2))
    assert model.answered_from("u") is AnsweredFrom.HISTORY
    assert model.history("u") == {"gone", "b"}
    assert model.forget_user("u")
    assert not model.forget_user("u")


def test_the_dictionary_knows_every_reason_why_an_item_is_not_returned(model):
    model.events["u"] = {("a", 1), ("gone", 2)}
    query = RecallQuery(user_id="u", candidates=("a", "b"), exclude=("a", "gone"), filter=Equals("brand", "blue"))
    wanted = {
        "a": {MissingReason.EXCLUDED, MissingReason.IN_HISTORY, MissingReason.FILTERED},
        "b": {MissingReason.NOT_AVAILABLE, MissingReason.FILTERED},
        "gone": {MissingReason(name) for name in ("not stored", "not a candidate", "excluded", "in history")},
    }
    assert {item_id: set(model.missing(query, item_id, 0)) for item_id in wanted} == wanted
    assert set(model.missing(RecallQuery(user_id="w", candidates=("a",)), "a", 0)) == set()


def test_the_dictionary_merges_fields_and_refuses_windows_that_do_not_fit(model):
    update = ItemRecord(item_id="b", features={"brand": "new"}, attributes={"stock": 1.0}, available_from=20)
    merged = merged_item(model.items["b"], update, {"features.brand", "attributes"})
    assert merged == ItemRecord(
        item_id="b",
        features={"price": 1.0, "brand": "new"},
        attributes={"stock": 1.0},
        available_from=10,
        available_until=20,
    )
    assert merged_item(model.items["b"], update, {"features.price"}).features == {}
    assert merged_item(model.items["b"], update, {"available_from"}) is None
    assert merged_item(model.items["b"], update, {"available_from", "available_until"}).available_until is None
