"""What requests to write are refused for, and what of them becomes values."""

from __future__ import annotations

import math
import time

import pytest

from recall.errors import InvalidRequestError
from recall.schema import DataSchema, FeatureSpec
from recall.serving import write_requests
from recall.v1 import recall_pb2 as pb

SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="price", kind="number", domain="price"),
    ),
    user_features=(FeatureSpec(name="age", kind="number", domain="age"),),
)


def _fields(error: pytest.ExceptionInfo[InvalidRequestError]) -> list[str]:
    return [violation.field for violation in error.value.violations]


def test_upsert_names_every_invalid_field_of_every_item() -> None:
    items = [
        pb.Item(item_id="", features={"price": pb.FeatureValue(number_value=math.nan)}),
        pb.Item(item_id="a", features={"topic": pb.FeatureValue(number_value=1.0)}),
        pb.Item(item_id="a", features={"price": pb.FeatureValue()}),
    ]
    with pytest.raises(InvalidRequestError) as error:
        write_requests.items_to_upsert(pb.UpsertItemsRequest(items=items), SCHEMA)
    assert _fields(error) == [
        "items[0].item_id",
        "items[0].features.price",
        "items[1].features.topic",
        "items[2].features.price",
        "items[2].item_id",
    ]
    assert "items[1]" in error.value.violations[-1].description


@pytest.mark.parametrize("size", [0, 1_001])
def test_batch_sizes_outside_their_bounds_are_refused(size: int) -> None:
    ids = [str(n) for n in range(size)]
    with pytest.raises(InvalidRequestError, match=rf"{size:,} entries are outside 1..1,000"):
        write_requests.ids_to_delete(pb.DeleteItemsRequest(item_ids=ids))
    with pytest.raises(InvalidRequestError, match=rf"{size:,} entries are outside 1..1,000"):
        write_requests.items_to_upsert(pb.UpsertItemsRequest(items=[pb.Item(item_id=i) for i in ids]), SCHEMA)


def test_delete_refuses_empty_and_repeated_ids() -> None:
    with pytest.raises(InvalidRequestError) as error:
        write_requests.ids_to_delete(pb.DeleteItemsRequest(item_ids=["a", "", "a"]))
    assert _fields(error) == ["item_ids[1]", "item_ids[2]"]


def test_users_and_events_name_every_invalid_field() -> None:
    users = [
        pb.User(features={"age": pb.FeatureValue(string_value="old")}),
        *[pb.User(user_id="u", features={"age": pb.FeatureValue(number_value=4.0)})] * 2,
    ]
    with pytest.raises(InvalidRequestError) as error:
        write_requests.users_to_upsert(pb.UpsertUsersRequest(users=users, request_id="r" * 129), SCHEMA)
    assert _fields(error) == ["request_id", "users[0].user_id", "users[0].features.age", "users[2].user_id"]
    events = [pb.Interaction(user_id="u"), pb.Interaction(item_id="a", timestamp=-1)]
    with pytest.raises(InvalidRequestError) as error:
        write_requests.interactions_to_record(pb.RecordInteractionsRequest(interactions=events))
    wrong = ["interactions[0].item_id", "interactions[1].user_id", "interactions[1].timestamp"]
    assert _fields(error) == wrong


def test_an_event_in_milliseconds_is_refused_and_one_without_a_time_is_of_now() -> None:
    request = pb.RecordInteractionsRequest(interactions=[pb.Interaction(user_id="u", item_id="a")])
    before = int(time.time())
    (event,) = write_requests.interactions_to_record(request)
    assert before <= event.timestamp <= time.time()
    request.interactions[0].timestamp = 0
    assert write_requests.interactions_to_record(request)[0].timestamp == 0
    request.interactions[0].timestamp = 1_700_000_000_000_000
    with pytest.raises(InvalidRequestError, match="send seconds since 1970, not milliseconds"):
        write_requests.interactions_to_record(request)


def test_a_window_that_ends_before_it_begins_and_unknown_paths_are_refused() -> None:
    request = pb.UpsertItemsRequest(items=[pb.Item(item_id="a", available_from=5, available_until=5)])
    request.update_mask.paths.extend(["features.topic", "price", "features.", "available_from"])
    with pytest.raises(InvalidRequestError) as error:
        write_requests.items_to_upsert(request, SCHEMA)
    assert _fields(error) == ["items[0].available_until", "update_mask.paths[1]", "update_mask.paths[2]"]
    request.update_mask.ClearField("paths")
    with pytest.raises(InvalidRequestError, match="update_mask: it is empty"):
        write_requests.update_mask(request)


def test_an_item_that_no_reply_could_hold_is_refused() -> None:
    long = pb.Item(item_id="a", features={"topic": pb.FeatureValue(string_value="x" * 3 * 2**20)})
    with pytest.raises(InvalidRequestError, match="3,145,728") as error:
        write_requests.items_to_upsert(pb.UpsertItemsRequest(items=[pb.Item(item_id="b"), long]), SCHEMA)
    assert _fields(error) == ["items[1]"]


def test_a_request_key_is_that_of_method_and_content() -> None:
    items = pb.DeleteItemsRequest(item_ids=["a"], request_id="r")
    users = pb.DeleteUsersRequest(user_ids=["a"], request_id="r")
    key = write_requests.request_key(items)
    assert key is not None
    assert key == write_requests.request_key(pb.DeleteItemsRequest(item_ids=["a"], request_id="r"))
    assert key != write_requests.request_key(users)
    assert key != write_requests.request_key(pb.DeleteItemsRequest(item_ids=["b"], request_id="r"))
    assert write_requests.request_key(pb.DeleteItemsRequest(item_ids=["a"])) is None
