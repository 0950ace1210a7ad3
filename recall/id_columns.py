"""Reading of Parquet files, and of the ids in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recall.errors import DataError
from recall.values import MAX_ID_BYTES, RESERVED_PREFIX


def read_parquet(file: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Reads a whole file, or some of its columns.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return pl.read_parquet(file, columns=None if columns is None else list(columns), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error


def read_rows(file: Path, columns: Sequence[str], *, start: int, most: int) -> pl.DataFrame:
    """Reads at most so many rows of some columns, in memory for them alone.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return pl.scan_parquet(file, glob=False).select(columns).slice(start, most).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error


def count_rows(file: Path) -> int:
    """Returns how many rows a file has.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error


def parquet_schema(file: Path) -> pl.Schema:
    """Returns the columns of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return pl.read_parquet_schema(file)  # type: ignore[return-value]  # annotated as dict, is a Schema
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error


def as_id(table: pl.DataFrame, column: str, file: Path, *, first_row: int = 0) -> pl.Series:
    """Returns a column of ids as strings.

    Args:
        table: Some rows of `file`.
        column: Name of the column.
        file: Named in errors.
        first_row: Row of the file that `table` begins with.

    Raises:
        DataError: The column is absent or of a wrong type, or an id is null, empty, too long or reserved.
    """
    if column not in table.columns:
        raise DataError(f"{file} has no column {column!r}; its columns are {table.columns}")
    series = table[column]
    if not (series.dtype.is_integer() or series.dtype in (pl.String, pl.Categorical)):
        raise DataError(f"{file}: column {column!r} is {series.dtype}; ids are strings or integers")
    ids = series.cast(pl.String)
    missing = (ids.is_null() | (ids == "")).fill_null(value=True)
    if missing.any():
        row = first_row + int(missing.arg_true()[0])
        raise DataError(f"{file}, row {row}: {column} is null or empty; give every row an id")
    too_long = ids.str.len_bytes() > MAX_ID_BYTES
    if too_long.any():
        row = int(too_long.arg_true()[0])
        seen = f"{column} {ids[row][:40]!r}... has {len(ids[row].encode())} bytes of UTF-8"
        raise DataError(f"{file}, row {first_row + row}: {seen}; give every row an id of at most {MAX_ID_BYTES}")
    reserved = ids.str.starts_with(RESERVED_PREFIX)
    if reserved.any():
        row = int(reserved.arg_true()[0])
        seen = f"{column} {ids[row]!r} begins with {RESERVED_PREFIX!r}, which is reserved"
        raise DataError(f"{file}, row {first_row + row}: {seen}; give the row an id that begins otherwise")
    return ids


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read as Parquet: {error}; write it again")
