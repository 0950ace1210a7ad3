"""The health service: the library's, with `List`, which it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2


class ListedHealth(health.HealthServicer):  # type: ignore[misc]  # the library has no types
    """States of named services. Anyone may ask, so no method may fail: each failure would be a trace in the log."""

    def __init__(self, names: Sequence[str]) -> None:
        """Starts with all of `names` NOT_SERVING."""
        super().__init__(
            experimental_non_blocking=True, experimental_thread_pool=ThreadPoolExecutor(1, "recall-health")
        )
        self._names = tuple(names)
        self.set_all(health_pb2.HealthCheckResponse.NOT_SERVING)

    def set_all(self, state: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        """Gives all names one state."""
        for name in self._names:
            self.set(name, state)

    def List(
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """Returns the state of every name."""
        asked = {name: health_pb2.HealthCheckRequest(service=name) for name in self._names}
        return health_pb2.HealthListResponse(statuses={name: self.Check(one, context) for name, one in asked.items()})
