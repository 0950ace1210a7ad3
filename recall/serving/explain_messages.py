"""Explanations: the request, all of whose fields are checked at once, and the reply."""

from __future__ import annotations

from recall.errors import FieldViolation, InvalidRequestError
from recall.live.convert import check_id
from recall.live.explanation import Explanation, Missing
from recall.live.query import RecallQuery
from recall.live.wire_enums import ANSWERED_FROM, MISSING_REASONS, PARTS
from recall.schema import DataSchema
from recall.serving.batch_messages import under
from recall.serving.requests import recall_query
from recall.v1 import recall_pb2 as pb


def explained_query(request: pb.ExplainItemRequest, schema: DataSchema, *, dim: int) -> RecallQuery:
    """Returns the recall of an `ExplainItem` call, whose item id is checked too; see `requests.recall_query`.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed, with paths like `recall.limit`.
    """
    violations: list[FieldViolation] = []
    query = RecallQuery()
    try:
        query = recall_query(request.recall, schema, dim=dim)
    except InvalidRequestError as error:
        violations += under("recall", error)
    violations += check_id(request.item_id, path="item_id")
    if violations:
        raise InvalidRequestError(violations)
    return query


def explain_response(explanation: Explanation) -> pb.ExplainItemResponse:
    """Returns the answer of an `ExplainItem` call."""
    return pb.ExplainItemResponse(
        model_id=explanation.model_id,
        sequence=explanation.sequence,
        is_returned=explanation.is_returned,
        missing=[_missing(one) for one in explanation.missing],
        score=explanation.score,
        vector_score=explanation.vector_score,
        content_score=explanation.content_score,
        rank=explanation.rank,
        num_eligible=explanation.num_eligible,
        last_score=explanation.last_score,
        part=PARTS[explanation.part],
        answered_from=ANSWERED_FROM[explanation.answered_from],
        is_trained=explanation.is_trained,
    )


def _missing(one: Missing) -> pb.Missing:
    return pb.Missing(reason=MISSING_REASONS[one.reason], message=one.message)
