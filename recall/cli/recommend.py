"""`recall recommend`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json, writable_file
from recall.cli.output import pair_lines, progress_bars, report


def recommend(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")],
    snapshot: Annotated[Path, typer.Option("--snapshot", help="A snapshot, or the current one of a folder.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.", callback=writable_file)],
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="Items a user.")] = 100,
    json: Json = None,
) -> None:
    """Write the best items of all users to one table, as a server of that snapshot would answer them.

    Histories are what `recall load` writes: the train interactions, or all where there is no split. Columns: user_id,
    item_id, rank, score, answered_from.
    """
    from recall.live.recommend import RecommendRequest
    from recall.live.recommend import recommend as write_recommended
    from recall.tables import DataFolder

    folder = DataFolder.open(data)
    interactions = folder.interactions()
    if folder.config.declares_split:
        from training.split import assign_split

        interactions = assign_split(interactions, folder.config.split)
    request = RecommendRequest(data=folder, snapshot=_snapshot_folder(snapshot), interactions=interactions, k=k)
    with progress_bars() as progress:
        summary = asdict(write_recommended(request, out, progress=progress))
    sources = ", ".join(f"{source} {count}" for source, count in summary["answered_from"].items())
    report(pair_lines({"out": str(out), **summary, "answered_from": sources}), {"out": str(out), **summary}, json)


def _snapshot_folder(path: Path) -> Path:
    from index.snapshot import current

    name = current(path) if path.is_dir() else None
    return path if name is None else path / name
