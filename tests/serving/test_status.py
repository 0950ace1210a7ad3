from __future__ import annotations

import logging

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from index.errors import InvalidVectorError, SnapshotMismatchError
from recall.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogFullError,
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    TooLargeError,
    UnavailableError,
)
from recall.serving.status import ERROR_DOMAIN, failure_of, status_of


def _details(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
    return info, bad_request


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x"), grpc.StatusCode.NOT_FOUND),
        (NotReadyError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (SnapshotMismatchError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (CatalogError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (CatalogFullError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (TooLargeError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (CatalogBusyError("x"), grpc.StatusCode.UNAVAILABLE),
        (UnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (DeadlineError("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (InvalidVectorError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (InvalidRequestError([FieldViolation(field="f", description="x")]), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_failure_has_the_code_of_its_error(error: Exception, code: grpc.StatusCode) -> None:
    failure = failure_of(error)
    assert failure.code is code
    info, _ = _details(status_of(failure))
    assert (info.domain, info.reason) == (ERROR_DOMAIN, failure.reason)


def test_unexpected_error_hides_its_text_behind_a_logged_request_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failure = failure_of(KeyError("secret"))
    assert failure.code is grpc.StatusCode.INTERNAL
    assert "secret" not in failure.message
    assert failure.metadata["request_id"] in failure.message
    assert failure.metadata["request_id"] in caplog.text
    assert "secret" in caplog.text


def test_violations_that_do_not_fit_are_counted() -> None:
    violations = [FieldViolation(field=f"items[{n}].item_id", description="ü" * 200) for n in range(1000)]
    status = status_of(failure_of(InvalidRequestError(violations)))
    assert status.ByteSize() < 6_000
    assert status.message.startswith("1000 invalid fields")
    _, bad_request = _details(status)
    shown = len(bad_request.field_violations) - 1
    assert shown >= 5
    assert f"{1000 - shown} more" in bad_request.field_violations[-1].description
