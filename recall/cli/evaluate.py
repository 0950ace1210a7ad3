"""`recall evaluate`, which is `scripts/evaluate.py` too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from recall.cli.arguments import Json


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")],
    model: Annotated[Path | None, typer.Option("--model", help="Evaluate a model artifact, indexed in memory.")] = None,
    snapshot: Annotated[Path | None, typer.Option("--snapshot", help="Evaluate one snapshot folder.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Evaluate a running server, as HOST:PORT.")] = None,
    split: Annotated[Literal["test", "validation"], typer.Option("--split", help="Part to evaluate.")] = "test",
    k: Annotated[str, typer.Option("--k", help="Lengths of the lists, such as 20,100.")] = "20,100",
    candidates: Annotated[
        str, typer.Option("--candidates", help="all, warm, cold, cold-split, or a file with one item id a line.")
    ] = "all",
    channels: Annotated[str | None, typer.Option("--channels", help="served,exact,... by default all.")] = None,
    json: Json = None,
    per_user: Annotated[Path | None, typer.Option("--per-user", help="Parquet file of the values by user.")] = None,
) -> None:
    """Measure recall@K, NDCG@K and hit rate by full ranking."""
    raise NotImplementedError
