"""Batches, channels and explanations through a real server and channel."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

Stub = recall_pb2_grpc.RecallServiceStub


def _item(item_id: str, topic: str) -> pb.Item:
    return pb.Item(item_id=item_id, features={"topic": pb.FeatureValue(string_value=topic)})


def _without_floats(reply: pb.RecallResponse) -> Message:
    """Returns the reply with scores rounded: those of a batch may differ in the last bit."""
    rounded = pb.RecallResponse()
    rounded.CopyFrom(reply)
    rounded.ClearField("scores")
    rounded.scores.extend(round(score, 5) for score in reply.scores)
    return rounded


def test_a_batch_is_answered_as_single_calls_are(stub: Stub) -> None:
    requests = [
        pb.RecallRequest(user_id="u1", limit=2),
        pb.RecallRequest(user_id="nobody", limit=3),
        pb.RecallRequest(history=pb.ItemIds(item_ids=["b1"]), limit=20),
        pb.RecallRequest(user_id="u1", channels=[pb.CHANNEL_POPULARITY, pb.CHANNEL_EXACT], limit=4),
    ]
    reply = stub.BatchRecall(pb.BatchRecallRequest(requests=requests), timeout=30)
    alone = [stub.Recall(request, timeout=30) for request in requests]
    assert list(map(_without_floats, reply.responses)) == list(map(_without_floats, alone))
    assert (reply.model_id, reply.sequence) == (alone[0].model_id, alone[0].sequence)
    assert list(reply.responses[0].item_ids) == ["a2", "a3"]
    assert not reply.responses[0].item_channels


def test_a_batch_waits_for_its_greatest_sequence_and_names_wrong_fields_by_their_place(stub: Stub) -> None:
    written = stub.UpsertItems(pb.UpsertItemsRequest(items=[_item("new", "a")]), timeout=30)
    requests = [pb.RecallRequest(user_id="u1"), pb.RecallRequest(user_id="u1", min_sequence=written.sequence)]
    reply = stub.BatchRecall(pb.BatchRecallRequest(requests=requests), timeout=30)
    assert reply.sequence == written.sequence
    assert all("new" in one.item_ids for one in reply.responses)
    requests[1].limit = -1
    with pytest.raises(grpc.RpcError) as error:
        stub.BatchRecall(pb.BatchRecallRequest(requests=requests), timeout=30)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(error.value).details:
        detail.Unpack(bad_request)
    assert [violation.field for violation in bad_request.field_violations] == ["requests[1].limit"]


def test_channels_take_turns_and_one_that_the_model_lacks_says_what_to_do(stub: Stub) -> None:
    """The user chose a0 and a1, which are the most popular; of the others a2 and a3 are of the same topic."""
    request = pb.RecallRequest(
        user_id="u1", channels=[pb.CHANNEL_POPULARITY, pb.CHANNEL_SERVED], limit=4, exclude_history=False
    )
    request.exclude_item_ids.append("a1")
    reply = stub.Recall(request, timeout=30)
    assert list(reply.item_ids) == ["a0", "a2", "a3", "b0"]
    assert list(reply.item_channels) == [pb.CHANNEL_POPULARITY, pb.CHANNEL_SERVED] * 2
    assert reply.scores[0] == 1.0
    request.channels.append(pb.CHANNEL_CONTENT)
    with pytest.raises(grpc.RpcError) as error:
        stub.Recall(request, timeout=30)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "leave CHANNEL_CONTENT out" in str(error.value.details())


def test_an_explanation_follows_an_item_from_its_upsert_to_its_deletion(stub: Stub) -> None:
    recall = pb.RecallRequest(user_id="u1", limit=2)

    def explain(item_id: str) -> pb.ExplainItemResponse:
        return stub.ExplainItem(pb.ExplainItemRequest(recall=recall, item_id=item_id), timeout=30)

    assert [one.reason for one in explain("new").missing] == [pb.MISSING_REASON_NOT_STORED]
    written = stub.UpsertItems(pb.UpsertItemsRequest(items=[_item("a1b", "a")]), timeout=30)
    found = explain("a1b")
    assert (found.is_returned, found.part, found.rank) == (True, pb.INDEX_PART_FRESH, 1)
    assert (found.sequence, found.num_eligible) == (written.sequence, 7)
    assert found.score == pytest.approx(found.vector_score + found.content_score)
    third = explain("a3")  # a1b, a2 and a3 have equal scores, and 2 are wanted
    assert [one.reason for one in third.missing] == [pb.MISSING_REASON_BELOW_LIMIT]
    assert (third.rank, third.score, third.part) == (3, found.score, pb.INDEX_PART_BASE)
    assert third.last_score == found.score
    chosen = explain("a0")
    assert [one.reason for one in chosen.missing] == [pb.MISSING_REASON_IN_HISTORY]
    assert not chosen.HasField("rank")
    stub.DeleteItems(pb.DeleteItemsRequest(item_ids=["a1b"]), timeout=30)
    gone = explain("a1b")
    assert [one.reason for one in gone.missing] == [pb.MISSING_REASON_NOT_STORED]
    assert (gone.is_returned, gone.HasField("score"), gone.part) == (False, False, pb.INDEX_PART_UNSPECIFIED)
    assert explain("a3").is_returned
