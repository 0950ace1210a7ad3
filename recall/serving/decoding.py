"""Requests whose bytes are no message of their kind are invalid arguments; gRPC by itself calls them internal errors.

Protocol buffers are read to a depth of 100 messages within each other, so a filter may also be too deep to be read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
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
    """Answers calls whose request cannot be read with INVALID_ARGUMENT.

    Left to gRPC, such a message in a stream would also keep the server from ever stopping: the call gets two statuses.
    """

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler of a call, which looks at the request first."""
        handler = continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        codecs = (_reading(handler.request_deserializer), handler.response_serializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(_refusing(handler.unary_unary), *codecs)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(_refusing(handler.unary_stream), *codecs)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(_refusing_in_stream(handler.stream_stream), *codecs)
        return handler


def _reading(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        try:
            return parse(content)
        except DecodeError as error:
            return Unreadable(str(error))

    return read


def _refusing(answer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(answer)  # keeps the threads that it asks for
    def answer_readable(request: Any, context: grpc.ServicerContext, *send: Callable[[Any], None]) -> Any:
        _refuse_unreadable(request, context)
        return answer(request, context, *send)

    return answer_readable


def _refusing_in_stream(answer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(answer)
    def answer_readable(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        return answer(_readable(requests, context), context)

    return answer_readable


def _readable(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
    for request in requests:
        _refuse_unreadable(request, context)
        yield request


def _refuse_unreadable(request: Any, context: grpc.ServicerContext) -> None:
    if isinstance(request, Unreadable):
        with aborting(context):
            text = f"its bytes cannot be read: {request.reason}; send one message of the call's kind, less deep"
            raise InvalidRequestError([FieldViolation(field="request", description=text)])
