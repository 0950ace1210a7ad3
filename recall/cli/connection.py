"""The flags that say which server a client command calls, and how: they are the same in all of them.

A command takes one parameter of the class `Server`; `with_server_flags` puts the flags in its place. Flags name files
only, so that no secret stands in a list of processes or a shell's history; the one secret that is no file, the token,
comes from the environment.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from recall.client import Credentials, RecallClient

TOKEN_VARIABLE = "RECALL_TOKEN"

Target: TypeAlias = Annotated[
    str, typer.Option("--target", envvar="RECALL_TARGET", help="HOST:PORT, several with commas.")
]
OptionalTarget: TypeAlias = Annotated[
    str | None, typer.Option("--target", help="HOST:PORT of a running server, several with commas.")
]
Tls: TypeAlias = Annotated[
    bool, typer.Option("--tls", envvar="RECALL_TLS", help="Encrypt; any file below does so too.", show_default=False)
]
Ca: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-ca", envvar="RECALL_TLS_CA", help="PEM file: CA of the server's certificate.")
]
Certificate: TypeAlias = Annotated[
    Path | None,
    typer.Option("--tls-certificate", envvar="RECALL_TLS_CERTIFICATE", help="PEM file: certificate of this client."),
]
Key: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-key", envvar="RECALL_TLS_KEY", help="PEM file: key of this client.")
]
ServerName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tls-server-name", envvar="RECALL_TLS_SERVER_NAME", help="Name in the server's certificate, if not its host."
    ),
]
TokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="RECALL_TOKEN_FILE", help=f"File with the token; without one {TOKEN_VARIABLE} counts."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which server a command calls, and how."""

    target: str
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = None
    token_file: Path | None = None

    def credentials(self) -> Credentials:
        """Returns what the flags and the environment say of encryption and token.

        Raises:
            ConfigError: Something of it does not go together.
        """
        from recall.client import Credentials

        token = os.environ.get(TOKEN_VARIABLE) if self.token_file is None else None
        return Credentials(
            tls=self.tls,
            ca=self.tls_ca,
            certificate=self.tls_certificate,
            key=self.tls_key,
            server_name=self.tls_server_name,
            token=token or None,
            token_file=self.token_file,
        )

    def client(self, timeout_seconds: float) -> RecallClient:
        """Returns a client whose calls have this deadline.

        Raises:
            ConfigError: The target or its credentials cannot be used.
        """
        from recall.client import RecallClient

        return RecallClient(self.target, timeout_seconds=timeout_seconds, credentials=self.credentials())


_FLAGS: dict[str, tuple[object, object]] = {
    "target": (Target, inspect.Parameter.empty),
    "tls": (Tls, False),
    "tls_ca": (Ca, None),
    "tls_certificate": (Certificate, None),
    "tls_key": (Key, None),
    "tls_server_name": (ServerName, None),
    "token_file": (TokenFile, None),
}


def with_server_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Returns a command that has the flags of a server in place of its parameter `server`.

    Where that may be None the target is optional, and does not come from the environment.
    """
    signature = inspect.signature(command, eval_str=True)
    flags = dict(_FLAGS)
    if signature.parameters["server"].default is None:
        flags["target"] = (OptionalTarget, None)

    @functools.wraps(command)
    def with_flags(**given: object) -> None:
        values = {name: given.pop(name) for name in flags}
        server = None if values["target"] is None else Server(**values)  # type: ignore[arg-type]  # typer checked them
        command(server=server, **given)

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in flags.items()
    ]
    parameters += [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        if name != "server"
    ]
    with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_flags
