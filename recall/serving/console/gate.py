"""Who may use the console: this machine, or whoever has the token; and no other web page in the name of either.

A page of another origin can make a browser send requests here, with its sign-in. What it cannot do is send JSON without
being asked for leave first (which is never given), hide its origin, or choose the `Host` that it calls us by: where
there is no token, a name that only pretends to be this machine (DNS rebinding) is refused by that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recall.errors import ConfigError
from recall.serving.addresses import is_loopback
from recall.serving.operations_config import ConsoleConfig, MetricsConfig

_DIGEST = re.compile(r"[0-9a-f]{64}")
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Refuses requests.

    Attributes:
        digest: SHA-256 of the token in hexadecimal; empty where none is needed.
    """

    digest: str = ""

    @classmethod
    def of(cls, console: ConsoleConfig, metrics: MetricsConfig) -> Gate:
        """Returns the gate of a configuration.

        Raises:
            ConfigError: Other machines could use the console without a token or read it on the way, or the file of the
                token cannot be used.
        """
        if console.token_file is not None:
            gate = cls(digest=_read_digest(console.token_file))
        elif metrics.is_loopback():
            gate = cls()
        else:
            cure = 'set console.token_file, metrics.host = "127.0.0.1", or console.enabled = false'
            raise ConfigError(f"the console on {metrics.host} would be open to other machines; {cure}")
        if not metrics.is_loopback() and metrics.certificate is None:
            cure = "set metrics.certificate and metrics.key, or serve on 127.0.0.1 behind a proxy that has them"
            raise ConfigError(f"the token of the console on {metrics.host} could be read on the way; {cure}")
        return gate

    def refusal(self, request: Request) -> Response | None:
        """Returns why a request is refused, None where it may pass."""
        if self.digest:
            if not self._has_token(request.headers.get("authorization", "")):
                return _refused(
                    401, "sign in with the token of the console", {"www-authenticate": 'Basic realm="recall"'}
                )
        elif not is_loopback(_host_name(request.headers.get("host", ""))):
            return _refused(421, "this server goes by localhost, 127.0.0.1 or [::1] alone")
        if request.method in ("GET", "HEAD"):
            return None
        return _cross_site_refusal(request)

    def _has_token(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        token = credentials.strip()
        if scheme.lower() == "basic":
            try:
                token = base64.b64decode(token, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), self.digest)


def _cross_site_refusal(request: Request) -> Response | None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refused(415, "send application/json")
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return _refused(403, "requests of other web pages are refused")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return _refused(403, "requests of other web pages are refused")
    return None


def _refused(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"code": "REFUSED", "message": message}, code, headers)


def _host_name(host: str) -> str:
    """Returns the name in a `Host` header; empty for one that is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _read_digest(file: Path) -> str:
    try:
        digest = file.read_text(encoding="ascii").strip().lower()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"console.token_file {file} cannot be read: {error}; name a readable file") from error
    if not _DIGEST.fullmatch(digest):
        cure = "write it with: printf %s \"$TOKEN\" | sha256sum | cut -d' ' -f1"
        raise ConfigError(f"console.token_file {file} does not hold 64 hexadecimal digits; {cure}")
    return digest
