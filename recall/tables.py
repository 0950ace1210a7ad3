"""The reading of a data folder; its column names stand in `column_names.py`.

A data folder holds `interactions.parquet`, `items.parquet`, and optionally `users.parquet` and `dataset.toml`. Ids may
be strings or integers; after reading they are strings (an integer becomes its decimal string). Everything is checked
here, once: whoever holds a `DataFolder` may rely on its tables.
"""

from __future__ import annotations

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
from recall.id_columns import as_id, parquet_schema, read_parquet
from recall.interactions import TEST as TEST
from recall.interactions import TRAIN as TRAIN
from recall.interactions import VALIDATION as VALIDATION
from recall.interactions import Interactions, read_interactions
from recall.schema import DataSchema, FeatureMap

INTERACTIONS_FILE = "interactions.parquet"
ITEMS_FILE = "items.parquet"
USERS_FILE = "users.parquet"
CONFIG_FILE = "dataset.toml"


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
        table = read_parquet(file)
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
        return self.coded_interactions().named()

    def coded_interactions(self, *, keep_weights: bool = True) -> Interactions:
        """Reads what `interactions` does in memory for codes, not for the ids of each row.

        Args:
            keep_weights: Whether weights are among it.

        Raises:
            DataError: As `interactions`.
        """
        items = self.path / ITEMS_FILE
        known = as_id(read_parquet(items, self._columns_of_ids(items)), ITEM_ID, items).unique(maintain_order=True)
        return read_interactions(
            self.path / INTERACTIONS_FILE,
            known,
            min_weight=self.config.interactions.min_weight,
            keep_weights=keep_weights,
        )

    def _columns_of_ids(self, file: Path) -> list[str]:
        # Without the column all are read, so that the refusal can name them.
        there = list(parquet_schema(file))
        return [ITEM_ID] if ITEM_ID in there else there


def item_rows(file: Path, schema: DataSchema) -> tuple[list[str], list[FeatureMap], list[FeatureMap]]:
    """Reads ids, features and attributes of the items of one Parquet file, in file order.

    A column of the schema that the file lacks is missing in every item.

    Raises:
        DataError: An id is null, empty, too long or repeated, or a cell does not fit its column's kind.
    """
    table = read_parquet(file)
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
    return dict(parquet_schema(file).items()) if file.is_file() else {}


def _unique_ids(table: pl.DataFrame, column: str, file: Path) -> list[str]:
    ids = as_id(table, column, file)
    repeated = ~ids.is_first_distinct()
    if repeated.any():
        row = repeated.arg_true()[0]
        raise DataError(f"{file}, row {row}: {column} {ids[row]!r} stands there twice; keep one row an id")
    return ids.to_list()
