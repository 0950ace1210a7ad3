"""Requests whose bytes are no message of their kind are invalid arguments; gRPC by itself calls them internal errors.

Protocol buffers are read to a depth of 100 messages within each other, so a filter may also be too deep to be read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from recall.errors import FieldViolation, InvalidRequestError
from recall.serving.status import aborting


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a request; `reason` is what its parser said."""

    reason: str


class RefusesUnreadable(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Answers calls whose request cannot be read with INVALID_ARGUMENT."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler of a call, which looks at the request first."""
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None or handler.request_deserializer is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _refusing(handler.unary_unary),
            request_deserializer=_reading(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


def _reading(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        try:
            return parse(content)
        except DecodeError as error:
            return Unreadable(str(error))

    return read


def _refusing(answer: Callable[[Any, grpc.ServicerContext], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    @functools.wraps(answer)  # keeps the threads that it asks for
    def answer_readable(request: Any, context: grpc.ServicerContext) -> Any:
        if not isinstance(request, Unreadable):
            return answer(request, context)
        with aborting(context):
            text = f"its bytes cannot be read: {request.reason}; send one message of the call's kind, less deep"
            raise InvalidRequestError([FieldViolation(field="request", description=text)])

    return answer_readable
