"""Export of a catalogue as a data folder: the way back of `load`, so that what was served can be trained on.

All of it is one state, that after the last write when the export began, whatever servers write meanwhile. Rows go to
Parquet in batches, and the folder appears whole or not at all.

- Deleted items are left out, and so are interactions with items that are not stored: training needs items that exist.
- Damaged rows are left out and named.
- Everything is in train: what was recorded is there to be learned from. The split in `dataset.toml` says so and may be
  edited.
- Features that the schema does not know have columns that `dataset.toml` does not declare but names in a comment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from index.snapshot import write_folder
from recall.errors import DataError, RecallError
from recall.live.catalog import Catalog
from recall.live.export_columns import Forms, Table, item_table, storage_of, user_table
from recall.live.export_config import dataset_toml
from recall.live.export_rows import ConsistentRows, Event, Row
from recall.live.parquet_stream import write_batches
from recall.progress import Progress, silent
from recall.schema import DataSchema, FeatureSpec
from recall.tables import CONFIG_FILE, INTERACTIONS_FILE, ITEM_ID, ITEMS_FILE, TIMESTAMP, USER_ID, USERS_FILE

_EVENTS = pl.Schema({USER_ID: pl.String(), ITEM_ID: pl.String(), TIMESTAMP: pl.Int64()})
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What an export wrote.

    Attributes:
        catalog_uuid: The catalogue.
        sequence: Its last write that the folder shows.
        num_items: Items written.
        num_users: Users written.
        num_interactions: Interactions written.
        num_interactions_left_out: Those with items that are not stored, and damaged ones.
        notices: What of the catalogue the folder does not show as it is, one line each.
    """

    catalog_uuid: str
    sequence: int
    num_items: int
    num_users: int
    num_interactions: int
    num_interactions_left_out: int
    notices: tuple[str, ...]


def export(catalog: Path, out: Path, *, progress: Progress | None = None) -> ExportSummary:
    """Writes a catalogue as a data folder, while servers go on.

    Args:
        catalog: Catalogue file.
        out: Folder to make; must not exist.
        progress: Told of items, users and interactions.

    Raises:
        CatalogError: The catalogue cannot be read.
        DataError: `out` exists.
        RecallError: The folder cannot be written.
    """
    if out.exists():
        raise DataError(f"{out} exists; choose another folder or remove it")
    with Catalog.open(catalog) as opened:
        schema, catalog_uuid = opened.schema, opened.uuid
    with ConsistentRows.reading(catalog) as rows:
        run = _Export(rows, schema, progress or silent)
        try:
            write_folder(out, run.fill)
        except OSError as error:
            raise RecallError(f"{out} cannot be written: {error}; name a writable folder with room") from error
        return ExportSummary(
            catalog_uuid=catalog_uuid,
            sequence=rows.sequence,
            num_items=run.num_written[ITEMS_FILE],
            num_users=run.num_written[USERS_FILE],
            num_interactions=run.num_written[INTERACTIONS_FILE],
            num_interactions_left_out=rows.num_events_left_out,
            notices=tuple(_notices(rows, run.items, run.users)),
        )


class _Export:
    """One run: the tables, and how many rows each file took."""

    def __init__(self, rows: ConsistentRows, schema: DataSchema, report: Progress) -> None:
        """Looks once at all features for such as the schema does not know."""
        self._rows, self._schema, self._report = rows, schema, report
        self.items = item_table(schema, _unknown(rows.items(silent), schema.item_features))
        self.users = user_table(schema, _unknown(rows.users(silent), schema.user_features))
        self.num_written: Counter[str] = Counter()
        self._has_times = False

    def fill(self, folder: Path) -> None:
        """Writes all files of the data folder."""
        parts = ((ITEMS_FILE, self.items, self._rows.items), (USERS_FILE, self.users, self._rows.users))
        for name, table, read in parts:
            frames = self._frames(name, map(table.frame, read(self._report)))
            write_batches(folder / name, frames, table.schema, finish=table.finished)
        events = map(self._events, self._rows.interactions(self._report))
        write_batches(folder / INTERACTIONS_FILE, self._frames(INTERACTIONS_FILE, events), _EVENTS)
        text = dataset_toml(self._schema, items=self.items, users=self.users, has_times=self._has_times)
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")

    def _frames(self, name: str, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for frame in frames:
            self.num_written[name] += len(frame)
            yield frame

    def _events(self, events: list[Event]) -> pl.DataFrame:
        frame = pl.DataFrame(events, schema=_EVENTS, orient="row")
        self._has_times = self._has_times or bool((frame[TIMESTAMP] != 0).any())
        return frame


def _unknown(batches: Iterator[list[Row]], known: Iterable[FeatureSpec]) -> Forms:
    names = {spec.name for spec in known}
    forms: Forms = defaultdict(Counter)
    for rows in batches:
        for _, features, _ in rows:
            for name in features.keys() - names:
                forms[name][storage_of(features[name])] += 1
    return forms


def _notices(rows: ConsistentRows, items: Table, users: Table) -> Iterator[str]:
    if rows.damaged:
        names = ", ".join(list(rows.damaged)[:_MAX_NAMED])
        yield f"{len(rows.damaged)} damaged rows are left out: {names}; upsert them again"
    if rows.num_events_left_out:
        yield f"{rows.num_events_left_out} interactions with items that are not stored are left out"
    if rows.num_with_window:
        yield f"{rows.num_with_window} items have a time of availability, which a data folder does not hold"
    for what, table in (("item", items), ("user", users)):
        yield from table.notices(what)
