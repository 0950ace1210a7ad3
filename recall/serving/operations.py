"""All that watches a server, in one object: metrics, logs of calls, traces, and what serves the first over HTTP."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from recall.errors import ConfigError
from recall.live.service import RecallSystem
from recall.serving.call_log import CallLog
from recall.serving.call_metrics import CallMetrics
from recall.serving.config import ServerConfig, joined_address
from recall.serving.http_endpoint import HttpEndpoint, MetricsEndpoint
from recall.serving.observed import Observed, Observers
from recall.serving.traces import CallTraces
from recall.serving.vitals_collector import VitalsCollector

_LOG = logging.getLogger(__name__)


class Operations:
    """Watches one server from its start to its stop."""

    def __init__(self, config: ServerConfig) -> None:
        """Prepares what is configured; nothing listens yet.

        Raises:
            ConfigError: What is configured needs an extra that is not installed.
        """
        self._config = config
        # Half of all series would else be the times at which the others began.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # of the library
        self._vitals = VitalsCollector()
        self.registry = CollectorRegistry()
        """All metrics of the server."""
        self.registry.register(self._vitals)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._traces = CallTraces.of(config.traces)
        self._observers = Observers(metrics=CallMetrics(self.registry), log=CallLog(config.log), traces=self._traces)
        self._endpoint: HttpEndpoint | None = None

    @property
    def interceptor(self) -> Observed:
        """What tells of calls; belongs before every other interceptor."""
        return Observed(self._observers)

    @property
    def address(self) -> str | None:
        """Host and real port of metrics and console; None where they are not served."""
        return None if self._endpoint is None else joined_address(self._config.metrics.host, self._endpoint.port)

    def listen(self) -> None:
        """Starts to serve metrics where a port is configured.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        config = self._config.metrics
        if config.port is None:
            return
        base = f"{'http' if config.certificate is None else 'https'}://"
        if self._serves_console():
            from recall.serving.console.endpoint import ConsoleEndpoint  # its web library is an extra

            self._endpoint = ConsoleEndpoint(self._config, self.registry, lambda: self._vitals.system)
            _LOG.info("console on %s%s/", base, self.address)
        else:
            self._endpoint = MetricsEndpoint(config, self.registry)
        _LOG.info("metrics on %s%s/metrics", base, self.address)

    def attach(self, system: RecallSystem) -> None:
        """Reads `system` from now on."""
        self._vitals.attach(system)

    def detach(self) -> None:
        """Says that nothing is served any more; metrics go on until `close`."""
        self._vitals.attach(None)

    def _serves_console(self) -> bool:
        enabled = self._config.console.enabled
        is_installed = all(find_spec(name) is not None for name in ("starlette", "uvicorn"))
        if enabled and not is_installed:
            cure = "install it with: pip install 'dhe-recall[console]', or leave the key out"
            raise ConfigError(f"console.enabled = true needs the extra console; {cure}")
        return is_installed and self._config.metrics.is_loopback() if enabled is None else enabled

    def close(self) -> None:
        """Ends everything; a second call does nothing."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        if self._traces is not None:
            self._traces.close()
            self._traces = None
