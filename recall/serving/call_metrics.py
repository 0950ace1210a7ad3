"""Counts and times of calls, under the names that gRPC servers of every language use in Prometheus.

All methods of the service have their series from the start, every code included: a rate sees the first failure only
where the series stood at zero before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from recall.v1 import recall_pb2

SERVICE = recall_pb2.DESCRIPTOR.services_by_name["RecallService"]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("grpc_type", "grpc_service", "grpc_method")


@dataclass(frozen=True, slots=True)
class _Method:
    """The series of one method, looked up once."""

    started: Counter
    seconds: Histogram
    handled: dict[grpc.StatusCode, Counter] = field(default_factory=dict)


class CallMetrics:
    """Counts calls into a registry; safe to call from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Registers the metrics, all methods of the service at zero."""
        self._started = Counter("grpc_server_started", "Calls that began to be handled.", _LABELS, registry=registry)
        self._handled = Counter(
            "grpc_server_handled", "Calls that ended, by code.", (*_LABELS, "grpc_code"), registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from the arrival of a call to its reply, waiting for a thread included.",
            _LABELS,
            registry=registry,
            buckets=_BUCKETS,
        )
        self._methods: dict[str, _Method] = {}
        for method in SERVICE.methods:
            series = self._series(f"/{SERVICE.full_name}/{method.name}")
            for code in grpc.StatusCode:
                self._coded(f"/{SERVICE.full_name}/{method.name}", series, code)

    def started(self, method: str) -> None:
        """Counts a call that begins; `method` is its path, `/package.Service/Method`."""
        self._series(method).started.inc()

    def handled(self, method: str, code: grpc.StatusCode, *, seconds: float) -> None:
        """Counts a call that ended."""
        series = self._series(method)
        series.seconds.observe(seconds)
        self._coded(method, series, code).inc()

    def _series(self, path: str) -> _Method:
        series = self._methods.get(path)
        if series is None:
            labels = _labels(path)
            series = _Method(self._started.labels(*labels), self._seconds.labels(*labels))
            self._methods[path] = series  # of two threads that come first both take the same children
        return series

    def _coded(self, path: str, series: _Method, code: grpc.StatusCode) -> Counter:
        counter = series.handled.get(code)
        if counter is None:
            counter = series.handled[code] = self._handled.labels(*_labels(path), _code_name(code))
        return counter


def _labels(path: str) -> tuple[str, str, str]:
    service, _, method = path.removeprefix("/").partition("/")
    return "unary", service, method


def _code_name(code: grpc.StatusCode) -> str:
    """Returns the code as Go and Java name it in this label: `InvalidArgument`."""
    return "OK" if code is grpc.StatusCode.OK else code.name.title().replace("_", "")
