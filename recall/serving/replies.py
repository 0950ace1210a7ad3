"""Values to reply messages of `recall.v1`."""

from __future__ import annotations

from recall.live.query import AnsweredFrom, Result
from recall.v1 import recall_pb2 as pb

_ANSWERED_FROM = {
    AnsweredFrom.VECTOR: pb.ANSWERED_FROM_VECTOR,
    AnsweredFrom.HISTORY: pb.ANSWERED_FROM_HISTORY,
    AnsweredFrom.FEATURES: pb.ANSWERED_FROM_FEATURES,
    AnsweredFrom.POPULARITY: pb.ANSWERED_FROM_POPULARITY,
}


def recall_response(result: Result) -> pb.RecallResponse:
    """Returns the answer of a `Recall` call."""
    return pb.RecallResponse(
        item_ids=result.item_ids,
        scores=result.scores.tolist(),
        model_id=result.model_id,
        sequence=result.sequence,
        short_reason=result.short_reason,
        answered_from=_ANSWERED_FROM[result.answered_from],
    )


def similar_response(result: Result) -> pb.SimilarItemsResponse:
    """Returns the answer of a `SimilarItems` call."""
    return pb.SimilarItemsResponse(
        item_ids=result.item_ids,
        scores=result.scores.tolist(),
        model_id=result.model_id,
        sequence=result.sequence,
        short_reason=result.short_reason,
    )
