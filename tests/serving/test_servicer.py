"""Each RPC over a real channel, and each bad request of a hostile or careless client."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

Stub = recall_pb2_grpc.RecallServiceStub

_TOPIC_A = {"topic": pb.FeatureValue(string_value="a")}


def _refused(call: Callable[..., Message], request: Message, **options: float) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=options.get("timeout", 30.0))
    return error.value


def _fields(error: grpc.RpcError) -> list[str]:
    bad_request = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(bad_request)
    return [violation.field for violation in bad_request.field_violations]


def test_recall_answers_a_stored_user_from_the_history_and_leaves_it_out(stub: Stub) -> None:
    reply = stub.Recall(pb.RecallRequest(user_id="u1", limit=2), timeout=30)
    assert list(reply.item_ids) == ["a2", "a3"]
    assert reply.scores == pytest.approx([1.0, 1.0], abs=1e-5)
    assert (reply.answered_from, reply.short_reason) == (pb.ANSWERED_FROM_HISTORY, "")
    assert reply.model_id == "b" * 64
    assert reply.sequence == 8


def test_recall_with_candidates_says_why_it_is_short(stub: Stub) -> None:
    request = pb.RecallRequest(user_id="u1", limit=5, candidate_item_ids=pb.ItemIds(item_ids=["b1", "a0", "gone"]))
    reply = stub.Recall(request, timeout=30)
    assert list(reply.item_ids) == ["b1"]
    assert "candidates" in reply.short_reason
    request.exclude_history = False
    assert list(stub.Recall(request, timeout=30).item_ids) == ["a0", "b1"]


def test_recall_of_an_unknown_user_is_answered_from_popularity(stub: Stub) -> None:
    reply = stub.Recall(pb.RecallRequest(user_id="nobody", limit=3), timeout=30)
    assert list(reply.item_ids) == ["a0", "a1", "a2"]
    assert reply.answered_from == pb.ANSWERED_FROM_POPULARITY


def test_recall_takes_a_vector(stub: Stub, topic_direction: Callable[[str], list[float]]) -> None:
    vector = pb.FloatList(values=topic_direction("b"))
    reply = stub.Recall(pb.RecallRequest(vector=vector, limit=1), timeout=30)
    assert list(reply.item_ids) == ["b0"]
    assert reply.answered_from == pb.ANSWERED_FROM_VECTOR


def test_upserted_item_is_found_at_once_and_gone_after_delete(stub: Stub) -> None:
    written = stub.UpsertItems(pb.UpsertItemsRequest(items=[pb.Item(item_id="new", features=_TOPIC_A)]), timeout=30)
    assert written.sequence == 9
    similar = pb.SimilarItemsRequest(item=pb.Item(features=_TOPIC_A), limit=10)
    assert "new" in stub.SimilarItems(similar, timeout=30).item_ids
    assert "new" in stub.Recall(pb.RecallRequest(user_id="u1", min_sequence=9), timeout=30).item_ids
    stored = stub.GetItem(pb.GetItemRequest(item_id="new"), timeout=30)
    assert (stored.item.features["topic"].string_value, stored.item_sequence, stored.retrievable) == ("a", 9, True)
    deleted = stub.DeleteItems(pb.DeleteItemsRequest(item_ids=["new", "unknown"]), timeout=30)
    assert deleted.num_deleted == 1
    assert "new" not in stub.SimilarItems(similar, timeout=30).item_ids
    assert _refused(stub.GetItem, pb.GetItemRequest(item_id="new")).code() is grpc.StatusCode.NOT_FOUND


def test_validate_only_stores_nothing_and_warns(stub: Stub) -> None:
    item = pb.Item(item_id="new", features={"colour": pb.FeatureValue(string_value="red")})
    reply = stub.UpsertItems(pb.UpsertItemsRequest(items=[item], validate_only=True), timeout=30)
    assert {warning.code for warning in reply.warnings} == {"UNKNOWN_FEATURE", "LOW_INFORMATION"}
    assert _refused(stub.GetItem, pb.GetItemRequest(item_id="new")).code() is grpc.StatusCode.NOT_FOUND


def test_similar_leaves_the_item_itself_out_and_names_an_unknown_one(stub: Stub) -> None:
    reply = stub.SimilarItems(pb.SimilarItemsRequest(item_id="a0", limit=3), timeout=30)
    assert list(reply.item_ids) == ["a1", "a2", "a3"]
    error = _refused(stub.SimilarItems, pb.SimilarItemsRequest(item_id="gone"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "'gone'" in error.details()


def _tags(item_id: str, *tags: str) -> pb.Item:
    features = {"tags": pb.FeatureValue(string_list=pb.StringList(values=tags))}
    return pb.Item(item_id=item_id, features=features)


def test_twins_are_there_once_their_upsert_returned_and_gone_once_deleted(stub: Stub) -> None:
    """Of n1 and n2 3 of 4 tags are common, of n1 and n3 1 of 3."""
    items = [_tags("n1", "p", "q", "r"), _tags("n2", "p", "q", "r", "s"), _tags("n3", "r")]
    stub.UpsertItems(pb.UpsertItemsRequest(items=items), timeout=30)
    request = pb.SimilarItemsRequest(item_id="n1", by=pb.SIMILAR_BY_TWINS, limit=5)
    reply = stub.SimilarItems(request, timeout=30)
    assert (list(reply.item_ids), list(reply.scores)) == (["n2"], [0.75])
    assert (reply.model_id, reply.sequence) == ("b" * 64, 11)
    assert reply.short_reason.startswith("5 items were wanted, 1 found: a twin is one")
    described = pb.SimilarItemsRequest(item=_tags("", "r", "p"), by=pb.SIMILAR_BY_TWINS)
    reply = stub.SimilarItems(described, timeout=30)
    assert list(reply.item_ids) == ["n1", "n2", "n3"]
    assert list(reply.scores) == pytest.approx([2 / 3, 1 / 2, 1 / 2])
    stub.UpsertItems(pb.UpsertItemsRequest(items=[_tags("n2", "z")]), timeout=30)
    assert list(stub.SimilarItems(request, timeout=30).item_ids) == []
    stub.DeleteItems(pb.DeleteItemsRequest(item_ids=["n3"]), timeout=30)
    assert list(stub.SimilarItems(described, timeout=30).item_ids) == ["n1"]


def test_twins_of_an_item_without_words_or_tags_are_none_with_a_reason_and_an_unknown_item_is_named(stub: Stub) -> None:
    reply = stub.SimilarItems(pb.SimilarItemsRequest(item_id="a0", by=pb.SIMILAR_BY_TWINS), timeout=30)
    assert list(reply.item_ids) == []
    assert reply.short_reason == "the item has no twin: it has no word and no value in tags"
    error = _refused(stub.SimilarItems, pb.SimilarItemsRequest(item_id="gone", by=pb.SIMILAR_BY_TWINS))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "'gone'" in error.details()


def test_status_names_what_is_served(stub: Stub) -> None:
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=30)
    assert (status.num_items, status.num_base, status.num_fresh, status.dim) == (8, 8, 0, 8)
    assert {feature.name: feature.kind for feature in status.item_features}["tags"] == "set"
    assert status.index_kind == "flat"
    assert status.index_tuning.reached
    assert [trial.kind for trial in status.index_tuning.tried] == ["flat"]


def test_min_sequence_waits_for_a_write(stub: Stub, system: RecallSystem) -> None:
    waiting = stub.GetItem.future(pb.GetItemRequest(item_id="new", min_sequence=9), timeout=30)
    time.sleep(0.05)
    system.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
    assert waiting.result().sequence == 9


def test_min_sequence_out_of_reach_says_so_before_the_deadline(stub: Stub) -> None:
    error = _refused(stub.Recall, pb.RecallRequest(min_sequence=10**9), timeout=0.9)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "last visible one is 8" in error.details()


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [
        ("GetItem", pb.GetItemRequest(item_id=""), ["item_id"]),
        ("Recall", pb.RecallRequest(limit=-1), ["limit"]),
        ("Recall", pb.RecallRequest(limit=10**9), ["limit"]),
        ("Recall", pb.RecallRequest(vector=pb.FloatList(values=[math.nan] * 8)), ["vector"]),
        ("Recall", pb.RecallRequest(limit=-3, vector=pb.FloatList(values=[1.0])), ["limit", "vector"]),
        ("Recall", pb.RecallRequest(features={"country": pb.FeatureValue(number_value=1)}), ["features.country"]),
        ("SimilarItems", pb.SimilarItemsRequest(item_id="a0", by=7), ["by"]),
        ("SimilarItems", pb.SimilarItemsRequest(limit=2), ["item_id|item"]),
        ("DeleteItems", pb.DeleteItemsRequest(item_ids=["a0", ""]), ["item_ids[1]"]),
        ("UpsertItems", pb.UpsertItemsRequest(), ["items"]),
        (
            "UpsertItems",
            pb.UpsertItemsRequest(
                items=[
                    pb.Item(item_id="fine", features=_TOPIC_A),
                    pb.Item(
                        features={
                            "price": pb.FeatureValue(number_value=math.nan),
                            "tags": pb.FeatureValue(string_value="no set"),
                            "image": pb.FeatureValue(float_list=pb.FloatList(values=[1.0])),
                        }
                    ),
                ]
            ),
            ["items[1].features.image", "items[1].features.price", "items[1].features.tags", "items[1].item_id"],
        ),
    ],
)
def test_bad_request_is_refused_whole_and_the_server_lives(
    stub: Stub, method: str, request_: Message, fields: list[str]
) -> None:
    calls = {
        "GetItem": stub.GetItem,
        "Recall": stub.Recall,
        "SimilarItems": stub.SimilarItems,
        "DeleteItems": stub.DeleteItems,
        "UpsertItems": stub.UpsertItems,
    }
    error = _refused(calls[method], request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(_fields(error)) == fields
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=30)
    assert (status.sequence, status.num_items) == (8, 8)


def test_a_thousand_violations_reach_the_client(stub: Stub) -> None:
    items = [pb.Item(features={"price": pb.FeatureValue(number_value=math.nan)}) for _ in range(1000)]
    error = _refused(stub.UpsertItems, pb.UpsertItemsRequest(items=items))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("2000 invalid fields")


def test_request_beyond_the_message_limit_is_refused(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(max_message_bytes=2**16)
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel:
        stub = Stub(channel)
        error = _refused(stub.Recall, pb.RecallRequest(exclude_item_ids=["x" * 500] * 200))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert stub.GetStatus(pb.GetStatusRequest(), timeout=30).num_items == 8


def test_calls_beyond_those_in_flight_are_refused_at_once(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(max_in_flight=1, max_wait_seconds=5)
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel:
        stub = Stub(channel)
        waiting = stub.Recall.future(pb.RecallRequest(min_sequence=9), timeout=30)
        time.sleep(0.3)
        error = _refused(stub.GetStatus, pb.GetStatusRequest())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        waiting.cancel()
        system.upsert([ItemRecord(item_id="new", features={"topic": "a"})])


def test_concurrent_writers_and_readers_see_their_own_writes(stub: Stub) -> None:
    missing: list[str] = []

    def write(worker: int) -> None:
        for number in range(5):
            item_id = f"w{worker}-{number}"
            item = pb.Item(item_id=item_id, features={"topic": pb.FeatureValue(string_value=item_id)})
            stub.UpsertItems(pb.UpsertItemsRequest(items=[item]), timeout=10)
            found = stub.SimilarItems(pb.SimilarItemsRequest(item=pb.Item(features=item.features), limit=1), timeout=10)
            missing.extend([] if list(found.item_ids) == [item_id] else [item_id])

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not missing
