"""`recall rebuild`, which is `scripts/rebuild_index.py` too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recall.cli.arguments import Json
from recall.cli.output import log_to_stderr, progress_bars, report, say
from recall.cli.settings import resolve


def rebuild(
    model: Annotated[Path, typer.Option("--model", help="Model artifact.")],
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of snapshots.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file; see docs/serving.md.")] = None,
    items: Annotated[Path | None, typer.Option("--items", help="Parquet file of items to write first.")] = None,
    json: Json = None,
) -> None:
    """Embed and index every stored item into a new snapshot and make it current, while servers go on.

    Ctrl-C and SIGTERM leave everything as it was.
    """
    from recall.live.config import RebuildConfig
    from recall.live.rebuild import rebuild as rebuild_snapshot

    log_to_stderr("%(message)s")
    settings = resolve(RebuildConfig, "rebuild", file=config)
    say(f"configuration: {settings.model_dump_json()}")
    if items is not None:
        say(f"wrote {_write_items(items, catalog)} new or changed items of {items}")
    with progress_bars() as progress:
        folder = rebuild_snapshot(model, catalog, out, config=settings, progress=progress)
    report([str(folder)], {"snapshot": folder.name, "path": str(folder)}, json)


def _write_items(file: Path, catalog_path: Path) -> int:
    from recall.live.catalog import Catalog
    from recall.live.load import BATCH_SIZE
    from recall.live.records import ItemRecord
    from recall.tables import item_rows

    with Catalog.open(catalog_path) as catalog:
        rows = zip(*item_rows(file, catalog.schema), strict=True)
        records = [ItemRecord(item_id=i, features=features, attributes=attributes) for i, features, attributes in rows]
        num_written = 0
        for start in range(0, len(records), BATCH_SIZE):
            changed = catalog.changed_items(records[start : start + BATCH_SIZE])
            catalog.put_items(changed)
            num_written += len(changed)
    return num_written
