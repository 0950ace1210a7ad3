"""Bearer tokens: the file that lists them by hash, and who a presented one belongs to.

The file is TOML, one table a token:

    [[tokens]]
    name = "shop"
    sha256 = "..."                # 64 hexadecimal digits: the SHA-256 of the token; the token itself stands nowhere
    scopes = ["read", "write"]
    requests_per_second = 200     # optional; of all tokens of the name together

Tokens are 32 random bytes, so a plain hash suffices: there is nothing to guess. Several entries may have one name,
while its token is exchanged for another; they must be alike but for the hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recall.errors import ConfigError
from recall.serving.methods import Scope
from recall.serving.quota import Quota
from recall.serving.reload import Reloaded

PREFIX = "recall_"
"""What every token begins with, so that scanners for leaked secrets know one."""
_TOKEN_BYTES = 32
MAX_TOKEN_LENGTH = 512
MAX_ENTRIES = 1_000  # each call is compared with all of them


class TokenEntry(BaseModel):
    """One entry of the file.

    Attributes:
        name: Whose token it is; stands in logs and refusals.
        sha256: Hash of the token.
        scopes: What it allows.
        requests_per_second: How many requests the name may make; None means any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    requests_per_second: float | None = Field(default=None, gt=0, le=1e9, allow_inf_nan=False)

    def to_toml(self) -> str:
        """Returns the entry as it stands in the file."""
        scopes = ", ".join(json.dumps(scope.value) for scope in self.scopes)
        lines = ["[[tokens]]", f'name = "{self.name}"', f'sha256 = "{self.sha256}"', f"scopes = [{scopes}]"]
        if self.requests_per_second is not None:
            lines.append(f"requests_per_second = {self.requests_per_second}")
        return "\n".join(lines) + "\n"


class _TokensFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[TokenEntry, ...] = Field(default=(), max_length=MAX_ENTRIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whom a token belongs to.

    Attributes:
        name: As in the file.
        scopes: What the token allows.
        quota: Of all tokens of the name; None where there is none.
    """

    name: str
    scopes: frozenset[Scope]
    quota: Quota | None


class TokenTable:
    """The tokens that are taken. Made anew when the file changes; names keep what is left of their quotas."""

    def __init__(self, entries: Sequence[TokenEntry], previous: TokenTable | None = None) -> None:
        """Takes entries of a file, and the table that this one replaces."""
        kept = {} if previous is None else previous._quotas
        self._quotas: dict[str, Quota] = {}
        self._callers: list[tuple[bytes, Caller]] = []
        for entry in entries:
            caller = Caller(name=entry.name, scopes=frozenset(entry.scopes), quota=self._quota(entry, kept))
            self._callers.append((bytes.fromhex(entry.sha256), caller))

    def caller(self, token: str) -> Caller | None:
        """Returns whom a token belongs to, None where it is unknown, in a time that says nothing of those known."""
        digest = _digest(token)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _quota(self, entry: TokenEntry, kept: Mapping[str, Quota]) -> Quota | None:
        rate = entry.requests_per_second
        if rate is None:
            return None
        if entry.name not in self._quotas:
            before = kept.get(entry.name)
            is_same = before is not None and before.requests_per_second == rate
            self._quotas[entry.name] = before if before is not None and is_same else Quota(entry.name, rate)
        return self._quotas[entry.name]


def reloaded_tokens(file: Path) -> Reloaded[TokenTable]:
    """Returns the tokens that a file lists, and will list.

    Raises:
        ConfigError: The file cannot be used.
    """
    last: list[TokenTable] = []

    def load() -> TokenTable:
        last[:] = [TokenTable(read_entries(file), last[0] if last else None)]
        return last[0]

    return Reloaded("tokens", [file], load)


def new_token() -> str:
    """Returns a new random token."""
    return PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Returns what stands in the file for a token."""
    return _digest(token).hex()


def read_entries(file: Path) -> tuple[TokenEntry, ...]:
    """Returns the entries of a file. Errors never quote a value of it, which may be a token, put there by mistake.

    Raises:
        ConfigError: The file cannot be read, names no token, or an entry is wrong.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; `recall token --file` makes one") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8; write it as TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is no valid TOML: {error}") from None
    try:
        entries = _TokensFile.model_validate(content).tokens
    except ValidationError as error:
        problems = "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"{file}: {problems}") from None
    if not entries:  # also what a file looks like that is being written
        raise ConfigError(f"{file} names no token; add one with `recall token --file {file}`")
    _refuse_unequal(entries, file)
    return entries


def _refuse_unequal(entries: Sequence[TokenEntry], file: Path) -> None:
    first: dict[str, TokenEntry] = {}
    owners: dict[str, str] = {}
    for entry in entries:
        known = first.setdefault(entry.name, entry)
        if (set(known.scopes), known.requests_per_second) != (set(entry.scopes), entry.requests_per_second):
            raise ConfigError(f"{file}: entries of {entry.name!r} differ in scopes or quota; make them alike")
        if owners.setdefault(entry.sha256.lower(), entry.name) != entry.name:
            raise ConfigError(f"{file}: {owners[entry.sha256.lower()]!r} and {entry.name!r} have the same token")


def _place(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
