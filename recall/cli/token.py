"""`recall token`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.output import print_lines, say

if TYPE_CHECKING:
    from recall.serving.methods import Scope
    from recall.serving.tokens import TokenEntry


def token(
    name: Annotated[str, typer.Option("--name", help="Whose token it is: letters, digits, dot, dash, underscore.")],
    scopes: Annotated[
        str | None,
        typer.Option("--scopes", help="read, write or read,write; default those of the name's other tokens, or read."),
    ] = None,
    requests_per_second: Annotated[
        float | None, typer.Option("--requests-per-second", help="Quota of the name; default none.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="File of tokens to add the entry to; made where missing.")
    ] = None,
) -> None:
    """Make a random token: print it on stdout, once, and its entry on stderr or into a file.

    The file holds a hash only. Servers with that file take the token within a second.
    """
    from recall.serving.tokens import new_token, read_entries, token_hash

    made = new_token()
    entries = read_entries(file) if file is not None and file.exists() else ()
    entry = _entry(name, token_hash(made), scopes=_scopes(scopes), requests_per_second=requests_per_second)
    if alike := [known for known in entries if known.name == name]:
        entry = _alike(entry, alike[0], has_scopes=scopes is not None, has_quota=requests_per_second is not None)
    if file is None:
        print_lines([made])
        say(f"\n{entry.to_toml()}")
        return
    _append(entry, file)
    print_lines([made])
    say(f"added to {file}; this is the only time that the token is shown")


def _scopes(text: str | None) -> tuple[Scope, ...]:
    from recall.serving.methods import Scope

    names = [scope.value for scope in Scope]
    wanted = "read" if text is None else text
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    if not parts or not set(parts) <= set(names):
        raise typer.BadParameter(f"{text!r} are no scopes; write {' or '.join(names)}, or both", param_hint="--scopes")
    return tuple(scope for scope in Scope if scope.value in parts)


def _entry(name: str, sha256: str, *, scopes: tuple[Scope, ...], requests_per_second: float | None) -> TokenEntry:
    from pydantic import ValidationError

    from recall.serving.tokens import TokenEntry

    try:
        return TokenEntry(name=name, sha256=sha256, scopes=scopes, requests_per_second=requests_per_second)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint=flag) from error


def _alike(entry: TokenEntry, known: TokenEntry, *, has_scopes: bool, has_quota: bool) -> TokenEntry:
    """Returns the entry with what the name's other tokens have, which they must share.

    Raises:
        BadParameter: Something else was asked for.
    """
    scopes = entry.scopes if has_scopes else known.scopes
    quota = entry.requests_per_second if has_quota else known.requests_per_second
    if (set(scopes), quota) != (set(known.scopes), known.requests_per_second):
        text = f"{entry.name!r} has a token with other scopes or quota; leave both out, or change its entries first"
        raise typer.BadParameter(text, param_hint="--scopes and --requests-per-second")
    return entry.model_copy(update={"scopes": scopes, "requests_per_second": quota})


def _append(entry: TokenEntry, file: Path) -> None:
    """Adds an entry to a file, which is replaced whole, so that a server never reads half of it.

    Raises:
        OSError: The file cannot be written; it is as it was.
    """
    from recall.durable import sync

    before = file.read_text(encoding="utf-8").rstrip() + "\n\n" if file.exists() else ""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    sibling = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(before + entry.to_toml())
        sibling.chmod(mode)
        sync(sibling)
        sibling.replace(file)
        sync(file.parent)
    finally:
        sibling.unlink(missing_ok=True)
