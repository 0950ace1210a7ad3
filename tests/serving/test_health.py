from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from recall.serving.server import SERVICE_NAME, RecallServer

UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)
SECONDS = 60.0


@pytest.fixture
def health(start_server: Callable[..., RecallServer]) -> Iterator[health_pb2_grpc.HealthStub]:
    with grpc.insecure_channel(start_server().address) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def _asked(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


def test_states_are_known_by_name(health: health_pb2_grpc.HealthStub) -> None:
    assert [health.Check(_asked(name), timeout=SECONDS).status for name in ("", SERVICE_NAME)] == [NOT_SERVING] * 2
    with pytest.raises(grpc.RpcError) as error:
        health.Check(_asked("other"), timeout=SECONDS)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert next(health.Watch(_asked("other"), timeout=SECONDS)).status == SERVICE_UNKNOWN
    listed = health.List(health_pb2.HealthListRequest(), timeout=SECONDS).statuses
    assert {name: state.status for name, state in listed.items()} == {"": NOT_SERVING, SERVICE_NAME: NOT_SERVING}


def test_watches_that_begin_and_end_leave_the_server_answering(health: health_pb2_grpc.HealthStub) -> None:
    failed: list[grpc.RpcError] = []

    def watch_again_and_again() -> None:
        for _ in range(40):
            watch = health.Watch(_asked(), timeout=SECONDS)
            try:
                next(watch)
            except grpc.RpcError as error:
                failed.append(error)
                return
            watch.cancel()

    threads = [threading.Thread(target=watch_again_and_again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert not failed
    assert health.Check(_asked(), timeout=SECONDS).status == NOT_SERVING


def test_a_watch_that_stays_hears_of_changes_while_others_are_gone(start_server: Callable[..., RecallServer]) -> None:
    server = start_server(grace_seconds=0.1)
    with grpc.insecure_channel(server.address) as one, grpc.insecure_channel(server.address) as other:
        stays = health_pb2_grpc.HealthStub(one).Watch(_asked(), timeout=SECONDS)
        goes = health_pb2_grpc.HealthStub(other).Watch(_asked(), timeout=SECONDS)
        seen = [next(stays).status, next(goes).status]
        goes.cancel()
        server._health.set(SERVING)
        seen.append(next(stays).status)
    assert seen == [NOT_SERVING, NOT_SERVING, SERVING]
