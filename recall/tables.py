"""The reading of a data folder; its column names stand in `column_names.py`.

A data folder holds `interactions.parquet`, `items.parquet`, and optionally `users.parquet` and `dataset.toml`. Ids may
be strings or integers; after reading they are strings (an integer becomes its decimal string). Everything is checked
here, once: whoever holds a `DataFolder` may rely on its tables.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recall.column_names import ANSWERED_FROM as ANSWERED_FROM
from recall.column_names import ITEM_ID as ITEM_ID
from recall.column_names import RANK as RANK
from recall.column_names import SCORE as SCORE
from recall.column_names import SPLIT as SPLIT
from recall.column_names import TIMESTAMP as TIMESTAMP
from recall.column_names import USER_ID as USER_ID
from recall.column_names import WEIGHT as WEIGHT
from recall.columns import feature_rows, schema_of
from recall.dataset_config import DatasetConfig
from recall.errors import DataError
from recall.schema import DataSchema, FeatureMap
from recall.values import MAX_ID_BYTES, RESERVED_PREFIX

TRAIN, VALIDATION, TEST = "train", "validation", "test"

INTERACTIONS_FILE = "interactions.parquet"
ITEMS_FILE = "items.parquet"
USERS_FILE = "users.parquet"
CONFIG_FILE = "dataset.toml"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A checked data folder.

    Attributes:
        path: The folder.
        config: Its `dataset.toml`.
        schema: Kinds and domains of all columns, declared or taken from column types.
    """

    path: Path
    config: DatasetConfig
    schema: DataSchema

    @classmethod
    def open(cls, path: Path) -> DataFolder:
        """Opens `path` and works out its schema.

        Raises:
            DataError: A file or a declared column is absent, or a column's type does not fit its kind.
        """
        path = Path(path)
        for name in (INTERACTIONS_FILE, ITEMS_FILE):
            if not (path / name).is_file():
                raise DataError(
                    f"{path / name} does not exist; a data folder needs {INTERACTIONS_FILE} and {ITEMS_FILE}"
                )
        config = DatasetConfig.read(path / CONFIG_FILE)
        schema = schema_of(config, path, items=_columns(path / ITEMS_FILE), users=_columns(path / USERS_FILE))
        return cls(path=path, config=config, schema=schema)

    def items(self) -> tuple[list[str], list[FeatureMap], list[FeatureMap]]:
        """Reads ids, features and attributes of all items, in file order.

        Raises:
            DataError: An id is null, empty, too long or repeated, or a cell does not fit its column's kind.
        """
        return item_rows(self.path / ITEMS_FILE, self.schema)

    def users(self) -> tuple[list[str], list[FeatureMap]]:
        """Reads ids and features of all users of `users.parquet`; both are empty where there is none.

        Raises:
            DataError: As `items`.
        """
        file = self.path / USERS_FILE
        if not file.is_file():
            return [], []
        table = _read(file)
        return _unique_ids(table, USER_ID, file), feature_rows(table, self.schema.user_features, file)

    def interactions(self) -> pl.DataFrame:
        """Reads the positive interactions in file order.

        Columns: `user_id`, `item_id` (strings), and what is there of `timestamp` (int64, seconds), `weight` (float64)
        and `split`.
        Rows of items that `items.parquet` does not hold are left out with a notice.

        Raises:
            DataError: A null or too long id, a repeated (user, item, timestamp), a pair in two parts of the split, or a
                wrong type.
        """
        file = self.path / INTERACTIONS_FILE
        table = _interaction_columns(_read(file), file)
        _refuse_pairs_in_two_parts(table, file)
        _refuse_duplicates(table, file)
        table = _positives(table, self.config.interactions.min_weight, file)
        return _of_known_items(table, self._item_ids(), file)

    def _item_ids(self) -> pl.Series:
        return _as_id(_read(self.path / ITEMS_FILE), ITEM_ID, self.path / ITEMS_FILE)


def item_rows(file: Path, schema: DataSchema) -> tuple[list[str], list[FeatureMap], list[FeatureMap]]:
    """Reads ids, features and attributes of the items of one Parquet file, in file order.

    A column of the schema that the file lacks is missing in every item.

    Raises:
        DataError: An id is null, empty, too long or repeated, or a cell does not fit its column's kind.
    """
    table = _read(file)
    ids = _unique_ids(table, ITEM_ID, file)
    features, attributes = (
        tuple(spec for spec in specs if spec.name in table.columns)
        for specs in (schema.item_features, schema.item_attributes)
    )
    try:
        return ids, feature_rows(table, features, file), feature_rows(table, attributes, file)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file}: a column does not fit its kind: {error}; cast it") from error


def _columns(file: Path) -> dict[str, pl.DataType]:
    if not file.is_file():
        return {}
    return dict(_scan(file).items())


def _scan(file: Path) -> pl.Schema:
    try:
        return pl.read_parquet_schema(file)  # type: ignore[return-value]  # annotated as dict, is a Schema
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}; write it again") from error


def _read(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}; write it again") from error


def _as_id(table: pl.DataFrame, column: str, file: Path) -> pl.Series:
    if column not in table.columns:
        raise DataError(f"{file} has no column {column!r}; its columns are {table.columns}")
    series = table[column]
    if not (series.dtype.is_integer() or series.dtype in (pl.String, pl.Categorical)):
        raise DataError(f"{file}: column {column!r} is {series.dtype}; ids are strings or integers")
    missing = (series.is_null() | (series.cast(pl.String) == "")).fill_null(value=True)
    if missing.any():
        raise DataError(f"{file}, row {missing.arg_true()[0]}: {column} is null or empty; give every row an id")
    ids = series.cast(pl.String)
    too_long = ids.str.len_bytes() > MAX_ID_BYTES
    if too_long.any():
        row = too_long.arg_true()[0]
        seen = f"{column} {ids[row][:40]!r}... has {len(ids[row].encode())} bytes of UTF-8"
        raise DataError(f"{file}, row {row}: {seen}; give every row an id of at most {MAX_ID_BYTES}")
    reserved = ids.str.starts_with(RESERVED_PREFIX)
    if reserved.any():
        row = reserved.arg_true()[0]
        seen = f"{column} {ids[row]!r} begins with {RESERVED_PREFIX!r}, which is reserved"
        raise DataError(f"{file}, row {row}: {seen}; give the row an id that begins otherwise")
    return ids


def _unique_ids(table: pl.DataFrame, column: str, file: Path) -> list[str]:
    ids = _as_id(table, column, file)
    repeated = ~ids.is_first_distinct()
    if repeated.any():
        row = repeated.arg_true()[0]
        raise DataError(f"{file}, row {row}: {column} {ids[row]!r} stands there twice; keep one row an id")
    return ids.to_list()


def _interaction_columns(table: pl.DataFrame, file: Path) -> pl.DataFrame:
    columns = {USER_ID: _as_id(table, USER_ID, file), ITEM_ID: _as_id(table, ITEM_ID, file)}
    if TIMESTAMP in table.columns:
        columns[TIMESTAMP] = _timestamps(table[TIMESTAMP], file)
    if WEIGHT in table.columns:
        columns[WEIGHT] = _weights(table[WEIGHT], file)
    if SPLIT in table.columns:
        columns[SPLIT] = _parts(table[SPLIT], file)
    ignored = [name for name in table.columns if name not in columns]
    if ignored:
        _LOG.warning("%s: ignoring columns %s", file, ", ".join(ignored))
    return pl.DataFrame(columns)


def _weights(series: pl.Series, file: Path) -> pl.Series:
    if not series.dtype.is_numeric():
        raise DataError(f"{file}: column {WEIGHT!r} is {series.dtype}; weights are numbers")
    weights = series.cast(pl.Float64)
    missing = ~weights.is_finite().fill_null(value=False)
    if missing.any():
        row = missing.arg_true()[0]
        raise DataError(f"{file}, row {row}: {WEIGHT} is {weights[row]}; fill it with a finite number or drop the row")
    return weights


def _timestamps(series: pl.Series, file: Path) -> pl.Series:
    if not series.dtype.is_integer():
        raise DataError(f"{file}: column {TIMESTAMP!r} is {series.dtype}; timestamps are integers, in seconds")
    if series.null_count():
        raise DataError(
            f"{file}, row {series.is_null().arg_true()[0]}: {TIMESTAMP} is null; fill it or drop the column"
        )
    seconds = series.cast(pl.Int64, strict=False)
    if seconds.null_count():
        row = seconds.is_null().arg_true()[0]
        raise DataError(f"{file}, row {row}: {TIMESTAMP} is {series[row]}, beyond int64; give seconds")
    return seconds


def _parts(series: pl.Series, file: Path) -> pl.Series:
    if series.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{file}: column {SPLIT!r} is {series.dtype}; it holds {TRAIN}, {VALIDATION} or {TEST}")
    wrong = ~series.cast(pl.String).is_in([TRAIN, VALIDATION, TEST]).fill_null(value=False)
    if wrong.any():
        row = wrong.arg_true()[0]
        raise DataError(f"{file}, row {row}: {SPLIT} is {series[row]!r}; it must be {TRAIN}, {VALIDATION} or {TEST}")
    return series.cast(pl.String)


def _refuse_duplicates(table: pl.DataFrame, file: Path) -> None:
    repeated = table.select(pl.struct(_keys(table)).is_first_distinct().not_()).to_series()
    if repeated.any():
        row = int(repeated.arg_true()[0])
        seen = _shown(table, row)
        raise DataError(f"{file}, row {row}: {seen} stands there twice; keep one row ({repeated.sum()} such rows)")


def _keys(table: pl.DataFrame) -> list[str]:
    return [USER_ID, ITEM_ID] + [TIMESTAMP] * (TIMESTAMP in table.columns)


def _shown(table: pl.DataFrame, row: int) -> str:
    return ", ".join(f"{key} {table[key][row]}" for key in _keys(table))


def _refuse_pairs_in_two_parts(table: pl.DataFrame, file: Path) -> None:
    if SPLIT not in table.columns:
        return
    # With timestamps a pair may return later, in another part.
    keys = _keys(table)
    split = table.select((pl.col(SPLIT) != pl.col(SPLIT).first().over(keys)).alias(SPLIT)).to_series()
    if split.any():
        row = int(split.arg_true()[0])
        raise DataError(f"{file}, row {row}: {_shown(table, row)} is in two parts of the split; keep it in one")


def _positives(table: pl.DataFrame, min_weight: float | None, file: Path) -> pl.DataFrame:
    if min_weight is None:
        return table
    if WEIGHT not in table.columns:
        raise DataError(
            f"{file} has no column {WEIGHT!r}, which interactions.min_weight = {min_weight} needs; drop either"
        )
    positives = table.filter(pl.col(WEIGHT) >= min_weight)
    if len(table) and not len(positives):
        raise DataError(
            f"{file}: interactions.min_weight = {min_weight} leaves none of {len(table)} rows, whose greatest"
            f" {WEIGHT} is {table[WEIGHT].max()!r}; lower it in {CONFIG_FILE}"
        )
    return positives


def _of_known_items(table: pl.DataFrame, item_ids: pl.Series, file: Path) -> pl.DataFrame:
    known = table[ITEM_ID].is_in(item_ids.implode())
    if not known.all():
        row = int((~known).arg_true()[0])
        _LOG.warning(
            "%s: ignoring %d rows whose item is not in %s, the first of item %s",
            file, int((~known).sum()), ITEMS_FILE, table[ITEM_ID][row],
        )  # fmt: skip
    return table.filter(known)
