from __future__ import annotations

import pytest

from recall.errors import InvalidRequestError
from recall.live.explanation import Explanation, Missing, MissingReason
from recall.live.query import AnsweredFrom
from recall.schema import DataSchema
from recall.serving.explain_messages import explain_response, explained_query
from recall.v1 import recall_pb2 as pb

NOTHING_KNOWN = Explanation(
    model_id="m",
    sequence=7,
    is_returned=False,
    missing=tuple(Missing(reason=reason, message=reason.value) for reason in MissingReason),
    score=None,
    vector_score=0.0,
    content_score=0.0,
    rank=None,
    num_eligible=3,
    last_score=None,
    part=None,
    answered_from=AnsweredFrom.POPULARITY,
    is_trained=False,
)


def test_every_wrong_field_of_recall_and_item_is_named_at_once() -> None:
    request = pb.ExplainItemRequest(recall=pb.RecallRequest(limit=-1, min_sequence=-1))
    with pytest.raises(InvalidRequestError) as error:
        explained_query(request, DataSchema(name="tiny"), dim=2)
    fields = sorted(violation.field for violation in error.value.violations)
    assert fields == ["item_id", "recall.limit", "recall.min_sequence"]


def test_every_reason_has_its_message_and_what_is_not_known_is_absent() -> None:
    reply = explain_response(NOTHING_KNOWN)
    names = [pb.MissingReason.Name(one.reason) for one in reply.missing]
    assert names == [f"MISSING_REASON_{reason.name}" for reason in MissingReason]
    assert len(names) == len(pb.MissingReason.values()) - 1
    assert reply.missing[0].message == "not stored"
    assert not any(reply.HasField(name) for name in ("score", "rank", "last_score"))
    assert (reply.part, reply.num_eligible) == (pb.INDEX_PART_UNSPECIFIED, 3)
