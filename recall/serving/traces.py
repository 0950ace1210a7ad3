"""Spans of calls for OpenTelemetry, exported over OTLP. The packages are loaded only where traces are asked for.

One span a call, of kind SERVER, below the caller's where its metadata has a `traceparent` (W3C Trace Context). Names
and attributes are those of OpenTelemetry's conventions for RPC; none says what was asked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import Token
from typing import TYPE_CHECKING

import grpc

from recall.errors import ConfigError
from recall.serving.operations_config import TracesConfig

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

# Those with which the server failed; the others are the caller's doing, and no error of the server.
_FAILURES = (
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
)


class CallTraces:
    """Starts a span a call."""

    def __init__(self, provider: TracerProvider) -> None:
        """Takes where spans go; use `of` for a collector."""
        self._provider = provider
        self._tracer = provider.get_tracer("recall.serving")

    @classmethod
    def of(cls, config: TracesConfig) -> CallTraces | None:
        """Returns traces that go to the configured collector; None where there is none.

        Raises:
            ConfigError: The packages are not installed.
        """
        if not config.endpoint:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError as error:
            cure = "install it with: pip install 'dhe-recall[otel]', or leave the key out"
            raise ConfigError(f"traces.endpoint = {config.endpoint!r} needs the extra otel; {cure}") from error
        resource = Resource.create({"service.name": config.service_name})
        provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(config.share)))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=config.endpoint)))
        return cls(provider)

    def start(self, method: str, metadata: Sequence[tuple[str, str | bytes]], request_id: str) -> CallSpan:
        """Begins the span of a call and makes it the current one of this thread."""
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        name = method.removeprefix("/")
        service, _, short = name.partition("/")
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": short,
            "recall.request_id": request_id,
        }
        span = self._tracer.start_span(
            name,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
        )
        return CallSpan(span, context.attach(trace.set_span_in_context(span)))

    def close(self) -> None:
        """Sends what waits and ends."""
        self._provider.shutdown()


class CallSpan:
    """The span of a call under way."""

    def __init__(self, span: Span, token: Token[Context]) -> None:
        """Takes a span that is the current one."""
        self._span = span
        self._token = token

    def end(self, code: grpc.StatusCode) -> None:
        """Ends the span with the code of the call."""
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code in _FAILURES:
            self._span.set_status(StatusCode.ERROR)
        context.detach(self._token)
        self._span.end()


def current_trace_id() -> str:
    """Returns the trace that this thread works for, 32 hexadecimal digits; empty without any."""
    if "opentelemetry.trace" not in sys.modules:  # nobody traces, and loading it here would take half a second
        return ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else ""
