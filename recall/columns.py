"""Feature columns of a table: their kinds by column type, and their cells as raw feature values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from recall.column_names import ITEM_ID, USER_ID
from recall.dataset_config import DatasetConfig
from recall.errors import DataError
from recall.schema import DataSchema, FeatureMap, FeatureSpec, FeatureValue
from recall.values import checked_value

_ATTRIBUTE_KINDS = ("category", "set", "number")


def schema_of(
    config: DatasetConfig, path: Path, *, items: Mapping[str, pl.DataType], users: Mapping[str, pl.DataType]
) -> DataSchema:
    """Works out the schema of a data folder from its configuration and its column types.

    Raises:
        DataError: A declared column is absent, or a column's type does not fit its kind.
    """
    _refuse_unknown_domains(config, path, items=items, users=users)
    item_kinds = _declared_or_typed(config.item_features, items, ITEM_ID, path)
    user_kinds = _declared_or_typed(config.user_features, users, USER_ID, path)
    attributes = config.item_attributes
    if attributes is None:
        typed = {**{name: _kind_of(dtype) for name, dtype in items.items() if name != ITEM_ID}, **item_kinds}
        attributes = {name: kind for name, kind in typed.items() if kind in _ATTRIBUTE_KINDS}  # type: ignore[misc]  # narrowed by the condition
    return DataSchema(
        name=config.name or path.resolve().name,
        item_features=_specs("items", item_kinds, items, config=config, path=path),
        user_features=_specs("users", user_kinds, users, config=config, path=path),
        item_attributes=_specs("items", attributes, items, config=config, path=path),
    )


def _refuse_unknown_domains(
    config: DatasetConfig, path: Path, *, items: Mapping[str, pl.DataType], users: Mapping[str, pl.DataType]
) -> None:
    known = {f"items.{name}" for name in items} | {f"users.{name}" for name in users}
    for name in config.domains:
        if name not in known:
            raise DataError(f"{path}: dataset.toml gives {name!r} a domain, which is no column; drop or correct it")


def _declared_or_typed(
    declared: Mapping[str, str] | None, columns: Mapping[str, pl.DataType], id_column: str, path: Path
) -> Mapping[str, str]:
    if declared is not None:
        return declared
    kinds = {}
    for name, dtype in columns.items():
        if name == id_column:
            continue
        kind = _kind_of(dtype)
        if kind is None:
            raise DataError(
                f"{path}: column {name!r} is {dtype}, which is no feature kind; cast it or list the features"
            )
        kinds[name] = kind
    return kinds


def _kind_of(dtype: pl.DataType) -> str | None:
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
        return "category"
    if dtype.is_numeric():
        return "number"
    inner = _inner(dtype)
    if inner is not None and (inner in (pl.String, pl.Categorical) or inner.is_integer()):
        return "set"
    if inner is not None and inner.is_float():
        return "vector"
    return None


def _inner(dtype: pl.DataType) -> pl.DataType | None:
    if isinstance(dtype, (pl.List, pl.Array)):
        inner = dtype.inner
        return inner() if isinstance(inner, type) else inner
    return None


def _fits(kind: str, dtype: pl.DataType) -> bool:
    inner = _inner(dtype)
    if kind == "text":
        return dtype == pl.String
    if kind == "category":
        return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean) or dtype.is_integer()
    if kind == "number":
        return dtype.is_numeric()
    if kind == "set":
        return inner is not None and (inner in (pl.String, pl.Categorical) or inner.is_integer())
    return inner is not None and inner.is_numeric()


def _specs(
    table: str, kinds: Mapping[str, str], columns: Mapping[str, pl.DataType], *, config: DatasetConfig, path: Path
) -> tuple[FeatureSpec, ...]:
    specs = []
    for name, kind in kinds.items():
        if name not in columns:
            raise DataError(
                f"{path}: dataset.toml declares {table}.{name}, which {table}.parquet lacks; drop or add it"
            )
        if not _fits(kind, columns[name]):
            raise DataError(f"{path}: {table}.{name} is {columns[name]}, which cannot be read as {kind}; cast it")
        domain = config.domains.get(f"{table}.{name}", name)
        dim = _vector_dim(path / f"{table}.parquet", name) if kind == "vector" else 0
        specs.append(FeatureSpec.model_validate({"name": name, "kind": kind, "domain": domain, "dim": dim}))
    return tuple(specs)


def _vector_dim(file: Path, name: str) -> int:
    column = pl.scan_parquet(file).select(pl.col(name).cast(pl.List(pl.Float32))).collect()[name]
    lengths = column.list.len().drop_nulls()
    longest = int(lengths.max() or 0)  # type: ignore[arg-type]  # a length is an integer
    if longest == 0:
        raise DataError(f"{file}: every value of vector column {name!r} is empty; drop the column")
    return longest


def feature_rows(table: pl.DataFrame, specs: Sequence[FeatureSpec], file: Path) -> list[FeatureMap]:
    """Returns the features of each row of `table`; a missing value is an absent key.

    Raises:
        DataError: A cell does not fit its kind; names file, row and column.
    """
    rows: list[dict[str, FeatureValue]] = [{} for _ in range(len(table))]
    for spec in specs:
        for row, cell in enumerate(_cells(table[spec.name], spec)):
            if cell is None:
                continue
            try:
                value = checked_value(spec, cell)
            except ValueError as error:
                raise DataError(f"{file}, row {row}, column {spec.name!r}: {error}") from error
            if value is not None:
                rows[row][spec.name] = value
    return list(rows)


def _cells(series: pl.Series, spec: FeatureSpec) -> list[object]:
    if spec.kind == "number":
        # Tables use NaN for a missing number.
        return series.cast(pl.Float64).fill_nan(None).to_list()
    if spec.kind == "vector":
        return series.cast(pl.List(pl.Float32)).to_list()
    if spec.kind == "set":
        return series.cast(pl.List(pl.String)).to_list()
    return series.cast(pl.String).to_list()
