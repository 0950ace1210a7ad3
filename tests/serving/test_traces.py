"""Spans of calls over a real channel, taken from an exporter in memory."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from recall.errors import ConfigError
from recall.live.service import RecallSystem
from recall.serving.log_lines import JsonLines
from recall.serving.operations_config import TracesConfig
from recall.serving.server import RecallServer
from recall.serving.traces import CallTraces
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Has servers that are started from now on export into memory."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(CallTraces, "of", lambda config: CallTraces(provider))
    return exporter


def test_a_call_is_one_span_below_that_of_its_caller(
    spans: InMemorySpanExporter,
    start_server: Callable[..., RecallServer],
    system: RecallSystem,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = start_server(log={"calls": True})
    server.attach(system)
    caplog.handler.setFormatter(JsonLines())
    caplog.set_level(logging.INFO, "recall")
    metadata = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "r-1")]
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        stub.Recall(pb.RecallRequest(user_id="u1", limit=2), timeout=30, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            stub.GetItem(pb.GetItemRequest(item_id="none"), timeout=30)
    server.stop()
    first, second = spans.get_finished_spans()
    assert (first.name, first.kind) == ("recall.v1.RecallService/Recall", SpanKind.SERVER)
    assert first.context is not None
    assert first.parent is not None
    assert (format(first.context.trace_id, "032x"), format(first.parent.span_id, "016x")) == (TRACE, PARENT)
    assert dict(first.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "recall.v1.RecallService",
        "rpc.method": "Recall",
        "recall.request_id": "r-1",
        "rpc.grpc.status_code": 0,
    }
    assert second.parent is None
    assert (second.attributes or {})["rpc.grpc.status_code"] == 5
    assert second.status.status_code is StatusCode.UNSET  # the caller's doing
    lines = [json.loads(line) for line in caplog.text.splitlines() if "recall.serving.call_log" in line]
    assert (lines[0]["trace_id"], lines[0]["request_id"]) == (TRACE, "r-1")


def test_nothing_is_traced_by_default() -> None:
    assert CallTraces.of(TracesConfig()) is None


def test_traces_without_their_extra_are_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"needs the extra otel; install it with: pip install 'dhe-recall\[otel\]'"):
        CallTraces.of(TracesConfig(endpoint="http://127.0.0.1:4317"))
