"""Replies whose values need a system in a certain state."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc


def test_status_tells_the_last_audit_and_the_lag(
    open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]
) -> None:
    system = open_system(audit_share=1.0, audit_time_share=1.0)
    server = start_server()
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        status = stub.GetStatus(pb.GetStatusRequest(), timeout=30)
        assert not status.HasField("audit")
        assert (status.catalog_sequence, status.lag_seconds) == (8, 0)
        begin, deadline = time.time(), time.perf_counter() + 20
        stub.Recall(pb.RecallRequest(user_id="u1", limit=2), timeout=30)
        while not (status := stub.GetStatus(pb.GetStatusRequest(), timeout=30)).HasField("audit"):
            assert time.perf_counter() < deadline, "the recall was not audited"
            time.sleep(0.02)
    audit = status.audit
    assert (audit.recall, audit.low, audit.high, audit.num_recalls, audit.num_audited) == (1, 1, 1, 1, 1)
    assert begin <= audit.last_time <= time.time()
    assert status.advice.audited_recall == 1
    system.close()
