"""Log lines as a collector of logs reads them, of calls over a real channel."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import grpc
import pytest

from recall.errors import DamagedRowError
from recall.live.service import RecallSystem
from recall.serving.log_lines import JsonLines, TextLines
from recall.serving.request_ids import request_id_of
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Returns what was logged so far, as JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger("recall")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


def _trailing(call: grpc.Call) -> dict[str, str | bytes]:
    return dict(call.trailing_metadata())


def test_every_reply_carries_the_request_id_also_of_failures(stub: recall_pb2_grpc.RecallServiceStub) -> None:
    request = pb.GetItemRequest(item_id="a0")
    _, call = stub.GetItem.with_call(request, timeout=30, metadata=[("x-request-id", "from/me-1")])
    assert _trailing(call)["x-request-id"] == "from/me-1"
    with pytest.raises(grpc.RpcError) as error:
        stub.GetItem(pb.GetItemRequest(item_id="none"), timeout=30, metadata=[("x-request-id", "from/me-2")])
    trailing = _trailing(error.value)
    assert trailing["x-request-id"] == "from/me-2"
    assert "grpc-status-details-bin" in trailing
    _, call = stub.GetItem.with_call(request, timeout=30)
    assert len(str(_trailing(call)["x-request-id"])) == 16


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'quote"', "ü"])
def test_a_request_id_that_belongs_into_no_log_is_replaced(sent: str) -> None:
    assert request_id_of([("x-request-id", sent)]) not in (sent, "")


def test_calls_are_logged_where_asked_with_their_id_and_without_what_they_asked(
    start_server: Callable[..., RecallServer], system: RecallSystem, lines: Callable[[], list[dict[str, object]]]
) -> None:
    server = start_server(log={"calls": True})
    server.attach(system)
    with grpc.insecure_channel(server.address) as channel:
        stub = recall_pb2_grpc.RecallServiceStub(channel)
        stub.Recall(pb.RecallRequest(user_id="u1", limit=2), timeout=30, metadata=[("x-request-id", "r-1")])
        with pytest.raises(grpc.RpcError):
            stub.GetItem(pb.GetItemRequest(item_id="secret-item"), timeout=30)
    server.stop()
    first, second = (line for line in lines() if line["logger"] == "recall.serving.call_log")
    assert (first["method"], first["code"], first["request_id"]) == ("recall.v1.RecallService/Recall", "OK", "r-1")
    assert isinstance(first["milliseconds"], float)
    assert first["milliseconds"] > 0
    assert str(first["time"]).endswith("+00:00")
    assert (first["level"], second["code"]) == ("INFO", "NOT_FOUND")
    text = json.dumps(lines())
    assert not any(word in text for word in ("secret-item", "u1", "a2"))


def test_slow_calls_are_logged_by_default_and_quick_ones_not(
    server: RecallServer, stub: recall_pb2_grpc.RecallServiceStub, lines: Callable[[], list[dict[str, object]]]
) -> None:
    stub.GetItem(pb.GetItemRequest(item_id="a0"), timeout=30)
    with pytest.raises(grpc.RpcError):
        stub.GetItem(pb.GetItemRequest(item_id="a0", min_sequence=10**9), timeout=1.4)
    server.stop()
    (line,) = (line for line in lines() if line["logger"] == "recall.serving.call_log")
    assert (line["level"], line["code"], str(line["message"])[:9]) == ("WARNING", "DEADLINE_EXCEEDED", "slow call")


def test_an_unexpected_error_is_logged_with_its_place_and_the_id_of_its_call(
    server: RecallServer,
    system: RecallSystem,
    stub: recall_pb2_grpc.RecallServiceStub,
    lines: Callable[[], list[dict[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(query: object) -> None:
        raise KeyError("-".join(("secret", "item")))

    monkeypatch.setattr(system, "recall", fail)
    with pytest.raises(grpc.RpcError) as error:
        stub.Recall(pb.RecallRequest(user_id="u1"), timeout=30, metadata=[("x-request-id", "r-9")])
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert "request id r-9" in str(error.value.details())
    (line,) = (line for line in lines() if line["level"] == "ERROR")
    assert line["request_id"] == "r-9"
    assert "in Recall" in str(line["exception"])
    assert str(line["exception"]).endswith("KeyError")
    assert "secret-item" not in json.dumps(line)


def test_a_damaged_row_is_logged_without_the_id_that_its_error_names(
    system: RecallSystem,
    stub: recall_pb2_grpc.RecallServiceStub,
    lines: Callable[[], list[dict[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(item_id: str) -> None:
        raise DamagedRowError(f"c.sqlite: item {item_id!r}: its row is damaged")

    monkeypatch.setattr(system, "get", fail)
    with pytest.raises(grpc.RpcError) as error:
        stub.GetItem(pb.GetItemRequest(item_id="a0"), timeout=30)
    assert "'a0'" in str(error.value.details())
    (line,) = (line for line in lines() if line["level"] == "ERROR")
    assert line["message"] == "DamagedRowError: a row of an item or user is damaged"


def test_text_lines_are_as_before_outside_of_calls() -> None:
    record = logging.LogRecord("recall.x", logging.INFO, "", 0, "done %d", (3,), None)
    assert TextLines().format(record).endswith(" INFO recall.x: done 3")
