"""`recall compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines

if TYPE_CHECKING:
    from training.compare import Comparison, Difference

_WHICH = ("channel", "candidates", "slice", "metric")
_HEADER = (*_WHICH, "a", "b", "b-a", "low", "high", "better", "worse", "equal", "users")


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.parquet", help="Values by user of `recall evaluate --per-user`.")],
    b: Annotated[
        Path | None, typer.Argument(metavar="B.parquet", help="The values to compare with them.", show_default=False)
    ] = None,
    channels: Annotated[
        str | None, typer.Option("--channels", help="Two channels, X,Y: X of A with Y of B, or of A without a B.")
    ] = None,
    json: Json = None,
) -> None:
    """Compare two evaluations, or two channels of one, user by user: mean differences with their intervals."""
    pair = _pair(channels)
    if b is None and pair is None:
        raise typer.BadParameter("missing; name a second file, or two channels with --channels", param_hint="B.parquet")
    if b is None and pair is not None and pair[0] == pair[1]:
        raise typer.BadParameter(f"{pair[0]!r} twice in one file; name two channels", param_hint="--channels")

    from training.compare import compare_files

    result = compare_files(a, b, channels=pair)
    for notice in result.notices:
        say(f"notice: {notice}")
    report(_lines(result), result.to_json(), json)


def _pair(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"{text!r} is no pair; write served,content", param_hint="--channels")
    return names[0], names[1]


def _lines(result: Comparison) -> list[str]:
    return table_lines(_HEADER, [_cells(row) for row in result.rows])


def _cells(row: Difference) -> list[object]:
    channel = row.channel_a if row.channel_a == row.channel_b else f"{row.channel_a} -> {row.channel_b}"
    figures = [f"{value:.4f}" for value in (row.mean_a, row.mean_b)]
    figures += [f"{value:+.4f}" for value in (row.difference, row.low, row.high)]
    shares = [f"{share:.1%}" for share in (row.better, row.worse, row.equal)]
    return [channel, row.candidates, row.slice, f"{row.metric}@{row.k}", *figures, *shares, row.users]
