"""Settings of what watches a server: metrics, logs, traces and the console, each a table of `serve.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recall.serving.addresses import is_loopback


class MetricsConfig(BaseModel):
    """Where metrics, and the console beside them, are served over HTTP; the table `[metrics]`.

    Attributes:
        host: Address to listen on. The default answers this machine only.
        port: TCP port; 0 takes a free one, which is logged. None, the default, serves neither metrics nor console.
        certificate: PEM file with the chain of the server, for HTTPS; with `key`.
        key: PEM file with its private key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int | None = Field(default=None, ge=0, le=65535)
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _refuse_half_a_certificate(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("metrics.certificate and metrics.key go together; set both, or none for plain HTTP")
        return self

    def is_loopback(self) -> bool:
        """Returns whether only this machine can reach it."""
        return is_loopback(self.host)


class LogConfig(BaseModel):
    """What is logged on stderr and how; the table `[log]`.

    Attributes:
        format: `text` for people, `json` for one object a line.
        calls: Whether every call is logged.
        slow_seconds: Calls that take longer, waiting included, are logged in any case; 0 logs none for that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["text", "json"] = "text"
    calls: bool = False
    slow_seconds: float = Field(default=1.0, ge=0)


class TracesConfig(BaseModel):
    """Where traces of calls go; the table `[traces]`. Needs the extra `otel`.

    Attributes:
        endpoint: OTLP collector over gRPC, for example `http://127.0.0.1:4317`; empty, the default, traces nothing.
        service_name: What the server is called in traces.
        share: Share of the calls traced that come without a trace of their caller; those with one follow it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = ""
    service_name: str = Field(default="recall", min_length=1)
    share: float = Field(default=1.0, ge=0, le=1)


class ConsoleConfig(BaseModel):
    """The web page beside the metrics; the table `[console]`. Needs the extra `console`.

    Attributes:
        enabled: Whether it is served; None, the default, serves it on a loopback address where the extra is installed.
        writes: Whether items can be written from it.
        token_file: File with the SHA-256 of the token to sign in with, 64 hexadecimal digits; needed for a console that
            other machines can reach.
        refresh_seconds: Time between two readings of what is drawn over time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = None
    writes: bool = True
    token_file: Path | None = None
    refresh_seconds: float = Field(default=10.0, gt=0, le=3600)
