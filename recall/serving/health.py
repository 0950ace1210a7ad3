"""The service `grpc.health.v1.Health`, which anyone may call, so that no way of calling it may harm the server.

The library's own servicer sends states while it holds a lock that the server's one thread takes when a watch ends: a
few callers that begin and end watches stop the whole server. Here one thread does all the sending, and holds no lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

State: TypeAlias = health_pb2.HealthCheckResponse.ServingStatus
_Send: TypeAlias = Callable[[health_pb2.HealthCheckResponse | None], None]


class ServedHealth(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated without types
    """One state under several names."""

    def __init__(self, names: Sequence[str]) -> None:
        """Starts NOT_SERVING."""
        self._names = frozenset(names)
        self._state: State = health_pb2.HealthCheckResponse.NOT_SERVING
        self._watches: dict[_Send, str] = {}
        self._lock = threading.Lock()
        self._sender = ThreadPoolExecutor(1, "recall-health")

    def set(self, state: State) -> None:
        """Gives all names a state, and tells those that watch."""
        with self._lock:
            self._state = state
            watches = dict(self._watches)
        for send, name in watches.items():
            self._sender.submit(send, self._answer(name, state))

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Returns the state of a name."""
        if request.service not in self._names:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            return health_pb2.HealthCheckResponse()
        return self._answer(request.service, self._state)

    def List(
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """Returns the state of every name."""
        return health_pb2.HealthListResponse(statuses={name: self._answer(name, self._state) for name in self._names})

    def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: _Send) -> None:
        """Sends the state of a name now and whenever it changes; returns at once."""
        name = request.service
        with self._lock:  # states that come later are sent later
            self._watches[send] = name
            self._sender.submit(send, self._answer(name, self._state))
        if not context.add_callback(lambda: self._end(send)):
            self._end(send)

    Watch.__dict__["experimental_non_blocking"] = True  # gRPC then gives it `send`, and takes no thread while it lasts

    def _end(self, send: _Send) -> None:
        with self._lock:
            self._watches.pop(send, None)

    def _answer(self, name: str, state: State) -> health_pb2.HealthCheckResponse:
        unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        return health_pb2.HealthCheckResponse(status=state if name in self._names else unknown)
