"""What answers over HTTP beside gRPC: the metrics alone, by the server that comes with the Prometheus client."""

from __future__ import annotations

import ssl
from typing import Protocol

from prometheus_client import CollectorRegistry, start_http_server

from recall.errors import ConfigError
from recall.serving.operations_config import MetricsConfig


class HttpEndpoint(Protocol):
    """An HTTP server in threads of its own."""

    @property
    def port(self) -> int:
        """The real port."""

    def close(self) -> None:
        """Stops listening; a second call does nothing."""


class MetricsEndpoint:
    """Answers every path with the metrics of a registry."""

    def __init__(self, config: MetricsConfig, registry: CollectorRegistry) -> None:
        """Starts to listen; `config.port` must be set.

        Raises:
            ConfigError: The address cannot be listened on, or the certificate not be used.
        """
        certificate, key = (None if path is None else str(path) for path in (config.certificate, config.key))
        try:
            self._server, self._thread = start_http_server(
                config.port or 0, addr=config.host, registry=registry, certfile=certificate, keyfile=key
            )
        except (OSError, ssl.SSLError) as error:
            raise unusable(config, error) from error

    @property
    def port(self) -> int:
        """The real port."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def unusable(config: MetricsConfig, error: OSError) -> ConfigError:
    """Returns the error for an address or a certificate that cannot be used."""
    cure = "choose another metrics.host or metrics.port (0 takes a free one), or other PEM files"
    what = error.strerror or error
    return ConfigError(f"metrics cannot be served on {config.host}, port {config.port}: {what}; {cure}")
