"""The server process: gRPC services, health, and an orderly start and stop.

Life of a server: bound and NOT_SERVING while the snapshot loads (calls get UNAVAILABLE), SERVING, then on SIGTERM or
SIGINT NOT_SERVING again while calls under way end within the grace time, and at last the system is closed.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from recall.errors import ConfigError
from recall.live.service import RecallSystem
from recall.serving.admission import BoundedExecutor
from recall.serving.authorization import MAX_REFUSALS_AT_ONCE, Guard
from recall.serving.config import ServerConfig, joined_address
from recall.serving.decoding import RefusesUnreadable
from recall.serving.health import ServedHealth
from recall.serving.operations import Operations
from recall.serving.reload import Refresher
from recall.serving.servicer import RecallServicer
from recall.serving.stop import Stop
from recall.serving.tls import reloaded_certificates, server_credentials
from recall.serving.tokens import reloaded_tokens
from recall.v1 import recall_pb2, recall_pb2_grpc

SERVICE_NAME: str = recall_pb2.DESCRIPTOR.services_by_name["RecallService"].full_name

_LOG = logging.getLogger(__name__)


class RecallServer:
    """A gRPC server that listens from the start and answers from `attach` to `stop`."""

    def __init__(self, config: ServerConfig) -> None:
        """Binds the port and starts to listen, NOT_SERVING.

        Raises:
            ConfigError: The address cannot be listened on, for example because another server has it, a file of
                certificates or tokens cannot be used, or others could call without encryption unasked for.
        """
        _refuse_unencrypted(config)
        self._config = config
        self._certificates = reloaded_certificates(config.tls) if config.tls.is_on else None
        tokens = None if config.tokens_file is None else reloaded_tokens(config.tokens_file)
        self._servicer = RecallServicer(config.max_wait_seconds)
        self._health = ServedHealth((health.OVERALL_HEALTH, SERVICE_NAME))
        queue = BoundedExecutor(config.threads, config.max_in_flight)
        self._operations = Operations(config)
        self._server = grpc.server(
            queue,
            interceptors=[self._operations.interceptor, RefusesUnreadable(), Guard(queue, tokens)],
            maximum_concurrent_rpcs=config.max_in_flight + MAX_REFUSALS_AT_ONCE,
            options=_options(config),
        )
        self._register()
        self.port = self._bind()
        self._operations.listen()
        self._server.start()
        self._refresher = Refresher([value for value in (self._certificates, tokens) if value is not None])

    @property
    def address(self) -> str:
        """Host and real port."""
        return joined_address(self._config.host, self.port)

    @property
    def reload_problems(self) -> tuple[str, ...]:
        """Files of certificates and tokens that changed and cannot be used, one line each; those of before count."""
        return self._refresher.problems

    @property
    def metrics_address(self) -> str | None:
        """Host and real port of metrics and console; None where they are not served."""
        return self._operations.address

    def attach(self, system: RecallSystem) -> None:
        """Answers calls from `system` from now on, SERVING."""
        self._servicer.attach(system)
        self._operations.attach(system)
        self._health.set(health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Turns NOT_SERVING, refuses new calls, and returns when those under way ended or the grace time is over."""
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._operations.detach()
        self._server.stop(self._config.grace_seconds).wait()
        self._operations.close()
        self._refresher.close()

    def _register(self) -> None:
        recall_pb2_grpc.add_RecallServiceServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]  # generated
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._config.serves_reflection():
            names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    def _bind(self) -> int:
        address = self._config.address()
        cure = "stop the server that has it, or choose another with --port (0 takes a free one)"
        try:
            port = self._add_port(address)
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {address}: the address is in use or not of this machine; {cure}"
            ) from error
        if port == 0:
            raise ConfigError(f"cannot listen on {address}: the address is in use or not of this machine; {cure}")
        return port

    def _add_port(self, address: str) -> int:
        if self._certificates is None:
            return self._server.add_insecure_port(address)
        require_client = self._config.tls.client_ca is not None
        return self._server.add_secure_port(
            address, server_credentials(self._certificates, require_client=require_client)
        )


def _refuse_unencrypted(config: ServerConfig) -> None:
    if not (config.is_loopback() or config.tls.is_on or config.plaintext):
        raise ConfigError(
            f"host {config.host!r} lets other machines call, and nothing is encrypted: name certificate and key in "
            "[tls], or listen on 127.0.0.1; where a proxy encrypts, set plaintext = true"
        )


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share its calls
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),  # a caller that vanished would hold the thread of its call for hours
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _warnings(config: ServerConfig) -> list[str]:
    """Returns what is missing of the protection of a port that others reach."""
    missing = {
        "without encryption (plaintext = true)": config.plaintext,
        "without authentication (neither tokens_file nor tls.client_ca is set)": config.tokens_file is None
        and config.tls.client_ca is None,
    }
    return [] if config.is_loopback() else [what for what, is_missing in missing.items() if is_missing]


def _settle() -> None:
    """Leaves what was loaded so far, which lives as long as the process, out of the collections of cycles to come.

    Each full one would look through all of it in vain, a quarter of a second in which no call is answered.
    """
    gc.collect()
    gc.freeze()


def serve(
    config: ServerConfig, open_system: Callable[[], RecallSystem], *, announce: Callable[[str], None], stop: Stop
) -> None:
    """Serves until it is asked to stop.

    Args:
        config: Settings of the server.
        open_system: Loads what is served; called once the port is bound.
        announce: Takes the line `serving on HOST:PORT` once calls are answered.
        stop: From `stop_signals`; its signals interrupt the start and end the serving.

    Raises:
        ConfigError: The address cannot be listened on.
        RecallError: The system cannot be opened.
        KeyboardInterrupt: SIGINT came before the system was open.
        SystemExit: SIGTERM came before the system was open.
    """
    server = RecallServer(config)
    for warning in _warnings(config):
        _LOG.warning("%s can be called from other machines %s", server.address, warning)
    try:
        system = open_system()
    except BaseException:
        server.stop()
        raise
    try:
        _settle()
        server.attach(system)
        stop.expect()
        announce(f"serving on {server.address}")
        stop.wait()
        _LOG.info("stopping: calls under way have %g seconds", config.grace_seconds)
    finally:
        server.stop()
        system.close()
    _LOG.info("stopped")
