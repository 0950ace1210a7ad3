"""The web server of the console, in a thread beside gRPC."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from threading import Thread

import uvicorn
from prometheus_client import CollectorRegistry

from recall.live.service import RecallSystem
from recall.serving.config import ServerConfig
from recall.serving.console.app import Console, application
from recall.serving.console.gate import Gate
from recall.serving.console.overview import Overview
from recall.serving.http_endpoint import unusable
from recall.serving.operations_config import MetricsConfig


class ConsoleEndpoint:
    """Serves metrics and console."""

    def __init__(
        self, config: ServerConfig, registry: CollectorRegistry, system: Callable[[], RecallSystem | None]
    ) -> None:
        """Starts to listen; `config.metrics.port` must be set.

        Raises:
            ConfigError: The address, the certificate or the token cannot be used, or a token is needed.
        """
        metrics, console = config.metrics, config.console
        gate = Gate.of(console, metrics)
        listening = _listening(metrics)
        self.port = int(listening.getsockname()[1])
        self._overview = Overview(system, interval_seconds=console.refresh_seconds, can_write=console.writes)
        app = application(
            Console(registry=registry, system=system, gate=gate, overview=self._overview, can_write=console.writes)
        )
        settings = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=metrics.certificate,
            ssl_keyfile=None if metrics.key is None else str(metrics.key),
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            self._overview.close()
            listening.close()
            raise unusable(metrics, error) from error
        self._server = uvicorn.Server(settings)
        self._thread = Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="recall-console-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.should_exit = True
        self._thread.join(5.0)
        self._overview.close()


def _listening(config: MetricsConfig) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        raise unusable(config, error) from error
    return made
