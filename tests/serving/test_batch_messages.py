from __future__ import annotations

import numpy as np
import pytest

from recall.errors import InvalidRequestError
from recall.live.query import AnsweredFrom, RecallQuery, Result
from recall.schema import DataSchema
from recall.serving.batch_messages import MAX_REQUESTS, batch_queries, batch_response, batch_sequence
from recall.v1 import recall_pb2 as pb

SCHEMA = DataSchema(name="tiny")


def _fields(*requests: pb.RecallRequest) -> list[str]:
    with pytest.raises(InvalidRequestError) as error:
        batch_queries(pb.BatchRecallRequest(requests=requests), SCHEMA, dim=2)
    return [violation.field for violation in error.value.violations]


def test_a_batch_becomes_its_questions_in_their_order() -> None:
    request = pb.BatchRecallRequest(requests=[pb.RecallRequest(user_id="u", limit=3), pb.RecallRequest(exact=True)])
    assert batch_queries(request, SCHEMA, dim=2) == [RecallQuery(user_id="u", limit=3), RecallQuery(exact=True)]


def test_the_greatest_sequence_of_a_batch_holds_for_all() -> None:
    requests = [pb.RecallRequest(min_sequence=sequence) for sequence in (3, 9, 0)]
    assert batch_sequence(pb.BatchRecallRequest(requests=requests)) == 9


def test_every_wrong_field_of_every_question_is_named_at_once() -> None:
    wrong = pb.RecallRequest(limit=-1, channels=[77], exclude_item_ids=["fine", ""], vector=pb.FloatList(values=[1]))
    fields = _fields(pb.RecallRequest(), wrong, pb.RecallRequest(min_sequence=-1))
    assert sorted(fields) == [
        "requests[1].channels[0]",
        "requests[1].exclude_item_ids[1]",
        "requests[1].limit",
        "requests[1].vector",
        "requests[2].min_sequence",
    ]


def test_a_batch_has_at_least_one_question_and_bounds_of_questions_and_items() -> None:
    assert _fields() == ["requests"]
    assert _fields(*[pb.RecallRequest(limit=1)] * (MAX_REQUESTS + 1)) == ["requests"]
    assert _fields(*[pb.RecallRequest(limit=10_000)] * 10, pb.RecallRequest(limit=1)) == ["requests"]
    most = [pb.RecallRequest()] * MAX_REQUESTS  # 100 items each
    assert len(batch_queries(pb.BatchRecallRequest(requests=most), SCHEMA, dim=2)) == MAX_REQUESTS
    assert _fields(*most[1:], pb.RecallRequest(limit=101)) == ["requests"]


def test_a_reply_holds_every_answer_and_what_they_have_in_common() -> None:
    results = [
        Result(
            item_ids=list(ids), scores=np.zeros(len(ids), np.float32), model_id="m", sequence=7,
            answered_from=AnsweredFrom.HISTORY,
        )
        for ids in ("ab", "")
    ]  # fmt: skip
    reply = batch_response(results)
    assert [list(one.item_ids) for one in reply.responses] == [["a", "b"], []]
    assert (reply.model_id, reply.sequence, reply.responses[1].sequence) == ("m", 7, 7)
