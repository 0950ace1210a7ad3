"""`recall evaluate`, which is `scripts/evaluate.py` too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recall.cli.arguments import Json, writable_file
from recall.cli.connection import Server, with_server_flags
from recall.cli.output import progress_bars, report, table_lines

if TYPE_CHECKING:
    from training.report import Report


@with_server_flags
def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")],
    model: Annotated[Path | None, typer.Option("--model", help="Evaluate a model artifact, indexed in memory.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", help="Evaluate a snapshot, or the current one of a folder.")
    ] = None,
    server: Server | None = None,
    split: Annotated[Literal["test", "validation"], typer.Option("--split", help="Part to evaluate.")] = "test",
    k: Annotated[str, typer.Option("--k", help="Lengths of the lists, such as 20,100.")] = "20,100",
    candidates: Annotated[
        str, typer.Option("--candidates", help="all, warm, cold, cold-split, or a file with one item id a line.")
    ] = "all",
    channels: Annotated[
        str | None, typer.Option("--channels", help="served,exact,faiss,lsh,content,linear,friends,popularity,random.")
    ] = None,
    history: Annotated[
        int | None, typer.Option("--history", help="Keep only the last N items of each user's history; 0 keeps none.")
    ] = None,
    json: Json = None,
    per_user: Annotated[
        Path | None, typer.Option("--per-user", help="Parquet file of the values by user.", callback=writable_file)
    ] = None,
) -> None:
    """Measure recall@K, NDCG@K and hit rate by full ranking; without a source the baselines alone."""
    _refuse_several({"--model": model, "--snapshot": snapshot, "--target": server})
    ks = _lengths(k)

    from recall.errors import ConfigError
    from training.evaluate import EvaluationRequest
    from training.evaluate import evaluate as run

    try:
        request = EvaluationRequest(
            data=data,
            model=model,
            snapshot=None if snapshot is None else _snapshot_folder(snapshot),
            target=None if server is None else server.target,
            credentials=None if server is None else server.credentials(),
            split=split,
            ks=ks,
            candidates=candidates,
            channels=None if channels is None else tuple(name for name in channels.split(",") if name),
            history=history,
        )
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    with progress_bars() as progress:
        result = run(request, progress=progress)
    report(_lines(result), _without_nan(result), json)
    _write_per_user(result, per_user)


def _refuse_several(sources: Mapping[str, object]) -> None:
    given = [flag for flag, value in sources.items() if value]
    if len(given) > 1:
        raise typer.BadParameter("they exclude each other; give one", param_hint=" and ".join(given))


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers; write 20,100", param_hint="--k") from error


def _snapshot_folder(path: Path) -> Path:
    from index.snapshot import current

    name = current(path) if path.is_dir() else None
    return path if name is None else path / name


def _lines(result: Report) -> list[str]:
    rows = [
        (
            r.channel,
            r.candidates,
            r.slice,
            f"{r.metric}@{r.k}",
            f"{r.value:.4f}",
            f"{r.low:.4f}",
            f"{r.high:.4f}",
            r.users,
        )
        for r in result.rows
    ]
    return table_lines(("channel", "candidates", "slice", "metric", "value", "low", "high", "users"), rows)


def _without_nan(result: Report) -> dict[str, object]:
    value = result.to_json()
    rows = value["rows"]
    assert isinstance(rows, list)
    # JSON has no NaN; a figure over no users is null.
    value["rows"] = [
        {name: None if isinstance(x, float) and math.isnan(x) else x for name, x in row.items()} for row in rows
    ]
    return value


def _write_per_user(result: Report, file: Path | None) -> None:
    from recall.errors import RecallError

    if file is None:
        return
    try:
        result.write_per_user(file)
    except OSError as error:
        raise RecallError(f"{file} cannot be written: {error}; name another file") from error
