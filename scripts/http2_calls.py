"""Unary gRPC calls over one HTTP/2 connection, with as little work a call as Python allows: for generators of load.

A client library takes as long for a call as a server does, so that with one of each on a core the client would be what
is measured. Here a call is a prepared header block, its message, and a look at the frames that come back (RFC 9113).
The header table is sized 0 (RFC 7541), so a server writes each header out and a reply that succeeded ends in a block
with the letters `grpc-status` and `0`. Windows are as wide as they go, and are opened again before they close.

A call ends once, whatever frames still come for it. After GOAWAY no call begins; those that it says were taken go on,
the others failed, and where the connection ends all do.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEADER_TABLE, _NO_PUSH, _WINDOW_SIZE, _FRAME_SIZE = 1, 2, 4, 5
_WIDEST, _FIRST_WINDOW, _OPENED_AT = 2**31 - 1, 65_535, 2**29
_SUCCEEDED = b"grpc-status\x010"
_READ_BYTES = 1 << 18
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finished:
    """One call that came to its end.

    Attributes:
        stream: Its number on the connection.
        succeeded: Whether its status was OK.
        size_bytes: Of the message of the reply, with its prefix.
    """

    stream: int
    succeeded: bool
    size_bytes: int


class CallConnection:
    """One connection to a server in plaintext, for calls of one method."""

    def __init__(self, address: str, path: str) -> None:
        """Connects.

        Args:
            address: HOST:PORT.
            path: `/package.Service/Method`.

        Raises:
            OSError: Nothing listens there.
        """
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._block = _header_block(address, path)
        self._stream = -1
        self._unread, self._unsent = b"", bytearray(_opening())
        self._sizes: dict[int, int] = {}
        self._headers, self._is_last_block = b"", False
        self._num_taken = 0
        self.is_open = True
        """Whether calls can be begun."""
        self.is_connected = True
        """Whether anything may still come."""
        self.flush()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has something left to send."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Returns the file number, to wait for what comes."""
        return self._socket.fileno()

    def begin(self, message: bytes) -> int:
        """Puts a call into the buffer and returns its number; `flush` sends what is there."""
        self._stream += 2
        body = b"\x00" + struct.pack(">I", len(message)) + message
        self._unsent += _frame(_HEADERS, _END_HEADERS, self._stream, self._block)
        self._unsent += _frame(_DATA, _END_STREAM, self._stream, body)
        self._sizes[self._stream] = 0
        return self._stream

    def flush(self) -> None:
        """Sends as much as the system takes."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:  # `receive` tells of it
                self._unsent.clear()
                return
            del self._unsent[:sent]

    def receive(self) -> list[Finished]:
        """Returns the calls that ended since; those under way all fail where the connection does."""
        finished: list[Finished] = []
        while True:
            try:
                came = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                came = b""
            if not came:
                return finished + self._fail_all()
            self._read(came, finished)
            if len(came) < _READ_BYTES:
                break
        self.flush()
        return finished

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _read(self, came: bytes, finished: list[Finished]) -> None:
        data, start = self._unread + came, 0
        while len(data) - start >= 9:
            length, kind, flags, stream = struct.unpack_from(">IBBI", b"\x00" + data[start : start + 9], 0)
            end = start + 9 + length
            if end > len(data):
                break
            self._take(kind, flags, (stream, data[start + 9 : end]), finished)
            start = end
        self._unread = data[start:]

    def _take(self, kind: int, flags: int, content: tuple[int, bytes], finished: list[Finished]) -> None:
        stream, payload = content
        if kind == _DATA:
            if stream in self._sizes:
                self._sizes[stream] += len(payload)
            self._count(len(payload))
        elif kind in (_HEADERS, _CONTINUATION):
            self._take_block(kind, flags, (stream, payload), finished)
        elif kind == _RESET:
            self._end(stream, finished, succeeded=False)
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._unsent += _frame(kind, _ACK, 0, payload if kind == _PING else b"")
        elif kind == _GOAWAY:
            self.is_open = False
            (last,) = struct.unpack_from(">I", payload)
            for lost in [one for one in self._sizes if one > last & _WIDEST]:
                self._end(lost, finished, succeeded=False)

    def _take_block(self, kind: int, flags: int, content: tuple[int, bytes], finished: list[Finished]) -> None:
        """Takes headers, which may come in several frames, one right behind the other."""
        stream, payload = content
        if kind == _HEADERS:
            self._headers, self._is_last_block = payload, bool(flags & _END_STREAM)
        else:
            self._headers += payload
        if flags & _END_HEADERS and self._is_last_block:
            self._end(stream, finished, succeeded=_SUCCEEDED in self._headers)

    def _end(self, stream: int, finished: list[Finished], *, succeeded: bool) -> None:
        """Ends a call, unless it ended before."""
        size = self._sizes.pop(stream, None)
        if size is not None:
            finished.append(Finished(stream, succeeded, size))

    def _count(self, size_bytes: int) -> None:
        self._num_taken += size_bytes
        if self._num_taken >= _OPENED_AT:
            self._unsent += _frame(_WINDOW, 0, 0, struct.pack(">I", self._num_taken))
            self._num_taken = 0

    def _fail_all(self) -> list[Finished]:
        self.is_open = self.is_connected = False
        failed = [Finished(stream, False, size) for stream, size in self._sizes.items()]
        self._sizes.clear()
        return failed


def _opening() -> bytes:
    settings = ((_HEADER_TABLE, 0), (_NO_PUSH, 0), (_WINDOW_SIZE, _WIDEST), (_FRAME_SIZE, 1 << 20))
    values = b"".join(struct.pack(">HI", name, value) for name, value in settings)
    window = struct.pack(">I", _WIDEST - _FIRST_WINDOW)
    return _PREFACE + _frame(_SETTINGS, 0, 0, values) + _frame(_WINDOW, 0, 0, window)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def _header_block(address: str, path: str) -> bytes:
    """Returns POST and http from the static table, and the other headers as literals that are not indexed."""
    block = b"\x83\x86" + b"\x04" + _text(path) + b"\x01" + _text(address)
    literals = (("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "recall-load"))
    return block + b"".join(b"\x00" + _text(name) + _text(value) for name, value in literals)


def _text(text: str) -> bytes:
    encoded = text.encode("ascii")
    if len(encoded) >= 0x7F:
        raise ValueError(f"{text!r} has {len(encoded)} letters; want less than 127")
    return bytes([len(encoded)]) + encoded


def framed(messages: Sequence[bytes]) -> bytes:
    """Returns messages one after the other, each behind its length in four bytes."""
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def unframed(content: bytes) -> list[bytes]:
    """Returns what `framed` joined."""
    messages, start = [], 0
    while start < len(content):
        (length,) = struct.unpack_from(">I", content, start)
        messages.append(content[start + 4 : start + 4 + length])
        start += 4 + length
    return messages
