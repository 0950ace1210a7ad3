"""The interactions of a data folder, read a piece at a time and held as codes.

A row takes two codes of 4 bytes, and 8 bytes each for a time and a weight where there are any, however long the ids
are; the ids themselves are held once. Everything is checked here: each piece by itself, and repeated rows over all of
them by sorting one number a row.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.column_names import ITEM_ID, SPLIT, TIMESTAMP, USER_ID, WEIGHT
from recall.errors import DataError
from recall.id_columns import as_id, count_rows, parquet_schema, read_rows

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
"""Parts of a split; the code of one is its place."""

_PIECE = 1 << 20
_ID, _CODE = "id", "code"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """Interactions in file order.

    Attributes:
        user_ids: Distinct users; there may be some without an interaction.
        item_ids: Distinct items, likewise.
        users: [n] int32, places in `user_ids`.
        items: [n] int32, places in `item_ids`.
        timestamps: [n] int64 seconds; None where the table has none.
        weights: [n] float64; None where the table has none.
        parts: [n] int8, places in `PARTS`; None where the table has no split.
    """

    user_ids: pl.Series
    item_ids: pl.Series
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None
    parts: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        """Returns the number of interactions."""
        return len(self.users)

    @classmethod
    def of(cls, table: pl.DataFrame) -> Interactions:
        """Returns the interactions of a table with ids and, where it has them, timestamps; other columns are left."""
        users, items = (_Codes(table[column].unique(maintain_order=True)) for column in (USER_ID, ITEM_ID))
        return cls(
            user_ids=users.ids,
            item_ids=items.ids,
            users=users.of(table[USER_ID]),
            items=items.of(table[ITEM_ID]),
            timestamps=table[TIMESTAMP].to_numpy() if TIMESTAMP in table.columns else None,
        )

    def named(self) -> pl.DataFrame:
        """Returns `user_id` and `item_id` as strings, and what is there of `timestamp`, `weight` and `split`."""
        columns = {
            USER_ID: self.user_ids.gather(self.users),
            ITEM_ID: self.item_ids.gather(self.items),
            **{name: pl.Series(column) for name, column in ((TIMESTAMP, self.timestamps), (WEIGHT, self.weights))
               if column is not None},
        }  # fmt: skip
        if self.parts is not None:
            columns[SPLIT] = pl.Series(PARTS).gather(self.parts)
        return pl.DataFrame(columns)

    def kept(self, rows: NDArray[np.bool_]) -> Interactions:
        """Returns some of the interactions."""
        if rows.all():
            return self
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            timestamps=None if self.timestamps is None else self.timestamps[rows],
            weights=None if self.weights is None else self.weights[rows],
            parts=None if self.parts is None else self.parts[rows],
        )


class _Codes:
    """Codes of ids, from 0 in the order in which they were first met."""

    def __init__(self, known: pl.Series) -> None:
        self._known = pl.DataFrame({_ID: known, _CODE: np.arange(len(known), dtype=np.int32)})

    @property
    def ids(self) -> pl.Series:
        return self._known[_ID].rechunk()

    def of(self, ids: pl.Series) -> NDArray[np.int32]:
        """Returns the codes of ids, [n] int32; new ones get codes of their own."""
        table = pl.DataFrame({_ID: ids})
        new = table.unique(maintain_order=True).join(self._known, on=_ID, how="anti", maintain_order="left")
        if len(new):
            codes = np.arange(len(self._known), len(self._known) + len(new), dtype=np.int32)
            self._known = self._known.vstack(new.with_columns(pl.Series(_CODE, codes))).rechunk()
        codes = table.join(self._known, on=_ID, how="left", maintain_order="left")[_CODE].to_numpy()
        return np.asarray(codes, dtype=np.int32)


def read_interactions(
    file: Path, item_ids: pl.Series, *, min_weight: float | None, keep_weights: bool = True
) -> Interactions:
    """Reads the positive interactions with known items.

    Args:
        file: `interactions.parquet`.
        item_ids: Distinct ids of the known items.
        min_weight: Rows of less weight are no positives; None takes all.
        keep_weights: Whether to return the weights.

    Raises:
        DataError: A null or too long id, a repeated (user, item, timestamp), a pair in two parts of the split, a wrong
            type, or no row of enough weight.
    """
    read = _read(file, item_ids)
    _refuse_repeated(read, file)
    if min_weight is not None:
        read = _positives(read, min_weight, file)
    read = _of_known_items(read, len(item_ids), file)
    return replace(read, item_ids=item_ids, weights=read.weights if keep_weights else None)


def _read(file: Path, item_ids: pl.Series) -> Interactions:
    columns = _columns(file)
    num_rows = count_rows(file)
    users, items = _Codes(pl.Series(_ID, [], dtype=pl.String)), _Codes(item_ids)
    codes = {name: np.empty(num_rows, dtype=np.int32) for name in (USER_ID, ITEM_ID)}
    kinds = {TIMESTAMP: np.int64, WEIGHT: np.float64, SPLIT: np.int8}
    others = {name: np.empty(num_rows, dtype=kind) for name, kind in kinds.items() if name in columns}
    for start in range(0, max(num_rows, 1), _PIECE):
        piece = read_rows(file, columns, start=start, most=_PIECE)
        rows = slice(start, start + len(piece))
        for column, known in ((USER_ID, users), (ITEM_ID, items)):
            codes[column][rows] = known.of(as_id(piece, column, file, first_row=start))
        for column, array in others.items():
            array[rows] = _CHECKED[column](piece[column], file, start)
    return Interactions(
        user_ids=users.ids,
        item_ids=items.ids,
        users=codes[USER_ID],
        items=codes[ITEM_ID],
        timestamps=others.get(TIMESTAMP),
        weights=others.get(WEIGHT),
        parts=others.get(SPLIT),
    )


def _columns(file: Path) -> list[str]:
    there = list(parquet_schema(file))
    for column in (USER_ID, ITEM_ID):
        if column not in there:
            raise DataError(f"{file} has no column {column!r}; its columns are {there}")
    known = (USER_ID, ITEM_ID, TIMESTAMP, WEIGHT, SPLIT)
    ignored = [name for name in there if name not in known]
    if ignored:
        _LOG.warning("%s: ignoring columns %s", file, ", ".join(ignored))
    return [name for name in known if name in there]


def _timestamps(series: pl.Series, file: Path, first_row: int) -> pl.Series:
    if not series.dtype.is_integer():
        raise DataError(f"{file}: column {TIMESTAMP!r} is {series.dtype}; timestamps are integers, in seconds")
    if series.null_count():
        row = first_row + int(series.is_null().arg_true()[0])
        raise DataError(f"{file}, row {row}: {TIMESTAMP} is null; fill it or drop the column")
    seconds = series.cast(pl.Int64, strict=False)
    if seconds.null_count():
        row = int(seconds.is_null().arg_true()[0])
        raise DataError(f"{file}, row {first_row + row}: {TIMESTAMP} is {series[row]}, beyond int64; give seconds")
    return seconds


def _weights(series: pl.Series, file: Path, first_row: int) -> pl.Series:
    if not series.dtype.is_numeric():
        raise DataError(f"{file}: column {WEIGHT!r} is {series.dtype}; weights are numbers")
    weights = series.cast(pl.Float64)
    missing = ~weights.is_finite().fill_null(value=False)
    if missing.any():
        row = int(missing.arg_true()[0])
        seen = f"{WEIGHT} is {weights[row]}"
        raise DataError(f"{file}, row {first_row + row}: {seen}; fill it with a finite number or drop the row")
    return weights


def _parts(series: pl.Series, file: Path, first_row: int) -> pl.Series:
    if series.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{file}: column {SPLIT!r} is {series.dtype}; it holds {TRAIN}, {VALIDATION} or {TEST}")
    names = series.cast(pl.String)
    wrong = ~names.is_in(PARTS).fill_null(value=False)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        seen = f"{SPLIT} is {names[row]!r}"
        raise DataError(f"{file}, row {first_row + row}: {seen}; it must be {TRAIN}, {VALIDATION} or {TEST}")
    return names.replace_strict(list(PARTS), list(range(len(PARTS))), return_dtype=pl.Int8)


_CHECKED = {TIMESTAMP: _timestamps, WEIGHT: _weights, SPLIT: _parts}


def _refuse_repeated(read: Interactions, file: Path) -> None:
    """Refuses rows of one user, item and time: in two parts of the split, and else twice in one."""
    rows = _repeated(read)
    if not len(rows):
        return
    # With timestamps a pair may return later, in another part.
    columns: dict[str, NDArray[np.int32] | NDArray[np.int64]] = {USER_ID: read.users[rows], ITEM_ID: read.items[rows]}
    if read.timestamps is not None:
        columns[TIMESTAMP] = read.timestamps[rows]
    keys = list(columns)
    table = pl.DataFrame(columns)
    if read.parts is not None:
        table = table.with_columns(pl.Series(SPLIT, read.parts[rows]))
        elsewhere = table.select(pl.col(SPLIT) != pl.col(SPLIT).first().over(keys)).to_series()
        if elsewhere.any():
            row = int(rows[int(elsewhere.arg_true()[0])])
            raise DataError(f"{file}, row {row}: {_shown(read, row)} is in two parts of the split; keep it in one")
    repeated = table.select(pl.struct(keys).is_first_distinct().not_()).to_series()
    if repeated.any():
        row = int(rows[int(repeated.arg_true()[0])])
        count = int(repeated.sum())
        raise DataError(f"{file}, row {row}: {_shown(read, row)} stands there twice; keep one row ({count} such rows)")


def _repeated(read: Interactions) -> NDArray[np.int64]:
    """Returns the rows that may stand there more than once, ascending: all that do, seldom one that does not."""
    ordered = _keys(read)
    ordered.sort()
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    return np.flatnonzero(np.isin(_keys(read), again)) if len(again) else np.empty(0, dtype=np.int64)


def _keys(read: Interactions) -> NDArray[np.uint64]:
    """Returns one number a row, equal where user, item and time are: exact without times, else mixed."""
    keys = read.users.astype(np.uint64)
    keys *= np.uint64(len(read.item_ids) + 1)
    keys += read.items.astype(np.uint64)
    if read.timestamps is not None:
        # Multiplication by an odd number mixes upwards, the shift down again; a collision is told apart later.
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
        keys *= np.uint64(0xBF58476D1CE4E5B9)
        keys += read.timestamps.view(np.uint64)
    return keys


def _shown(read: Interactions, row: int) -> str:
    names = f"{USER_ID} {read.user_ids[int(read.users[row])]}, {ITEM_ID} {read.item_ids[int(read.items[row])]}"
    return names if read.timestamps is None else f"{names}, {TIMESTAMP} {read.timestamps[row]}"


def _positives(read: Interactions, min_weight: float, file: Path) -> Interactions:
    if read.weights is None:
        raise DataError(
            f"{file} has no column {WEIGHT!r}, which interactions.min_weight = {min_weight} needs; drop either"
        )
    positive = read.weights >= min_weight
    if len(read) and not positive.any():
        raise DataError(
            f"{file}: interactions.min_weight = {min_weight} leaves none of {len(read)} rows, whose greatest"
            f" {WEIGHT} is {float(read.weights.max())!r}; lower it in dataset.toml"
        )
    return read.kept(positive)


def _of_known_items(read: Interactions, num_known: int, file: Path) -> Interactions:
    known = read.items < num_known
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        _LOG.warning(
            "%s: ignoring %d rows whose item is not in items.parquet, the first of item %s",
            file, int((~known).sum()), read.item_ids[int(read.items[row])],
        )  # fmt: skip
    return read.kept(known)
