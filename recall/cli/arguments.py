"""Flags that several client commands share, and the reading of their values. A value that cannot be read exits 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from recall.cli.output import STDOUT, refuse_unwritable

if TYPE_CHECKING:
    from index.conditions import Condition


def writable_file(path: Path | None) -> Path | None:
    """Returns the path of a file to write, as the callback of its flag.

    Raises:
        RecallError: It cannot be written.
    """
    if path is not None:
        refuse_unwritable(path)
    return path


def _json_target(text: str | None) -> str | None:
    if text is not None and text != STDOUT:
        refuse_unwritable(Path(text))
    return text


Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds to wait for an answer.")]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", help="Items wanted, 1 to 10,000; 0 for 100.")]
Json: TypeAlias = Annotated[
    str | None, typer.Option("--json", help="Write JSON to this file, - for stdout.", callback=_json_target)
]
Features: TypeAlias = Annotated[
    str | None, typer.Option("--features", help="""JSON object, such as '{"title": "...", "tags": ["a", "b"]}'.""")
]
Exclude: TypeAlias = Annotated[
    str | None, typer.Option("--exclude", help="Ids never returned: a,b,c or @FILE with one a line.")
]
Filter: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--filter", help="""What must hold, as JSON: '{"equals": {"attribute": "brand", "stringValue": "acme"}}'."""
    ),
]
Attributes: TypeAlias = Annotated[str | None, typer.Option("--attributes", help="Attributes to show: a,b.")]
Exact: TypeAlias = Annotated[bool, typer.Option("--exact", help="Search exhaustively.")]
MinSequence: TypeAlias = Annotated[
    int, typer.Option("--min-sequence", min=0, help="Wait until this write is visible, on whatever server it was.")
]
RequestId: TypeAlias = Annotated[
    str | None, typer.Option("--request-id", help="Makes the command safe to repeat, for example a UUID.")
]

DEFAULT_TIMEOUT_SECONDS = 10.0


def id_list(text: str | None, flag: str) -> tuple[str, ...] | None:
    """Returns the ids of `a,b,c`, or one a line of the file of `@FILE`; None where the flag was not given."""
    if text is None:
        return None
    if not text.startswith("@"):
        return tuple(part for part in text.split(",") if part)
    try:
        return tuple(line for line in Path(text[1:]).read_text(encoding="utf-8").splitlines() if line)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{text[1:]} cannot be read: {error}", param_hint=flag) from error


def json_object(text: str | None, flag: str) -> dict[str, object] | None:
    """Returns the JSON object in `text`; None where the flag was not given."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{text!r} is no valid JSON: {error}", param_hint=flag) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} is no JSON object; write it in braces", param_hint=flag)
    return value


def filter_condition(text: str | None, flag: str) -> Condition | None:
    """Returns the condition of a filter in JSON, as `recall.v1.Filter` has it; None where the flag was not given."""
    from recall.client.filters import filter_from_json

    try:
        return None if text is None else filter_from_json(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no filter: {error}", param_hint=flag) from error


def number_list(text: str | None, flag: str) -> list[float] | None:
    """Returns the numbers of `0.1,0.2` or `[0.1, 0.2]`; None where the flag was not given."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.strip().strip("[]").split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write numbers with commas between", param_hint=flag) from error
