"""Items from files, in batches: JSON lines and Parquet for `recall upsert`.

A line of a `.jsonl` file is `{"item_id": "x", "features": {...}, "attributes": {...}, "available_from": SECONDS,
"available_until": SECONDS}`, all but the first optional. A `.parquet` file has the column `item_id`; every other column
is a feature, an attribute or both, as the server says that the catalogue has it, which is how `recall load` stores it.
A column that the server does not know is a feature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from recall.errors import DataError, InvalidRequestError

if TYPE_CHECKING:
    import polars as pl

    from recall.live.records import ItemRecord

_WINDOW = ("available_from", "available_until")
_KEYS = {"item_id", "features", "attributes", *_WINDOW}


def batches(items: Iterator[ItemRecord], size: int) -> Iterator[list[ItemRecord]]:
    """Yields the items in lists of at most `size`."""
    while batch := list(islice(items, size)):
        yield batch


def read_items(file: Path, features: Mapping[str, str], *, attributes: Mapping[str, str]) -> Iterator[ItemRecord]:
    """Yields the items of a file, lazily.

    Args:
        file: A `.jsonl` or `.parquet` file.
        features: Kind of each known feature, to which columns of a Parquet file are cast.
        attributes: Kind of each known attribute likewise; a column may be both.

    Raises:
        DataError: The file cannot be read, or a line or row is no item; names file and place.
    """
    if file.suffix == ".parquet":
        return _of_parquet(file, features, attributes)
    if file.suffix in (".jsonl", ".ndjson"):
        return _of_lines(file)
    raise DataError(f"{file} is neither .jsonl nor .parquet; convert or rename it")


def _of_lines(file: Path) -> Iterator[ItemRecord]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _item(line, f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}; name a file of JSON lines in UTF-8") from error


def _item(line: str, place: str) -> ItemRecord:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: no valid JSON: {error}; write one object a line") from error
    if not isinstance(value, dict) or not isinstance(value.get("item_id"), str):
        raise DataError(f'{place}: no object with a string "item_id"; write {{"item_id": "...", "features": {{...}}}}')
    unknown = sorted(value.keys() - _KEYS)
    if unknown:
        raise DataError(f"{place}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(_KEYS))}")
    window = {name: value[name] for name in _WINDOW if value.get(name) is not None}
    if any(type(end) is not int for end in window.values()):
        raise DataError(f"{place}: {' and '.join(_WINDOW)} are whole seconds since 1970")
    record = _record(value["item_id"], value.get("features", {}), value.get("attributes", {}), place=place)
    return replace(record, **window)


def _record(item_id: str, features: object, attributes: object, *, place: str) -> ItemRecord:
    from recall.client import checked_features
    from recall.live.records import ItemRecord

    if not isinstance(features, dict) or not isinstance(attributes, dict):
        raise DataError(f"{place}: features and attributes are objects of values by name")
    try:
        return ItemRecord(
            item_id=item_id,
            features=checked_features(features),
            attributes=checked_features(attributes, path="attributes"),
        )
    except InvalidRequestError as error:
        raise DataError(f"{place}: {error}") from error


def _of_parquet(file: Path, features: Mapping[str, str], attributes: Mapping[str, str]) -> Iterator[ItemRecord]:
    import polars as pl

    from recall.tables import ITEM_ID

    try:
        table = pl.read_parquet(file, glob=False)
        if ITEM_ID not in table.columns:
            raise DataError(f"{file} has no column {ITEM_ID!r}; its columns are {', '.join(table.columns)}")
        item_ids = table[ITEM_ID].cast(pl.String)
        columns = table.drop(ITEM_ID)
        feature_names = [name for name in columns.columns if name in features or name not in attributes]
        feature_rows = _rows(columns.select(feature_names), features)
        attribute_rows = _rows(columns.select(name for name in columns.columns if name in attributes), attributes)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file} cannot be read as items: {error}; write it again") from error
    for row, item_id in enumerate(item_ids):
        yield _record(item_id or "", next(feature_rows, {}), next(attribute_rows, {}), place=f"{file}, row {row}")


def _rows(table: pl.DataFrame, kinds: Mapping[str, str]) -> Iterator[dict[str, object]]:
    import polars as pl

    types = {"number": pl.Float64(), "vector": pl.List(pl.Float32), "set": pl.List(pl.String)}
    known = [pl.col(name).cast(types.get(kinds[name], pl.String())) for name in table.columns if name in kinds]
    table = table.with_columns(known)
    floats = [name for name, dtype in table.schema.items() if dtype.is_float()]
    return table.with_columns(pl.col(floats).fill_nan(None)).iter_rows(named=True)
