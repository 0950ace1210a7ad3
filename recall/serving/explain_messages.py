"""Explanations: the request, all of whose fields are checked at once, and the reply."""

from __future__ import annotations

from collections.abc import Sequence

from index.attributes import ColumnSpec
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.convert import check_id
from recall.live.explanation import Explanation, Missing, MissingReason
from recall.live.query import RecallQuery
from recall.schema import DataSchema
from recall.serving.batch_messages import under
from recall.serving.replies import ANSWERED_FROM
from recall.serving.requests import recall_query
from recall.v1 import recall_pb2 as pb

_REASONS = {
    MissingReason.NOT_STORED: pb.MISSING_REASON_NOT_STORED,
    MissingReason.NOT_EMBEDDED: pb.MISSING_REASON_NOT_EMBEDDED,
    MissingReason.NOT_AVAILABLE: pb.MISSING_REASON_NOT_AVAILABLE,
    MissingReason.NOT_A_CANDIDATE: pb.MISSING_REASON_NOT_A_CANDIDATE,
    MissingReason.EXCLUDED: pb.MISSING_REASON_EXCLUDED,
    MissingReason.IN_HISTORY: pb.MISSING_REASON_IN_HISTORY,
    MissingReason.FILTERED: pb.MISSING_REASON_FILTERED,
    MissingReason.BELOW_LIMIT: pb.MISSING_REASON_BELOW_LIMIT,
    MissingReason.MISSED_BY_INDEX: pb.MISSING_REASON_MISSED_BY_INDEX,
}
_PARTS = {None: pb.INDEX_PART_UNSPECIFIED, "base": pb.INDEX_PART_BASE, "fresh": pb.INDEX_PART_FRESH}


def explained_query(
    request: pb.ExplainItemRequest, schema: DataSchema, *, dim: int, columns: Sequence[ColumnSpec] = ()
) -> RecallQuery:
    """Returns the recall of an `ExplainItem` call, whose item id is checked too; see `requests.recall_query`.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed, with paths like `recall.limit`.
    """
    violations: list[FieldViolation] = []
    query = RecallQuery()
    try:
        query = recall_query(request.recall, schema, dim=dim, columns=columns)
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
        part=_PARTS[explanation.part],
        answered_from=ANSWERED_FROM[explanation.answered_from],
        is_trained=explanation.is_trained,
    )


def _missing(one: Missing) -> pb.Missing:
    return pb.Missing(reason=_REASONS[one.reason], message=one.message)
