"""Loading of a data folder into a catalogue: items, users and the train part of the interactions.

Batches commit one by one and rows that are stored already are left alone, so an interrupted load is completed by
running it again, and a repeated one writes nothing. Items that the folder no longer has stay; items that it has are
written even where they were deleted from the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.progress import Progress, silent
from recall.schema import DataSchema, FeatureSpec
from recall.tables import ITEM_ID, SPLIT, TIMESTAMP, TRAIN, USER_ID, DataFolder

BATCH_SIZE = 5_000

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What a load found and wrote.

    Attributes:
        catalog_uuid: The catalogue.
        sequence: Its last item write.
        num_items: Items of the folder.
        num_items_written: Those that were not stored exactly like this before.
        num_users: Users of the folder.
        num_users_written: Those that were not stored exactly like this before.
        num_interactions: Train interactions of the folder.
        num_interactions_added: Those that were not stored before.
    """

    catalog_uuid: str
    sequence: int
    num_items: int
    num_items_written: int
    num_users: int
    num_users_written: int
    num_interactions: int
    num_interactions_added: int


def load(
    data: DataFolder,
    catalog_path: Path,
    *,
    interactions: pl.DataFrame | None = None,
    progress: Progress | None = None,
) -> LoadSummary:
    """Writes a data folder into a catalogue, which is created where it is missing.

    Args:
        data: The folder.
        catalog_path: The catalogue.
        interactions: Those of the folder with a `split` column, of which only the train part is written; None reads
            them from the folder and writes all where they have no split.
        progress: Told of items, users and interactions.

    Raises:
        DataError: A table of the folder breaks its contract; nothing is written then.
        CatalogError: The catalogue cannot be used, or has another data schema.
    """
    report = progress if progress is not None else silent
    items, users = _items(data), _users(data)
    records = _train(data.interactions() if interactions is None else interactions)
    with _opened(catalog_path, data.schema) as catalog:

        def put_changed(batch: Sequence[ItemRecord]) -> int:
            changed = catalog.changed_items(batch)
            catalog.put_items(changed)
            return len(changed)

        items_written = _write(items, put_changed, name="items", report=report)
        users_written = _write(users, catalog.put_users, name="users", report=report)
        added = _write(records, catalog.add_interactions, name="interactions", report=report)
        return LoadSummary(
            catalog_uuid=catalog.uuid,
            sequence=catalog.last_sequence(),
            num_items=len(items),
            num_items_written=items_written,
            num_users=len(users),
            num_users_written=users_written,
            num_interactions=len(records),
            num_interactions_added=added,
        )


def schema_differences(stored: DataSchema, wanted: DataSchema) -> list[str]:
    """Returns how the columns of two schemas differ, one line a difference.

    The name of the data set and the order of columns do not matter: rows are stored by column name.

    Args:
        stored: The schema of a catalogue.
        wanted: The schema of the data to load.
    """
    return [
        *_spec_differences("item feature", stored.item_features, wanted.item_features),
        *_spec_differences("user feature", stored.user_features, wanted.user_features),
        *_spec_differences("item attribute", stored.item_attributes, wanted.item_attributes),
    ]


def _spec_differences(what: str, stored: Sequence[FeatureSpec], wanted: Sequence[FeatureSpec]) -> Iterator[str]:
    old, new = {spec.name: spec for spec in stored}, {spec.name: spec for spec in wanted}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{what} {name!r} is {_shown(old.get(name))} in the catalogue and {_shown(new.get(name))} in the data"


def _shown(spec: FeatureSpec | None) -> str:
    if spec is None:
        return "absent"
    length = f" of {spec.dim} numbers" if spec.kind == "vector" else ""
    return f"{spec.kind}{length} in domain {spec.domain!r}"


def _opened(path: Path, schema: DataSchema) -> Catalog:
    if not path.exists():
        return Catalog.create(path, schema)
    catalog = Catalog.open(path)
    differences = schema_differences(catalog.schema, schema)
    if differences:
        catalog.close()
        cure = "load into a new catalogue, or give the data the same columns and dataset.toml"
        raise CatalogError(f"{path} has another data schema: {'; '.join(differences)}; {cure}")
    return catalog


def _items(data: DataFolder) -> list[ItemRecord]:
    rows = zip(*data.items(), strict=True)
    return [
        ItemRecord(item_id=item_id, features=features, attributes=attributes) for item_id, features, attributes in rows
    ]


def _users(data: DataFolder) -> list[UserRecord]:
    rows = zip(*data.users(), strict=True)
    return [UserRecord(user_id=user_id, features=features) for user_id, features in rows]


def _train(table: pl.DataFrame) -> list[InteractionRecord]:
    if SPLIT in table.columns:
        table = table.filter(pl.col(SPLIT) == TRAIN)
    if TIMESTAMP not in table.columns:
        table = table.with_columns(pl.lit(0, dtype=pl.Int64).alias(TIMESTAMP))
    rows = table.select(USER_ID, ITEM_ID, TIMESTAMP).iter_rows()
    return [
        InteractionRecord(user_id=user_id, item_id=item_id, timestamp=timestamp) for user_id, item_id, timestamp in rows
    ]


def _write(rows: Sequence[_Row], write: Callable[[Sequence[_Row]], int], *, name: str, report: Progress) -> int:
    written = 0
    for start in range(0, len(rows), BATCH_SIZE):
        written += write(rows[start : start + BATCH_SIZE])
        report(name, min(start + BATCH_SIZE, len(rows)), len(rows))
    return written
