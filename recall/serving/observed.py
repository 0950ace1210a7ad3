"""One interceptor around every call with one request and one reply: its id, its metrics, its log line and its span.

It stands outermost, so that calls which another interceptor refuses count too. What gRPC refuses itself, before any
interceptor (`max_in_flight`), is not seen here; streams (health `Watch`, reflection) pass through.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from recall.serving.call_log import CallLog
from recall.serving.call_metrics import SERVICE, CallMetrics
from recall.serving.request_ids import KEY, request_id_of, set_request_id
from recall.serving.traces import CallTraces

_Behavior = Callable[[Any, grpc.ServicerContext], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Who is told of calls.

    Attributes:
        metrics: Counts them.
        log: Writes lines about some.
        traces: Makes spans of them; None where nothing is traced.
    """

    metrics: CallMetrics
    log: CallLog
    traces: CallTraces | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call: path of its method, its id, what came with it and when."""

    method: str
    request_id: str
    metadata: tuple[tuple[str, str | bytes], ...]
    arrived: float


class Observed(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Tells observers of each call, whatever comes of it."""

    def __init__(self, observers: Observers) -> None:
        """Takes who is told."""
        self._observers = observers
        self._own_prefix = f"/{SERVICE.full_name}/"

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler of a call, which is watched."""
        arrived = time.perf_counter()
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        if handler.unary_unary is not None:
            make, answer = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        elif handler.stream_unary is not None:  # of a call that is refused unread
            make, answer = grpc.stream_unary_rpc_method_handler, handler.stream_unary
        else:
            return handler
        metadata = tuple(handler_call_details.invocation_metadata or ())
        call = _Call(
            method=handler_call_details.method,
            request_id=request_id_of(metadata),
            metadata=metadata,
            arrived=arrived,
        )
        return make(
            self._watched(answer, call),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _watched(self, answer: _Behavior, call: _Call) -> _Behavior:
        @functools.wraps(answer)  # which keeps the threads that gRPC is to answer with, see `Guard`
        def watch(request: Any, context: grpc.ServicerContext) -> Any:
            set_request_id(call.request_id)
            context.set_trailing_metadata(((KEY, call.request_id),))
            self._observers.metrics.started(call.method)
            traces = self._observers.traces if call.method.startswith(self._own_prefix) else None
            span = None if traces is None else traces.start(call.method, call.metadata, call.request_id)
            failed = True
            try:
                reply = answer(request, context)
                failed = False
            finally:
                code = ended_with(context, failed=failed)
                seconds = time.perf_counter() - call.arrived
                self._observers.metrics.handled(call.method, code, seconds=seconds)
                self._observers.log.note(call.method, code, seconds)
                if span is not None:
                    span.end(code)
            return reply

        return watch


def ended_with(context: grpc.ServicerContext, *, failed: bool) -> grpc.StatusCode:
    """Returns the code that the caller gets.

    Args:
        context: Of a call whose handler has just ended.
        failed: Whether it raised, as `context.abort` does.
    """
    if not context.is_active():  # the caller is gone, so that no code reaches it
        left = context.time_remaining()
        return grpc.StatusCode.DEADLINE_EXCEEDED if left is not None and left <= 0 else grpc.StatusCode.CANCELLED
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]  # the stubs lack it
    if failed:
        return grpc.StatusCode.UNKNOWN if code in (None, grpc.StatusCode.OK) else code
    return grpc.StatusCode.OK if code is None else code
