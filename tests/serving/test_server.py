from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from recall.client import RecallClient
from recall.errors import ConfigError, UnavailableError
from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.serving.config import ServerConfig
from recall.serving.server import SERVICE_NAME, RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def _health(address: str, service: str = "") -> int:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status


def _services(address: str) -> list[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (reply,) = list(stub.ServerReflectionInfo(iter([request]), timeout=5))
    return [service.name for service in reply.list_services_response.service]


def test_server_without_a_system_is_not_serving_and_unavailable(start_server: Callable[..., RecallServer]) -> None:
    server = start_server()
    assert _health(server.address) == NOT_SERVING
    assert _health(server.address, SERVICE_NAME) == NOT_SERVING
    with RecallClient(server.address) as client, pytest.raises(UnavailableError, match="starting"):
        client.status()


def test_attached_server_is_serving(server: RecallServer) -> None:
    assert _health(server.address) == SERVING
    assert _health(server.address, SERVICE_NAME) == SERVING


def test_watch_sees_the_start_and_the_stop(start_server: Callable[..., RecallServer], system: RecallSystem) -> None:
    server, seen = start_server(), []
    with grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
        seen.append(next(watch).status)
        server.attach(system)
        seen.append(next(watch).status)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        seen.append(next(watch).status)
        watch.cancel()
        stopping.join(10)
    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]


def test_reflection_lists_the_services_on_loopback_and_can_be_switched_off(
    start_server: Callable[..., RecallServer],
) -> None:
    assert SERVICE_NAME in _services(start_server().address)
    with pytest.raises(grpc.RpcError) as error:
        _services(start_server(reflection=False).address)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_second_server_on_a_port_is_refused(start_server: Callable[..., RecallServer]) -> None:
    port = start_server().port
    with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{port}: .* another with --port"):
        start_server(port=port)


def test_stop_lets_a_call_under_way_finish_and_refuses_new_ones(
    server: RecallServer, system: RecallSystem, stub: recall_pb2_grpc.RecallServiceStub
) -> None:
    awaited = stub.GetStatus(pb.GetStatusRequest(), timeout=5).sequence + 1
    waiting = stub.Recall.future(pb.RecallRequest(min_sequence=awaited, limit=1), timeout=10)
    time.sleep(0.3)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    time.sleep(0.2)
    with RecallClient(server.address, timeout_seconds=0.5) as client, pytest.raises(UnavailableError):
        client.status()
    system.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
    assert waiting.result().sequence == awaited
    stopping.join(10)
    assert not stopping.is_alive()


def test_stop_ends_a_call_that_outlives_the_grace_time(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(grace_seconds=0.2)
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        waiting = stub.Recall.future(pb.RecallRequest(min_sequence=10**6), timeout=2)
        time.sleep(0.1)
        server.stop()
        assert waiting.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False), ("h", False)],
)
def test_config_knows_loopback_hosts(host: str, loopback: bool) -> None:
    config = ServerConfig(host=host)
    assert config.is_loopback() is loopback
    assert config.serves_reflection() is loopback
    assert ServerConfig(host=host, reflection=not loopback).serves_reflection() is not loopback
