"""`recall backup` and `recall restore`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import pair_lines, progress_bars, report, say


def backup(
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file; servers may write it meanwhile.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make; must not exist yet.")],
    snapshots: Annotated[
        Path | None, typer.Option("--snapshots", help="Folder of snapshots, of which the current one is kept too.")
    ] = None,
    json: Json = None,
) -> None:
    """Write a checked copy of a catalogue as it is at this moment, while servers go on; whole or not at all."""
    from recall.live.backup import backup as back_up

    with progress_bars() as progress:
        summary = back_up(catalog, out, snapshots=snapshots, progress=progress)
    value = {"backup": str(out), **asdict(summary)}
    report(pair_lines(value), value, json)


def restore(
    source: Annotated[Path, typer.Option("--from", help="Folder that `recall backup` made.")],
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file to make.")],
    snapshots: Annotated[
        Path | None, typer.Option("--snapshots", help="Folder of snapshots; CURRENT moves to one that fits.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a catalogue that lies there; what it holds is lost.")
    ] = False,
    json: Json = None,
) -> None:
    """Make a catalogue of a backup; what fails changes nothing."""
    from recall.live.restore import restore as restore_backup

    with progress_bars() as progress:
        summary = restore_backup(source, catalog, snapshots=snapshots, overwrite=overwrite, progress=progress)
    value = {"catalog": str(catalog), **asdict(summary)}
    report(pair_lines(value), value, json)
    if not summary.snapshot:
        say("no snapshot was chosen: `recall rebuild`, unless CURRENT names one that reflects only what was restored")
