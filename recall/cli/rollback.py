"""`recall rollback`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines

if TYPE_CHECKING:
    from recall.live.lineage import Lineage
    from recall.live.rollback import ListedSnapshot

_MODEL_DIGITS = 12


def rollback(
    snapshots: Annotated[Path, typer.Option("--snapshots", help="Folder of snapshots.")],
    to: Annotated[str | None, typer.Option("--to", help="Snapshot to serve; by default the one before.")] = None,
    catalog: Annotated[
        Path | None, typer.Option("--catalog", help="Catalogue that is served, to check that the snapshot is of it.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only show what snapshots there are.")] = False,
    json: Json = None,
) -> None:
    """Have servers go back to an earlier snapshot, which is checked first; they follow without a restart."""
    from recall.live.rollback import listed, roll_back

    if list_only:
        entries = listed(snapshots)
        report(_lines(entries), {"snapshots": [asdict(entry) for entry in entries]}, json)
        return
    name = roll_back(snapshots, to=to, lineage=_lineage(catalog))
    report([name], {"snapshot": name, "path": str(snapshots / name)}, json)
    say(f"{name} is current; servers move to it now; a rebuild that is under way would still replace it")


def _lines(entries: list[ListedSnapshot]) -> list[str]:
    header = ("snapshot", "current", "sequence", "items", "index", "model", "problem")
    rows = [
        (e.name, e.is_current, e.sequence, e.num_items, e.index_kind, e.model_id[:_MODEL_DIGITS], e.problem)
        for e in entries
    ]
    return table_lines(header, rows)


def _lineage(catalog: Path | None) -> Lineage | None:
    if catalog is None:
        return None
    from recall.live.catalog import Catalog

    with Catalog.open(catalog) as opened:
        return opened.lineage
