"""Settings of the server, and what of a request they bound."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from recall.live.config import ServeConfig
from recall.serving.addresses import is_loopback
from recall.serving.operations_config import ConsoleConfig, LogConfig, MetricsConfig, TracesConfig


class ServerConfig(BaseModel):
    """Everything `recall serve` can be told; `serve.toml` has these names, with the live part as the table `[live]`.

    Attributes:
        host: Address to listen on. The default takes calls from this machine only: there is no authentication.
        port: TCP port; 0 takes a free one, which is printed.
        threads: Calls handled at the same time.
        compute_threads: Threads of the arithmetic of one call. One is fastest where calls come side by side.
        max_in_flight: Calls accepted at the same time, waiting ones included; more are refused at once.
        max_message_bytes: Longest request and longest reply.
        max_wait_seconds: Longest wait for `min_sequence` of a call, however far its deadline is.
        grace_seconds: How long calls under way may go on after a stop was asked for.
        reflection: Whether clients may list services and messages; None means on a loopback address only.
        metrics: Where metrics and the console are served over HTTP.
        log: What is logged and how.
        traces: Where traces of calls go.
        console: The web page beside the metrics.
        live: Settings of retrieval, writing and the switch between snapshots.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=50051, ge=0, le=65535)
    threads: int = Field(default=16, ge=1, le=1024)
    compute_threads: int = Field(default=1, ge=1, le=1024)
    max_in_flight: int = Field(default=256, ge=1)
    max_message_bytes: int = Field(default=16 * 2**20, ge=2**16, le=2**30)
    max_wait_seconds: float = Field(default=10.0, gt=0, le=3600)
    grace_seconds: float = Field(default=10.0, ge=0, le=3600)
    reflection: bool | None = None
    metrics: MetricsConfig = MetricsConfig()
    log: LogConfig = LogConfig()
    traces: TracesConfig = TracesConfig()
    console: ConsoleConfig = ConsoleConfig()
    live: ServeConfig = ServeConfig()

    def is_loopback(self) -> bool:
        """Returns whether only this machine can reach the server."""
        return is_loopback(self.host)

    def serves_reflection(self) -> bool:
        """Returns whether the reflection service is on."""
        return self.is_loopback() if self.reflection is None else self.reflection

    def address(self) -> str:
        """Returns host and port as gRPC wants them."""
        return joined_address(self.host, self.port)


def joined_address(host: str, port: int) -> str:
    """Returns `host:port`, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
