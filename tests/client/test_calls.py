"""Retries, deadlines and the writes that a client has seen, against real servers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from recall.client import ItemRecord, RecallClient, RecallQuery, RetryPolicy
from recall.errors import ConfigError, DeadlineError, InvalidRequestError, NotFoundError, UnavailableError
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.serving.servicer import RecallServicer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

QUICK = RetryPolicy(attempts=3, first_seconds=0.001)
PATIENT = RetryPolicy(attempts=1_000, first_seconds=0.01, most_seconds=0.05)
NEVER_BACK = RetryPolicy(attempts=2, first_seconds=3_600, most_seconds=3_600)  # a retry would never end
NEW = ItemRecord(item_id="new", features={"topic": "a"})


class ReplyLost(RecallServicer):
    """Does the first write, and ends the call as a connection that breaks before the reply does."""

    def __init__(self, system: RecallSystem) -> None:
        super().__init__(max_wait_seconds=1.0)
        self.attach(system)
        self.request_ids: list[str] = []

    def UpsertItems(self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext) -> pb.UpsertItemsResponse:
        reply = super().UpsertItems(request, context)
        self.request_ids.append(request.request_id)
        if len(self.request_ids) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return reply


@contextmanager
def serving(servicer: RecallServicer) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    recall_pb2_grpc.add_RecallServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_unavailable_is_asked_again_until_the_attempts_are_over(start_server: Callable[..., RecallServer]) -> None:
    server = start_server()
    with (
        RecallClient(server.address, retry=QUICK) as client,
        pytest.raises(UnavailableError, match=r"the server is starting; .*; that was attempt 3$"),
    ):
        client.status()


def test_client_waits_out_the_restart_of_its_server(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    first = start_server()
    first.attach(system)
    with RecallClient(first.address, retry=PATIENT, timeout_seconds=20) as client:
        assert client.get("a0").retrievable
        first.stop()

        def restart() -> None:
            second = start_server(port=first.port)  # answers UNAVAILABLE until the system is attached
            second.attach(system)

        thread = threading.Timer(0.1, restart)
        thread.start()
        assert client.upsert([NEW]).sequence == 9
        assert client.recall(RecallQuery(history=("new",), limit=1)).item_ids == ["a0"]
        thread.join()


def test_repeated_write_whose_reply_was_lost_writes_once(system: RecallSystem) -> None:
    servicer = ReplyLost(system)
    with serving(servicer) as address, RecallClient(address, retry=QUICK) as client:
        assert client.upsert([NEW]).sequence == 9
        assert client.status().sequence == 9
    first, second = servicer.request_ids
    assert first == second != ""


def test_write_without_a_request_id_is_never_repeated(system: RecallSystem) -> None:
    servicer = ReplyLost(system)
    with serving(servicer) as address, RecallClient(address, retry=QUICK) as client:
        with pytest.raises(UnavailableError, match="the write may have happened: read before sending it again"):
            client.upsert([NEW], request_id="")
        assert client.get("new").item_sequence == 9
    assert servicer.request_ids == [""]


def test_every_write_has_a_request_id_of_its_own_unless_the_caller_gives_one(system: RecallSystem) -> None:
    servicer = ReplyLost(system)
    with serving(servicer) as address, RecallClient(address, retry=QUICK) as client:
        client.upsert([NEW])
        client.upsert([NEW], request_id="mine")
        client.upsert([NEW])
    _, first, mine, second = servicer.request_ids
    assert mine == "mine"
    assert len({first, mine, second}) == 3


def test_what_is_not_unavailable_is_not_asked_again(server: RecallServer) -> None:
    with RecallClient(server.address, retry=QUICK) as client:
        with pytest.raises(InvalidRequestError, match="limit: -1") as invalid:
            client.recall(RecallQuery(limit=-1))
        with pytest.raises(NotFoundError, match="'gone'") as missing:
            client.get("gone")
    assert not [error for error in (invalid, missing) if "attempt" in str(error.value)]


def test_pause_that_outlasts_the_deadline_is_not_made(start_server: Callable[..., RecallServer]) -> None:
    with (
        RecallClient(start_server().address, retry=NEVER_BACK, timeout_seconds=5) as client,
        pytest.raises(UnavailableError, match=r"try again in a moment$"),
    ):
        client.status()


def test_deadline_of_a_call_goes_before_that_of_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with RecallClient(target, timeout_seconds=3_600) as client:
            with pytest.raises(DeadlineError, match=f"{target} did not answer in time; allow more"):
                client.status(timeout_seconds=0.05)
            with pytest.raises(DeadlineError, match="the write may have happened: send it again with request_id='r1'"):
                client.delete(["a0"], request_id="r1", timeout_seconds=0.05)
            with pytest.raises(DeadlineError) as checked:
                client.upsert([NEW], validate_only=True, timeout_seconds=0.05)
            assert "may have happened" not in str(checked.value)


@pytest.fixture
def two_servers(
    open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]
) -> Iterator[list[RecallServer]]:
    """Two on one catalogue that look for each other's writes once an hour."""
    systems = [open_system(follow_interval_seconds=3_600.0) for _ in range(2)]
    servers = [start_server() for _ in systems]
    for started, system in zip(servers, systems, strict=True):
        started.attach(system)
    yield servers
    for system in systems:
        system.close()


def test_client_never_reads_past_its_own_write_on_another_server_unless_that_is_off(
    two_servers: list[RecallServer],
) -> None:
    both = ",".join(server.address for server in two_servers)
    with RecallClient(both) as client, RecallClient(both, reads_own_writes=False) as careless:
        assert client.sequence == 0
        assert client.upsert([NEW]).sequence == client.sequence == 9  # on one of them; the other does not know
        holds = set()
        while holds != {True, False}:  # both are asked once both are connected
            holds.add(_holds_new(careless))
        assert {_holds_new(client) for _ in range(50)} == {True}


def _holds_new(client: RecallClient) -> bool:
    return "new" in client.recall(RecallQuery(history=("a0",), limit=9)).item_ids


def test_calls_go_to_servers_in_turn_and_pass_over_one_that_is_gone(two_servers: list[RecallServer]) -> None:
    first, second = two_servers
    with RecallClient(first.address) as one, RecallClient(second.address) as other:
        one.upsert([NEW])
        sequences = {client.status().sequence for client in (one, other)}
    assert sequences == {8, 9}
    target = f"localhost:{first.port},{second.address}"
    with RecallClient(target, reads_own_writes=False, retry=PATIENT, timeout_seconds=20) as client:
        seen: set[int] = set()
        while seen != sequences:  # both are asked once both are connected
            seen.add(client.status().sequence)
        first.stop()
        while client.status().sequence != 8:
            pass
        assert {client.status().sequence for _ in range(10)} == {8}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("127.0.0.1:1,nowhere", "'nowhere' is no address of a server; write HOST:PORT"),
        ("127.0.0.1:1,[::1]:1", "have no common address family"),
        ("127.0.0.1:1,nowhere.invalid:1", "nowhere.invalid:1 cannot be resolved"),
    ],
)
def test_list_of_targets_that_cannot_be_called_is_refused(target: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RecallClient(target)
