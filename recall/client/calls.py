"""Calls of one client: with a deadline each, made again where that is safe, and after the writes that it has seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from recall.client.credentials import BearerToken
from recall.client.errors import is_unavailable, typed_error
from recall.client.retries import RetryPolicy
from recall.errors import DeadlineError, OverloadedError, RecallError, UnavailableError


class _Reply(Protocol):
    """What all replies have."""

    @property
    def sequence(self) -> int: ...


_ReplyT = TypeVar("_ReplyT", bound=_Reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """How calls are made.

    Attributes:
        timeout_seconds: Deadline of a call that names none, all its attempts and pauses included.
        retry: How often an unavailable server is asked again.
        reads_own_writes: Whether a call waits for every write that this client has seen.
        token: Goes with every call; None sends none.
    """

    timeout_seconds: float
    retry: RetryPolicy
    reads_own_writes: bool
    token: BearerToken | None = None


class Calls:
    """Makes calls and remembers the last write that their replies named; threads may share it."""

    def __init__(self, target: str, settings: CallSettings) -> None:
        """Starts with no write seen; `target` is what errors call the server."""
        self._target = target
        self._settings = settings
        self._random = Random()
        self._lock = threading.Lock()
        self._sequence = 0
        self._is_closed = False

    @property
    def sequence(self) -> int:
        """The last write that a reply named; 0 before the first."""
        return self._sequence

    def close(self) -> None:
        """Refuses calls from now on."""
        self._is_closed = True

    def min_sequence(self, asked: int) -> int:
        """Returns which write a call waits for where its caller asked for `asked`."""
        return max(asked, self._sequence) if self._settings.reads_own_writes else asked

    def call(
        self,
        method: Callable[..., _ReplyT],
        request: Message,
        timeout_seconds: float | None,
        *,
        request_id: str | None = None,
    ) -> _ReplyT:
        """Returns the reply to a call.

        Args:
            method: Of the stub.
            request: Goes out with every attempt.
            timeout_seconds: Deadline; None takes that of the client.
            request_id: Of a write, which without one, that is with an empty one, is attempted once; None where the call
                writes nothing.

        Raises:
            RecallError: The call failed, for good or in the last attempt. Where a write may have happened nevertheless,
                the message says so.
        """
        retry = RetryPolicy(attempts=1) if request_id == "" else self._settings.retry
        try:
            return self._attempts(method, request, timeout_seconds, retry)
        except (DeadlineError, UnavailableError) as error:
            if request_id is None or isinstance(error, OverloadedError):  # nobody looked at that one
                raise
            cure = f"send it again with request_id={request_id!r}" if request_id else "read before sending it again"
            raise type(error)(f"{error}; the write may have happened: {cure}") from error

    def _attempts(
        self, method: Callable[..., _ReplyT], request: Message, timeout_seconds: float | None, retry: RetryPolicy
    ) -> _ReplyT:
        deadline = time.perf_counter() + (
            self._settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        )
        pauses = retry.pauses(self._random)
        attempts = 1
        while True:
            metadata = None if self._settings.token is None else self._settings.token.metadata()
            try:
                return self._seen(method(request, timeout=max(deadline - time.perf_counter(), 0.0), metadata=metadata))
            except ValueError as error:
                if not self._is_closed:
                    raise
                raise UnavailableError(f"the client of {self._target} is closed; make another") from error
            except grpc.RpcError as error:
                failure = typed_error(error, self._target)
                pause = next(pauses, None) if is_unavailable(error) else None
                if pause is None or time.perf_counter() + pause >= deadline:
                    raise _after(failure, attempts) from error
            time.sleep(pause)
            attempts += 1

    def _seen(self, reply: _ReplyT) -> _ReplyT:
        with self._lock:
            self._sequence = max(self._sequence, reply.sequence)
        return reply


def _after(failure: RecallError, attempts: int) -> RecallError:
    if attempts == 1 or not isinstance(failure, (DeadlineError, UnavailableError)):
        return failure
    return type(failure)(f"{failure}; that was attempt {attempts}")
