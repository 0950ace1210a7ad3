"""Metrics as a scraper reads them from a real server."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from recall.errors import ConfigError
from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.serving.call_metrics import SERVICE
from recall.serving.operations_config import MetricsConfig
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

Scrape = Callable[[RecallServer], dict[tuple[str, frozenset[tuple[str, str]]], float]]


def _of(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    """Returns the one sample of a name with these labels, whatever others it has."""
    (value,) = [v for (n, found), v in samples.items() if n == name and labels.items() <= dict(found).items()]
    return value


def _handled(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], method: str) -> dict[str, float]:
    """Returns how many calls of a method ended with which code."""
    wanted = {"grpc_type": "unary", "grpc_service": SERVICE.full_name, "grpc_method": method}
    found = ((dict(labels), value) for (name, labels), value in samples.items() if name == "grpc_server_handled_total")
    return {labels["grpc_code"]: value for labels, value in found if value and wanted.items() <= labels.items()}


def test_every_method_and_code_has_its_series_from_the_start(watched: RecallServer, scrape: Scrape) -> None:
    samples = scrape(watched)
    for method in SERVICE.methods:
        assert _of(samples, "grpc_server_started_total", grpc_method=method.name) == 0
        assert _of(samples, "grpc_server_handling_seconds_count", grpc_method=method.name) == 0
        for code in ("OK", "InvalidArgument", "DeadlineExceeded", "Internal"):
            assert _of(samples, "grpc_server_handled_total", grpc_method=method.name, grpc_code=code) == 0


def test_calls_that_are_refused_unread_count_too(
    system: RecallSystem, start_server: Callable[..., RecallServer], scrape: Scrape
) -> None:
    server = start_server(threads=1, max_in_flight=1, max_wait_seconds=5, metrics={"port": 0})
    server.attach(system)
    request = pb.GetItemRequest(item_id="a0", min_sequence=10**9)
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        calls = [stub.GetItem.future(request, timeout=60) for _ in range(3)]
        deadline = time.perf_counter() + 30
        while sum(call.done() for call in calls) < 2 and time.perf_counter() < deadline:
            time.sleep(0.05)
        codes = [call.code().name for call in calls if call.done()]
        counted = _handled(scrape(server), "GetItem")
        for call in calls:
            call.cancel()
        while sum(_handled(scrape(server), "GetItem").values()) < 3 and time.perf_counter() < deadline:
            time.sleep(0.05)
    assert codes == ["RESOURCE_EXHAUSTED"] * 2
    assert counted["ResourceExhausted"] == 2


def test_calls_count_under_the_code_that_their_caller_got(watched: RecallServer, scrape: Scrape) -> None:
    with grpc.insecure_channel(watched.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        unreadable = channel.unary_unary(f"/{SERVICE.full_name}/GetItem", request_serializer=bytes)
        stub.GetItem(pb.GetItemRequest(item_id="a0"), timeout=30)
        calls = [
            (stub.GetItem, pb.GetItemRequest(item_id="none"), 30.0),
            (stub.GetItem, pb.GetItemRequest(), 30.0),
            (unreadable, b"\xff", 30.0),
            (stub.GetItem, pb.GetItemRequest(item_id="a0", min_sequence=10**9), 0.9),
            (stub.GetItem, pb.GetItemRequest(item_id="a0", min_sequence=10**9), 0.1),
        ]
        codes = []
        for call, request, timeout in calls:
            with pytest.raises(grpc.RpcError) as error:
                call(request, timeout=timeout)
            codes.append(error.value.code().name)
        waiting = stub.GetItem.future(pb.GetItemRequest(item_id="a0", min_sequence=10**9), timeout=1.5)
        time.sleep(0.2)
        waiting.cancel()
        deadline = time.perf_counter() + 10
        while sum(_handled(scrape(watched), "GetItem").values()) < 7 and time.perf_counter() < deadline:
            time.sleep(0.05)
        samples = scrape(watched)
    assert codes == ["NOT_FOUND", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"]
    assert _handled(samples, "GetItem") == {
        "OK": 1, "NotFound": 1, "InvalidArgument": 2, "DeadlineExceeded": 2, "Cancelled": 1,
    }  # fmt: skip
    assert _of(samples, "grpc_server_started_total", grpc_method="GetItem") == 7
    assert _of(samples, "grpc_server_handling_seconds_count", grpc_method="GetItem") == 7
    assert _of(samples, "grpc_server_handling_seconds_sum", grpc_method="GetItem") > 0.5


def test_sizes_and_sequences_are_those_of_the_system(
    watched: RecallServer, system: RecallSystem, scrape: Scrape
) -> None:
    system.upsert([ItemRecord(item_id="new", features={"topic": "a"}), ItemRecord(item_id="a0", features={})])
    system.delete(["b0"])
    samples = scrape(watched)
    parts = {part: _of(samples, "recall_index_items", part=part) for part in ("base", "fresh", "deleted")}
    assert parts == {"base": 8, "fresh": 2, "deleted": 2}
    assert _of(samples, "recall_sequence") == _of(samples, "recall_catalog_sequence") == 11
    assert (_of(samples, "recall_items"), _of(samples, "recall_lag_seconds")) == (8, 0)
    assert _of(samples, "recall_model_info", model_id="b" * 64, snapshot=system.status().snapshot) == 1
    assert 0 <= _of(samples, "recall_snapshot_age_seconds") < 3600
    assert _of(samples, "recall_written_items_total") == 2
    assert _of(samples, "recall_written_items_missing_features_total") == 2
    assert _of(samples, "recall_written_item_feature_missing_total", feature="topic") == 1


def test_audit_and_canary_are_exported(
    open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer], scrape: Scrape
) -> None:
    system = open_system(canary_interval_seconds=0.05, audit_share=1.0)
    server = start_server(metrics={"port": 0})
    try:
        server.attach(system)
        with grpc.insecure_channel(server.address) as channel:
            recall_pb2_grpc.RecallServiceStub(channel).Recall(pb.RecallRequest(user_id="u1", limit=2), timeout=30)
        deadline = time.perf_counter() + 20
        while system.status().audit is None or system.vitals().canary.num_found < 1:  # type: ignore[union-attr]  # it is on
            assert time.perf_counter() < deadline
            time.sleep(0.02)
        samples = scrape(server)
    finally:
        system.close()
    assert _of(samples, "recall_audit_recall") == _of(samples, "recall_audit_recall_high") == 1
    assert (_of(samples, "recall_audits_total"), _of(samples, "recall_audit_below_floor")) == (1, 0)
    assert _of(samples, "recall_canary_seconds_bucket", le="+Inf") == _of(samples, "recall_canary_seconds_count") >= 1
    assert (_of(samples, "recall_canary_failures_total"), _of(samples, "recall_canary_failing")) == (0, 0)
    assert _of(samples, "recall_answers_total", answered_from="history") == 1
    assert _of(samples, "recall_items") == 8


def test_metrics_say_whether_calls_are_answered_and_end_with_the_server(
    start_server: Callable[..., RecallServer], system: RecallSystem, scrape: Scrape
) -> None:
    server = start_server(metrics={"port": 0})
    assert _of(scrape(server), "recall_serving") == 0
    server.attach(system)
    assert _of(scrape(server), "recall_serving") == 1
    address = server.metrics_address
    server.stop()
    assert server.metrics_address is None
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}/metrics", timeout=5)


def test_nothing_listens_unless_a_port_is_set(server: RecallServer) -> None:
    assert server.metrics_address is None
    assert MetricsConfig().is_loopback()
    assert not MetricsConfig(host="0.0.0.0").is_loopback()


def test_a_port_in_use_and_half_a_certificate_are_refused(
    watched: RecallServer, start_server: Callable[..., RecallServer], tmp_path: Path
) -> None:
    port = int(str(watched.metrics_address).rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"metrics cannot be served on 127\.0\.0\.1, port {port}: .*in use"):
        start_server(metrics={"port": port})
    with pytest.raises(ValueError, match=r"metrics\.certificate and metrics\.key go together"):
        MetricsConfig(certificate=tmp_path / "c.pem")
