"""Values by user, as `recall evaluate --per-user` writes them: Parquet, one row a figure and user.

Columns: `channel`, `candidates`, `slice`, `metric` (string), `k` (integer), `user_id` (string), `value` (float). The
key-value metadata of the file names `model_id`, `data` and `split`; a file made elsewhere may lack it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recall.errors import DataError
from recall.tables import USER_ID
from training.report import CHANNEL, FIGURE, VALUE, K

_KEYS = (*FIGURE, USER_ID)
_ORIGIN = ("data", "split", "history")
_WRITE_AGAIN = "write it with `recall evaluate --per-user`"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUserTable:
    """One checked file.

    Attributes:
        file: Where it came from.
        rows: Columns of the module's description, in file order; every (figure, user) stands there once.
        origin: Metadata: `data`, `split`, `history`, where the file names them.
    """

    file: Path
    rows: pl.DataFrame
    origin: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> PerUserTable:
        """Reads and checks `file`; further columns are ignored.

        Raises:
            DataError: The file cannot be read, has no rows, lacks a column or has one of another type, a cell is null
                or no finite number, or a figure has two values of one user.
        """
        try:
            rows = pl.read_parquet(file, glob=False)
            origin = pl.read_parquet_metadata(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{file} cannot be read as Parquet: {error}; {_WRITE_AGAIN}") from error
        rows = _checked_columns(rows, file)
        _refuse_missing(rows, file)
        _refuse_repeated(rows, file)
        return cls(file=file, rows=rows, origin={name: origin[name] for name in _ORIGIN if name in origin})

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in file order."""
        return tuple(self.rows[CHANNEL].unique(maintain_order=True).to_list())

    def of_channel(self, name: str) -> pl.DataFrame:
        """Returns the rows of one channel, without the column that names it.

        Raises:
            DataError: There is no such channel.
        """
        if name not in self.channels:
            raise DataError(f"{self.file} has no channel {name!r}; it has {', '.join(self.channels)}")
        return self.rows.filter(pl.col(CHANNEL) == name).drop(CHANNEL)


def _checked_columns(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    missing = [name for name in (*_KEYS, VALUE) if name not in rows.columns]
    if missing:
        raise DataError(
            f"{file} is no table of values by user: it lacks {', '.join(missing)} and has {', '.join(rows.columns)}; "
            f"{_WRITE_AGAIN}"
        )
    for name in (*_KEYS, VALUE):
        wanted, fits = _type_of(name)
        if not fits(rows[name].dtype):
            raise DataError(f"{file}: column {name!r} is {rows[name].dtype}, not {wanted}; {_WRITE_AGAIN}")
    if rows.is_empty():
        raise DataError(f"{file} has no rows; {_WRITE_AGAIN}")
    texts = [pl.col(name).cast(pl.String) for name in _KEYS if name != K]
    return rows.select(*_KEYS, VALUE).with_columns(*texts, pl.col(K).cast(pl.Int64), pl.col(VALUE).cast(pl.Float64))


def _type_of(name: str) -> tuple[str, Callable[[pl.DataType], bool]]:
    if name == K:
        return "an integer", lambda dtype: dtype.is_integer()
    if name == VALUE:
        return "a float", lambda dtype: dtype.is_float()
    return "a string", lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum)


def _refuse_missing(rows: pl.DataFrame, file: Path) -> None:
    for name in _KEYS:
        if rows[name].null_count():
            row = rows[name].is_null().arg_true()[0]
            raise DataError(f"{file}, row {row}: {name} is null; {_WRITE_AGAIN}")
    wrong = ~rows[VALUE].is_finite().fill_null(value=False)
    if wrong.any():
        row = wrong.arg_true()[0]
        raise DataError(f"{file}, row {row}: {VALUE} is {rows[VALUE][row]}, no finite number; {_WRITE_AGAIN}")


def _refuse_repeated(rows: pl.DataFrame, file: Path) -> None:
    repeated = rows.select(pl.struct(_KEYS).is_first_distinct().not_()).to_series()
    if repeated.any():
        row = int(repeated.arg_true()[0])
        channel, candidates, slice_, metric, k, user_id = rows.select(_KEYS).row(row)
        raise DataError(
            f"{file}, row {row}: {metric}@{k} of user {user_id!r} ({channel}, {candidates}, {slice_}) stands there "
            f"twice; keep one ({repeated.sum()} such rows)"
        )
