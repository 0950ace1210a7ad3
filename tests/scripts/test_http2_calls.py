"""Calls of the load generator over HTTP/2, with a peer that sends every kind of frame, whole and in pieces."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from http2_calls import CallConnection, Finished, framed, unframed
from load_process import Run, closed_loop, open_loop

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
OK, FAILED = b"\x00\x0bgrpc-status\x010", b"\x00\x0bgrpc-status\x0214"
PATH = "/recall.v1.RecallService/Recall"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def reply(stream: int, message: bytes = b"hello", status: bytes = OK) -> bytes:
    start = frame(HEADERS, END_HEADERS, stream, b"\x88")
    body = frame(DATA, 0, stream, b"\x00" + struct.pack(">I", len(message)) + message)
    return start + body + frame(HEADERS, END_HEADERS | END_STREAM, stream, status)


def goaway(last: int) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, 0))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10.0)
        yield listener


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[CallConnection, socket.socket]]:
    """A connection with calls 1, 3 and 5 under way, and its peer."""
    connection = CallConnection(address(listener), PATH)
    peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert [connection.begin(b"request") for _ in range(3)] == [1, 3, 5]
    connection.flush()
    with peer:
        yield connection, peer
    connection.close()


def received(connection: CallConnection, peer: socket.socket, content: bytes, *, piece: int = 1 << 20) -> set[Finished]:
    """Returns the calls that end with what the peer sends; a call must end once."""
    finished: list[Finished] = []
    for start in range(0, len(content), piece):
        peer.sendall(content[start : start + piece])
        assert select.select([connection], [], [], 10.0)[0]
        finished += connection.receive()
    assert len({one.stream for one in finished}) == len(finished)
    return set(finished)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_replies_in_pieces_of_any_size_are_read(pair: tuple[CallConnection, socket.socket], piece: int) -> None:
    content = frame(SETTINGS, 0, 0) + reply(3) + frame(PING, 0, 0, b"12345678") + reply(1, b"", FAILED)
    assert received(*pair, content, piece=piece) == {Finished(3, True, 10), Finished(1, False, 5)}
    sent = pair[1].recv(1 << 16)
    assert frame(PING, ACK, 0, b"12345678") in sent
    assert frame(SETTINGS, ACK, 0) in sent


def test_status_in_a_continuation_is_read(pair: tuple[CallConnection, socket.socket]) -> None:
    head = frame(HEADERS, END_STREAM, 1, OK[:8])
    assert received(*pair, head) == set()
    assert received(*pair, frame(CONTINUATION, END_HEADERS, 1, OK[8:])) == {Finished(1, True, 0)}


def test_call_that_is_reset_failed_unless_it_had_ended(pair: tuple[CallConnection, socket.socket]) -> None:
    reset = struct.pack(">I", 0)
    content = reply(1) + frame(RESET, 0, 1, reset) + frame(RESET, 0, 3, reset) + reply(3)
    assert received(*pair, content) == {Finished(1, True, 10), Finished(3, False, 0)}


def test_calls_that_a_goaway_takes_go_on_and_the_others_failed(pair: tuple[CallConnection, socket.socket]) -> None:
    connection, peer = pair
    assert received(connection, peer, goaway(2**31 - 1)) == set()
    assert not connection.is_open
    assert received(connection, peer, goaway(3)) == {Finished(5, False, 0)}
    assert received(connection, peer, reply(3) + reply(5)) == {Finished(3, True, 10)}
    peer.close()
    assert connection.receive() == [Finished(1, False, 0)]
    assert not connection.is_connected


def test_messages_are_framed_and_unframed() -> None:
    messages = [b"", b"a", b"b" * 1000]
    assert unframed(framed(messages)) == messages


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_run_ends_when_the_server_goes_away(listener: socket.socket, tmp_path, loop: str) -> None:
    """One of two connections takes no more calls and stays silent a moment, then both end in the middle of a frame."""
    file = tmp_path / "messages"
    file.write_bytes(framed([b"request"]))
    order = {"address": address(listener), "path": PATH, "messages": str(file), "connections": 2, "seconds": 0.5}
    order |= {"in_flight": 4} if loop == "closed" else {"rate": 200.0, "seed": 0}
    run = Run(order)
    first, second = (listener.accept()[0] for _ in range(2))

    def serve() -> None:
        with first, second:
            content = b""
            while b"request" not in content:
                content += first.recv(1 << 16)
            first.sendall(reply(1) + goaway(1))
            threading.Event().wait(0.1)
            for peer in (first, second):
                peer.sendall(reply(3)[:12])

    thread = threading.Thread(target=serve)
    thread.start()
    (closed_loop if loop == "closed" else open_loop)(run, order)
    thread.join()
    assert len(run.microseconds) == 1
    assert run.num_failed >= 3
    assert run.num_under_way == 0
