"""The only place where errors become gRPC status codes.

Every failed call carries a `google.rpc.Status` in its trailing metadata with `ErrorInfo` (domain `recall.v1`, a reason
from the table below) and, for a bad request, `BadRequest` with every field violation. The whole status stays below the
8 KiB that gRPC allows for metadata; what does not fit is counted in a last violation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from index.errors import (
    InvalidQueryError,
    InvalidVectorError,
    SnapshotDamagedError,
    SnapshotMismatchError,
    VectorIndexError,
)
from recall.errors import (
    ArtifactError,
    CatalogBusyError,
    CatalogError,
    CatalogFullError,
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    RecallError,
    TooLargeError,
    UnavailableError,
    text_for_logs,
)
from recall.serving.request_ids import current_request_id, new_request_id

ERROR_DOMAIN = "recall.v1"

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE_BYTES = 500
_MAX_VIOLATIONS_BYTES = 3_500
_MAX_FIELD_BYTES = 120
_MAX_DESCRIPTION_BYTES = 400

_CODES: tuple[tuple[type[Exception], grpc.StatusCode, str], ...] = (
    (InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (InvalidVectorError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VECTOR"),
    (InvalidQueryError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY"),
    (NotFoundError, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    (NotReadyError, grpc.StatusCode.FAILED_PRECONDITION, "NOT_READY"),
    (SnapshotMismatchError, grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_MISMATCH"),
    (SnapshotDamagedError, grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_DAMAGED"),
    (ArtifactError, grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNUSABLE"),
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE"),
    (CatalogFullError, grpc.StatusCode.RESOURCE_EXHAUSTED, "CATALOG_FULL"),
    (CatalogBusyError, grpc.StatusCode.UNAVAILABLE, "CATALOG_BUSY"),
    (CatalogError, grpc.StatusCode.FAILED_PRECONDITION, "CATALOG_UNUSABLE"),
)
_OPERATOR_ERRORS = (CatalogError, SnapshotDamagedError, SnapshotMismatchError, ArtifactError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a caller is told about one error.

    Attributes:
        code: Canonical gRPC code.
        reason: Reason of the `ErrorInfo`, in capitals.
        message: One line for people.
        violations: Field violations of a bad request.
        metadata: Metadata of the `ErrorInfo`.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    violations: tuple[FieldViolation, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def aborting(context: grpc.ServicerContext) -> Iterator[None]:
    """Runs the body of one RPC; whatever it raises ends the call with a status, through `context.abort*`."""
    try:
        yield
    except Exception as error:
        _abort(context, failure_of(error))


def failure_of(error: Exception) -> Failure:
    """Returns what the caller is told about `error`.

    What the operator must mend is logged; what nobody expected is logged with its trace under a request id.
    """
    if isinstance(error, InvalidRequestError):
        return _bad_request(error)
    if isinstance(error, _OPERATOR_ERRORS):
        _LOG.error("%s: %s", type(error).__name__, text_for_logs(error))
    for kind, code, reason in _CODES:
        if isinstance(error, kind):
            return Failure(code=code, reason=reason, message=str(error))
    return _internal(error)


def _bad_request(error: InvalidRequestError) -> Failure:
    count = len(error.violations)
    message = f"{count} invalid field{'' if count == 1 else 's'}: {error}"
    return Failure(
        code=grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_REQUEST", message=message, violations=error.violations
    )


def _internal(error: Exception) -> Failure:
    request_id = current_request_id() or new_request_id()
    _LOG.error("request %s failed unexpectedly", request_id, exc_info=error)
    shown = f": {error}" if isinstance(error, (RecallError, VectorIndexError)) else ""
    return Failure(
        code=grpc.StatusCode.INTERNAL,
        reason="INTERNAL",
        message=f"internal error{shown}; the server's log has the details under request id {request_id}",
        metadata={"request_id": request_id},
    )


def _abort(context: grpc.ServicerContext, failure: Failure) -> NoReturn:
    status = rpc_status.to_status(status_of(failure))
    kept = tuple(context.trailing_metadata() or ())  # which the status would replace
    context.abort_with_status(status._replace(trailing_metadata=(*kept, *status.trailing_metadata)))  # type: ignore[attr-defined]  # a named tuple
    raise AssertionError("abort_with_status returned")


def status_of(failure: Failure) -> status_pb2.Status:
    """Returns `failure` as the rich status that travels in the trailing metadata."""
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=ERROR_DOMAIN, metadata=dict(failure.metadata))
    details: list[Message] = [info]
    if failure.violations:
        details.append(_shortened(failure.violations))
    return status_pb2.Status(
        code=failure.code.value[0],
        message=_cut(failure.message, _MAX_MESSAGE_BYTES),
        details=[_packed(detail) for detail in details],
    )


def _shortened(violations: Sequence[FieldViolation]) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    for position, violation in enumerate(violations):
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _MAX_FIELD_BYTES),
            description=_cut(violation.description, _MAX_DESCRIPTION_BYTES),
        )
        if request.ByteSize() + entry.ByteSize() > _MAX_VIOLATIONS_BYTES:
            left = len(violations) - position
            request.field_violations.add(field="...", description=f"and {left} more; fix those listed and send again")
            break
        request.field_violations.append(entry)
    return request


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _cut(text: str, max_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    return encoded[: max_bytes - 3].decode(errors="ignore") + "..."
