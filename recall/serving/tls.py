"""Encryption of the server's port: certificate, key and, where clients must show one too, the CA of their certificates.

All are PEM files. They are checked when the server starts and whenever one changes; connections made from then on get
the new ones, those that exist go on. Each file belongs to the others, so they change together: files that do not fit
are left alone until they do.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from recall.errors import ConfigError
from recall.serving.config import TlsConfig
from recall.serving.reload import Reloaded


def reloaded_certificates(config: TlsConfig) -> Reloaded[grpc.ServerCertificateConfiguration]:
    """Returns what the files of `config` say, and will say.

    Raises:
        ConfigError: A file cannot be read, is no PEM of its kind, or certificate and key do not belong together.
    """
    paths = [path for path in (config.certificate, config.key, config.client_ca) if path is not None]
    return Reloaded("TLS certificates", paths, lambda: _certificates(config))


def server_credentials(
    certificates: Reloaded[grpc.ServerCertificateConfiguration], *, require_client: bool
) -> grpc.ServerCredentials:
    """Returns credentials of a port that follow the files.

    Args:
        certificates: The files.
        require_client: Whether only clients with a certificate of the client CA may connect.
    """
    handed = [certificates.value]

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Called with each new connection; None leaves what there is."""
        value = certificates.value
        if value is handed[0]:
            return None
        handed[0] = value
        return value

    return grpc.dynamic_ssl_server_credentials(
        handed[0],
        changed,  # type: ignore[arg-type]  # its stubs know no None, which is documented
        require_client_authentication=require_client,
    )


def _certificates(config: TlsConfig) -> grpc.ServerCertificateConfiguration:
    if config.certificate is None or config.key is None:
        raise ConfigError("[tls] needs certificate and key")
    certificate = _read(config.certificate, "certificate", "CERTIFICATE")
    key = _read(config.key, "key", "PRIVATE KEY")
    _refuse_encrypted(key, config.key)
    client_ca = None
    if config.client_ca is not None:
        client_ca = _read(config.client_ca, "client_ca", "CERTIFICATE")
        _check_ca(client_ca, config.client_ca)
    _check_pair(config.certificate, config.key)
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)


def _read(path: Path, name: str, kind: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"tls.{name}: {path} cannot be read: {error.strerror}; name a PEM file") from error
    if f"{kind}-----".encode() not in content:
        raise ConfigError(f"tls.{name}: {path} holds no {kind}; name a PEM file with one")
    return content


def _refuse_encrypted(key: bytes, path: Path) -> None:
    if b"ENCRYPTED" in key:
        raise ConfigError(
            f"tls.key: {path} is encrypted; name a key without a passphrase that only the server may read"
        )


def _check_ca(content: bytes, path: Path) -> None:
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"tls.client_ca: {path} is no PEM certificate: {error}") from error


def _check_pair(certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
        raise ConfigError(
            f"tls.certificate {certificate} and tls.key {key} cannot be used together: {reason}; name the chain, "
            "server's certificate first, and the key that it was made for"
        ) from error
