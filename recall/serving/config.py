"""Settings of the server, and what of a request they bound."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recall.live.config import ServeConfig
from recall.serving.addresses import is_loopback
from recall.serving.operations_config import ConsoleConfig, LogConfig, MetricsConfig, TracesConfig


class TlsConfig(BaseModel):
    """Encryption of the port; `recall/serving/tls.py` reads the files. Without a certificate there is none.

    Attributes:
        certificate: PEM file: the certificate of the server, and those between it and its CA.
        key: PEM file: the key of the certificate, without a passphrase.
        client_ca: PEM file: the CA of client certificates, which clients must show then (mutual TLS).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    @property
    def is_on(self) -> bool:
        """Whether the port is encrypted."""
        return self.certificate is not None

    @model_validator(mode="after")
    def _refuse_half(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; name both files, or neither")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs certificate and key; name all three files")
        return self


class ServerConfig(BaseModel):
    """Everything `recall serve` can be told; `serve.toml` has these names, with the live part as the table `[live]`.

    Attributes:
        host: Address to listen on. The default takes calls from this machine only: others are
            refused without `tls` or `plaintext`.
        port: TCP port; 0 takes a free one, which is printed.
        threads: Calls handled at the same time.
        compute_threads: Threads of the arithmetic of one call. One is fastest where calls come side by side.
        max_in_flight: Calls accepted at the same time, waiting ones included; more are refused at once.
        max_message_bytes: Longest request and longest reply.
        max_wait_seconds: Longest wait for `min_sequence` of a call, however far its deadline is.
        grace_seconds: How long calls under way may go on after a stop was asked for.
        tokens_file: File of the tokens that calls need, see `recall/serving/tokens.py`; None asks for none.
        tls: Encryption.
        plaintext: Whether other machines may call without encryption, for example because a proxy on this one encrypts.
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
    tokens_file: Path | None = None
    tls: TlsConfig = TlsConfig()
    plaintext: bool = False
    metrics: MetricsConfig = MetricsConfig()
    log: LogConfig = LogConfig()
    traces: TracesConfig = TracesConfig()
    console: ConsoleConfig = ConsoleConfig()
    live: ServeConfig = ServeConfig()

    @model_validator(mode="after")
    def _refuse_both(self) -> ServerConfig:
        if self.plaintext and self.tls.is_on:
            raise ValueError("plaintext and tls exclude each other; set one of them")
        return self

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
