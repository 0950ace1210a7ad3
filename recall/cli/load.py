"""`recall load`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import pair_lines, progress_bars, report


def load(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")],
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file; made where it is missing.")],
    json: Json = None,
) -> None:
    """Write the items, users and train interactions of a data folder into a catalogue.

    Where the folder has neither a split column nor a [split] table, every interaction is written.
    """
    from recall.live.load import load as load_folder
    from recall.tables import DataFolder

    folder = DataFolder.open(data)
    interactions = folder.interactions()
    if folder.config.declares_split:
        from training.split import assign_split

        interactions = assign_split(interactions, folder.config.split)
    with progress_bars() as progress:
        summary = asdict(load_folder(folder, catalog, interactions=interactions, progress=progress))
    report(pair_lines(summary), summary, json)
