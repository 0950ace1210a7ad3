"""`recall export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import pair_lines, progress_bars, report, say


def export(
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file.")],
    out: Annotated[Path, typer.Option("--out", help="Data folder to make; must not exist yet.")],
    json: Json = None,
) -> None:
    """Write a catalogue as a data folder to train on, while servers go on; whole or not at all."""
    from recall.live.export import export as export_folder

    with progress_bars() as progress:
        summary = export_folder(catalog, out, progress=progress)
    value = {"data": str(out), **asdict(summary)}
    report(pair_lines({name: entry for name, entry in value.items() if name != "notices"}), value, json)
    for notice in summary.notices:
        say(f"notice: {notice}")
