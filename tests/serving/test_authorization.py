"""Every method of every service, with every kind of caller; the list comes from the descriptors."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from recall.client import Credentials, ItemRecord, RecallClient, RecallQuery
from recall.errors import OverloadedError, PermissionDeniedError, QuotaError, UnauthenticatedError
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["RecallService"]
METHODS = sorted(SERVICE.methods_by_name)
WRITES = {"UpsertItems", "DeleteItems", "UpsertUsers", "DeleteUsers", "RecordInteractions"}
READ, WRITE, BOTH = "recall_reader", "recall_writer", "recall_all"
Code = grpc.StatusCode
_PATIENCE = 30.0  # of a machine that does much else


@pytest.fixture
def guarded(
    start_server: Callable[..., RecallServer], system: RecallSystem, write_tokens: Callable[..., Path]
) -> RecallServer:
    file = write_tokens(reader=(READ, "read"), writer=(WRITE, "write"), both=(BOTH, "read,write"))
    server = start_server(tokens_file=file)
    server.attach(system)
    return server


@pytest.fixture
def channel(guarded: RecallServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(guarded.address) as opened:
        yield opened


def _call(channel: grpc.Channel, method: str, *authorization: str) -> grpc.RpcError | None:
    """Sends an empty request; returns the error, None where the call succeeded."""
    found = SERVICE.methods_by_name[method]
    send = channel.unary_unary(
        f"/{SERVICE.full_name}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(found.output_type).FromString,
    )
    metadata = [("authorization", value) for value in authorization]
    try:
        send(GetMessageClass(found.input_type)(), timeout=10, metadata=metadata)
    except grpc.RpcError as error:
        return error
    return None


def _bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def _reason(error: grpc.RpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(info)
    return info.reason


def test_no_method_is_answered_without_one_known_token(channel: grpc.Channel) -> None:
    headers = [
        (),
        ("Bearer recall_wrong",),
        ("Bearer ",),
        ("Bearer",),
        (READ,),
        (f"Basic {BOTH}",),
        (f"Bearer {BOTH}x",),
        (f"Bearer {BOTH[:-1]}",),
        (f"Bearer  {BOTH}",),
        (f"Bearer {BOTH}, Bearer {BOTH}",),
        (f"Bearer {BOTH}", f"Bearer {BOTH}"),
        ("Bearer " + "x" * 6000,),
    ]
    for method, authorization in itertools.product(METHODS, headers):
        error = _call(channel, method, *authorization)
        assert error is not None, (method, authorization)
        assert (error.code(), _reason(error)) == (Code.UNAUTHENTICATED, "UNAUTHENTICATED"), (method, authorization)
        assert not any(secret in str(error) for secret in (BOTH, READ, "x" * 50))


@pytest.mark.parametrize(("token", "refused"), [(READ, WRITES), (WRITE, set(METHODS) - WRITES), (BOTH, set())])
def test_a_token_allows_the_methods_of_its_scopes_and_no_other(
    channel: grpc.Channel, token: str, refused: set[str]
) -> None:
    for method in METHODS:
        error = _call(channel, method, f"bearer {token}")  # the scheme has no case
        if method not in refused:
            assert error is None or error.code() in (Code.INVALID_ARGUMENT, Code.NOT_FOUND), method
            continue
        assert error is not None, method
        assert (error.code(), _reason(error)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), method
        assert token not in str(error)


def test_health_is_open_and_reflection_and_unknown_methods_are_not(channel: grpc.Channel) -> None:
    assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
    assert next(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=5)).status == 1
    reflect = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    reply = next(iter(reflect(iter([asked]), timeout=5, metadata=_bearer(READ))))
    assert reply.HasField("list_services_response")
    for metadata, code in ((None, Code.UNAUTHENTICATED), (_bearer(WRITE), Code.PERMISSION_DENIED)):
        with pytest.raises(grpc.RpcError) as raised:
            next(iter(reflect(iter([asked]), timeout=5, metadata=metadata)))
        assert raised.value.code() is code
    for path in ("/recall.v1.RecallService/Unknown", "/recall.v1.RecallService/recall", "/x"):
        for metadata, code in ((None, Code.UNAUTHENTICATED), (_bearer(READ), Code.UNIMPLEMENTED)):
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(path)(b"", timeout=5, metadata=metadata)
            assert raised.value.code() is code


def test_the_client_sends_its_token_and_names_what_was_refused(guarded: RecallServer, tmp_path: Path) -> None:
    query, item = RecallQuery(user_id="u1", limit=1), ItemRecord(item_id="new", features={"topic": "a"})
    with RecallClient(guarded.address) as client, pytest.raises(UnauthenticatedError, match="no token"):
        client.recall(query)
    with RecallClient(guarded.address, credentials=Credentials(token=READ)) as client:
        assert client.recall(query).item_ids
        with pytest.raises(
            PermissionDeniedError, match=r"UpsertItems writes, and the token of 'reader' allows to read"
        ):
            client.upsert([item])
    file = tmp_path / "token"
    file.write_text(f"{READ}\n")
    with RecallClient(guarded.address, credentials=Credentials(token_file=file)) as client:
        assert client.recall(query).item_ids
        file.write_text(f"{BOTH} \n")
        assert client.upsert([item]).sequence == 9


def test_a_changed_file_of_tokens_counts_within_a_second_and_a_broken_one_does_not(
    guarded: RecallServer, channel: grpc.Channel, write_tokens: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    def code_of(token: str, wanted: Code | None) -> bool:
        error = _call(channel, "GetStatus", f"Bearer {token}")
        return (None if error is None else error.code()) is wanted

    write_tokens(other=("recall_other", "read"))
    assert _within(_PATIENCE, lambda: code_of("recall_other", None))
    assert code_of(READ, Code.UNAUTHENTICATED)
    file = write_tokens()
    assert _within(_PATIENCE, lambda: any("names no token" in problem for problem in guarded.reload_problems))
    file.write_text('tokens = ["recall_other"]')  # a token where an entry should be
    assert _within(_PATIENCE, lambda: any("tokens[0]" in problem for problem in guarded.reload_problems))
    assert code_of("recall_other", None)
    assert "tokens stay as they were" in caplog.text
    file.unlink()
    assert _within(_PATIENCE, lambda: any("cannot be read" in problem for problem in guarded.reload_problems))
    assert code_of("recall_other", None)
    write_tokens(reader=(READ, "read"))
    assert _within(_PATIENCE, lambda: code_of(READ, None))
    assert guarded.reload_problems == ()
    assert not any(secret in caplog.text for secret in ("recall_other", READ))


def test_a_name_that_used_up_its_quota_is_told_when_to_come_back_and_others_are_served(
    guarded: RecallServer, write_tokens: Callable[..., Path]
) -> None:
    write_tokens(slow=(READ, "read", 2), fast=(BOTH, "read"))
    credentials = (Credentials(token=READ), Credentials(token=BOTH))
    with (
        RecallClient(guarded.address, credentials=credentials[0]) as slow,
        RecallClient(guarded.address, credentials=credentials[1]) as fast,
    ):
        assert _within(_PATIENCE, lambda: _is_over_quota(slow))
        with pytest.raises(QuotaError, match="'slow' has used up its 2 requests per second") as error:
            slow.status()
        assert 0 < error.value.retry_seconds <= 0.5
        time.sleep(error.value.retry_seconds)
        slow.batch_recall([RecallQuery(user_id="u1")] * 100)  # is let in as one request, and counts as a hundred
        with pytest.raises(QuotaError) as error:
            slow.status()
        assert 20.0 < error.value.retry_seconds <= 50.0
        write_tokens(slow=(READ, "read", 3), fast=(BOTH, "read"))  # another quota starts full
        assert _within(_PATIENCE, lambda: not _is_over_quota(slow))
        for _ in range(20):
            fast.status()


def _is_over_quota(client: RecallClient) -> bool:
    try:
        client.status()
    except QuotaError:
        return True
    return False


def test_a_full_queue_refuses_at_once_and_health_still_answers(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(threads=1, max_in_flight=2, max_wait_seconds=120)
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel, RecallClient(server.address, timeout_seconds=60) as client:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        request = pb.RecallRequest(min_sequence=9, limit=1)
        waiting = [stub.Recall.future(request, timeout=120) for _ in range(3)]
        assert _within(_PATIENCE, lambda: any(future.done() for future in waiting))
        (refused,) = (future.exception() for future in waiting if future.done())  # not always the last one sent
        assert (refused.code(), _reason(refused)) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED")
        waiting = [future for future in waiting if not future.done()]
        for _ in range(20):
            with pytest.raises(OverloadedError, match="as many calls as it takes"):
                client.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
        assert not any(future.done() for future in waiting)
        system.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
        assert [future.result().sequence for future in waiting] == [9, 9]
        assert _within(_PATIENCE, lambda: _is_answered(client))


def _is_answered(client: RecallClient) -> bool:
    try:
        return client.get("new").item_sequence == 9
    except OverloadedError:
        return False


def test_a_call_whose_deadline_passed_in_the_queue_is_not_computed(
    start_server: Callable[..., RecallServer], system: RecallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server(threads=1, max_wait_seconds=120)
    server.attach(system)
    answered, answer = [], system.get
    monkeypatch.setattr(type(system), "get", lambda self, item_id: (answered.append(item_id), answer(item_id))[1])
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        waiting = stub.Recall.future(pb.RecallRequest(min_sequence=9, limit=1), timeout=120)
        time.sleep(0.2)
        late = stub.GetItem.future(pb.GetItemRequest(item_id="a1"), timeout=0.2)
        left = stub.GetItem.future(pb.GetItemRequest(item_id="a2"), timeout=30)
        time.sleep(0.1)
        left.cancel()
        assert late.code() is Code.DEADLINE_EXCEEDED
        system.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
        assert waiting.result().sequence == 9
        assert stub.GetItem(pb.GetItemRequest(item_id="a3"), timeout=5).item.item_id == "a3"
    assert answered == ["a3"]


@pytest.mark.parametrize(
    "path", ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Watch"]
)
def test_streams_that_cannot_be_read_are_refused_and_do_not_keep_the_server_from_stopping(
    start_server: Callable[..., RecallServer], path: str
) -> None:
    server = start_server(grace_seconds=0.1)
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as error:
                list(channel.stream_stream(path)(iter([b"\xff\xff"]), timeout=30))
            assert error.value.code() is Code.INVALID_ARGUMENT
    stopping = threading.Thread(target=server.stop, daemon=True)
    stopping.start()
    stopping.join(_PATIENCE)
    assert not stopping.is_alive()


def test_reflection_streams_that_stay_open_take_no_thread_of_a_handler(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(threads=2)
    server.attach(system)
    release = threading.Event()

    def asked() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        release.wait(10)
        yield from ()

    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        streams = [stub.ServerReflectionInfo(asked(), timeout=20) for _ in range(8)]
        time.sleep(0.2)
        status = recall_pb2_grpc.RecallServiceStub(channel).GetStatus(pb.GetStatusRequest(), timeout=5)
        assert status.num_items == 8
        for stream in streams:
            stream.cancel()
        release.set()


def _within(seconds: float, is_true: Callable[[], bool]) -> bool:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if is_true():
            return True
        time.sleep(0.02)
    return False
