"""Failed calls as kinds of `RecallError`: the status that the server gave, or what went wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from recall.errors import (
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RecallError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)

_ERRORS: Mapping[grpc.StatusCode, type[RecallError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: NotReadyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooLargeError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
}


def is_unavailable(error: grpc.RpcError) -> bool:
    """Returns whether the call may succeed on another server, or on the same one a moment later."""
    return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE


def typed_error(error: grpc.RpcError, target: str) -> RecallError:
    """Returns what a failed call of `target` means; every invalid field of a bad request is kept."""
    if not isinstance(error, grpc.Call):
        return RecallError(f"{target}: {error}")
    status = rpc_status.from_call(error)
    code = error.code()
    if status is None:
        return _transport_error(code, error.details() or "", target)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        bad_request = error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(bad_request)
        listed = [FieldViolation(field=v.field, description=v.description) for v in bad_request.field_violations]
        return InvalidRequestError(listed or [FieldViolation(field="request", description=status.message)])
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _exhausted(status)
    return _ERRORS.get(code, RecallError)(status.message)


def _exhausted(status: status_pb2.Status) -> RecallError:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    if info.reason == "QUOTA_EXCEEDED":
        return QuotaError(status.message, retry_seconds=retry.retry_delay.ToNanoseconds() / 1e9)
    return OverloadedError(status.message) if info.reason == "OVERLOADED" else TooLargeError(status.message)


def _transport_error(code: grpc.StatusCode, details: str, target: str) -> RecallError:
    # Without details the answer is not from the service: the connection, the deadline or a limit of gRPC itself.
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnavailableError(f"{target} cannot be reached; check the address and that the server runs ({details})")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"{target} did not answer in time; allow more or ask for less ({details})")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return RecallError(f"{target} does not know this call; it may be older than this client ({details})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
        return OverloadedError(f"{target} has too many calls under way; try again later ({details})")
    return _ERRORS.get(code, RecallError)(f"{target}: {code.name}: {details}")
