"""`recall vacuum`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import report


def vacuum(
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file; servers may serve it meanwhile.")],
    json: Json = None,
) -> None:
    """Write a catalogue's file anew, so that no byte stays of erased users; writers wait until it is done."""
    from recall.live.catalog import Catalog

    before = catalog.stat().st_size if catalog.exists() else 0
    with Catalog.open(catalog) as opened:
        is_empty = opened.upkeep.rewrite()
    value = {"bytes_before": before, "bytes_after": catalog.stat().st_size, "log_is_empty": is_empty}
    log = "its log is empty" if is_empty else "its log is being read by another process: run this again"
    report([f"wrote {catalog} anew, {before:,} bytes before, {value['bytes_after']:,} now; {log}"], value, json)
