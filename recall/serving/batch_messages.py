"""Batches of recalls: the request, all of whose fields are checked at once, and the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recall.errors import FieldViolation, InvalidRequestError
from recall.live.query import DEFAULT_LIMIT, RecallQuery, Result
from recall.schema import DataSchema
from recall.serving.replies import recall_response
from recall.serving.requests import recall_query
from recall.v1 import recall_pb2 as pb

MAX_REQUESTS = 1_000
MAX_ITEMS = 100_000
"""Most items that the questions of one batch may want together: the reply stays below some megabytes."""


def batch_queries(request: pb.BatchRecallRequest, schema: DataSchema, *, dim: int) -> list[RecallQuery]:
    """Returns the questions of a `BatchRecall` call; see `requests.recall_query`.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed, with paths like `requests[3].limit`.
    """
    violations = _size_violations(request)
    if len(request.requests) > MAX_REQUESTS:
        raise InvalidRequestError(violations)  # what is beyond the bounds is not looked at either
    queries: list[RecallQuery] = []
    for position, one in enumerate(request.requests):
        try:
            queries.append(recall_query(one, schema, dim=dim))
        except InvalidRequestError as error:
            violations += under(f"requests[{position}]", error)
    if violations:
        raise InvalidRequestError(violations)
    return queries


def under(path: str, error: InvalidRequestError) -> list[FieldViolation]:
    """Returns the violations of a message that stands at `path` in the request."""
    return [replace(violation, field=f"{path}.{violation.field}") for violation in error.violations]


def batch_sequence(request: pb.BatchRecallRequest) -> int:
    """Returns the write that has to be visible before any question is answered."""
    return max(one.min_sequence for one in request.requests)


def batch_response(results: Sequence[Result]) -> pb.BatchRecallResponse:
    """Returns the answer of a `BatchRecall` call; there is at least one result, and all are of one moment."""
    return pb.BatchRecallResponse(
        responses=[recall_response(result) for result in results],
        model_id=results[0].model_id,
        sequence=results[0].sequence,
    )


def _size_violations(request: pb.BatchRecallRequest) -> list[FieldViolation]:
    num_requests = len(request.requests)
    if not 1 <= num_requests <= MAX_REQUESTS:
        text = f"there are {num_requests}; send 1 to {MAX_REQUESTS:,}"
        return [FieldViolation(field="requests", description=text)]
    num_items = sum(max(one.limit, 0) or DEFAULT_LIMIT for one in request.requests)
    if num_items > MAX_ITEMS:
        text = f"they want {num_items:,} items together; send less, or lower limits, for at most {MAX_ITEMS:,}"
        return [FieldViolation(field="requests", description=text)]
    return []
