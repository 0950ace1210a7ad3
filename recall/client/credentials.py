"""How a client proves who it is and knows whom it talks to: TLS files and a bearer token."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from recall.errors import ConfigError

_TOKEN_PREFIX = "recall_"  # of tokens that `recall token` makes
_MAX_TOKEN_LENGTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a client shows and what it wants to see. Without any of it nothing is encrypted and no token sent.

    Attributes:
        tls: Whether connections are encrypted; they are too where a file of TLS is named.
        ca: PEM file of the CA of the servers' certificates; None takes those that gRPC comes with.
        certificate: PEM file of the client's own certificate, for servers that want one.
        key: PEM file of its key.
        server_name: Name that the servers' certificates bear; None means the host of the target.
        token: Bearer token.
        token_file: File that holds the token; read again when it changes.
    """

    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuses what does not go together.

        Raises:
            ConfigError: One of two files is missing, or there are two tokens.
        """
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("certificate and key of the client belong together; name both files, or neither")
        if self.token is not None and self.token_file is not None:
            raise ConfigError("token and token_file exclude each other; give one")

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are encrypted."""
        return self.tls or self.ca is not None or self.certificate is not None

    @property
    def has_token(self) -> bool:
        """Whether calls carry a token."""
        return self.token is not None or self.token_file is not None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of an encrypted channel.

        Raises:
            ConfigError: A file cannot be read.
        """
        ca, key, certificate = (None if path is None else _read(path) for path in (self.ca, self.key, self.certificate))
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def refuse_bare_token(self, targets: list[str]) -> None:
        """Refuses to send a token where others could read it.

        Raises:
            ConfigError: Nothing is encrypted, and a target is not of this machine.
        """
        far = [target for target in targets if not _is_loopback(target)]
        if self.has_token and not self.is_encrypted and far:
            raise ConfigError(
                f"a token would go to {far[0]} without encryption, for anyone on the way to read; use TLS "
                "(tls=True, or ca with the CA of the server; --tls, --tls-ca)"
            )


class BearerToken:
    """The metadata that carries the token; threads may share it."""

    def __init__(self, credentials: Credentials) -> None:
        """Reads the token.

        Raises:
            ConfigError: The file cannot be read or holds no token.
        """
        self._file = credentials.token_file
        self._stamp: tuple[int, int, int] | None = None
        self._metadata: tuple[tuple[str, str], ...] = ()
        if credentials.token is not None:
            self._metadata = _metadata(credentials.token, "the token")
        if self._file is not None:
            self._metadata = self.metadata()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of the next call.

        Raises:
            ConfigError: The file has changed, and cannot be read or holds no token.
        """
        if self._file is None:
            return self._metadata
        stamp = _stamp(self._file)
        if stamp != self._stamp:
            content = _read(self._file).decode("utf-8", "replace")
            self._metadata, self._stamp = _metadata(content.strip(), str(self._file)), stamp
        return self._metadata


def _metadata(token: str, place: str) -> tuple[tuple[str, str], ...]:
    # No message quotes the token.
    if not token or len(token) > _MAX_TOKEN_LENGTH or not all("!" <= character <= "~" for character in token):
        raise ConfigError(
            f"{place} holds no token; want one line of at most {_MAX_TOKEN_LENGTH} visible ASCII characters"
        )
    return (("authorization", f"Bearer {token}"),)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(_unreadable(path, error)) from None


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(_unreadable(path, error)) from None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(path: Path, error: OSError) -> str:
    if path.name.startswith(_TOKEN_PREFIX) and not path.suffix:
        return "what should name a file is a token itself; put it into a file, or into RECALL_TOKEN"
    return f"{path} cannot be read: {error.strerror}"


def _is_loopback(target: str) -> bool:
    host = target.strip().rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
