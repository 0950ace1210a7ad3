"""Items and users prepared once for a whole training: a piece at a time, and wide parts in a file that is mapped.

What does not fit beside everything else in memory is left to the system, which keeps of the file what steps look at.
The file has no name and goes with the process, however that ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recall.model.bags import Bags
from recall.model.inputs import PreparedRows, SideEncoder
from recall.schema import FeatureMap

PIECE = 1 << 16
"""Rows prepared at once."""

_MOST_BYTES = 1 << 28
"""Of one array in memory; a larger one is mapped."""

_Rows = TypeVar("_Rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows to prepare.

    Attributes:
        side: Their encoding, fitted.
        ids: Their ids.
        rows: Their raw features.
    """

    side: SideEncoder
    ids: Sequence[str]
    rows: Sequence[FeatureMap]


def prepare(source: Source) -> PreparedRows:
    """Returns all rows prepared, as `SideEncoder.prepare` prepares them."""
    return _joined(source, lambda part: source.side.prepare(source.ids[part], source.rows[part]))


def prepare_with_bags(source: Source) -> tuple[PreparedRows, Bags]:
    """Returns all rows prepared and their bags, as `SideEncoder.prepare_with_bags` does."""
    bags: list[Bags] = []

    def piece(part: slice) -> PreparedRows:
        rows, some = source.side.prepare_with_bags(source.ids[part], source.rows[part])
        bags.append(some)
        return rows

    rows = _joined(source, piece)
    return rows, Bags.joined(bags)


def _joined(source: Source, piece: Callable[[slice], PreparedRows]) -> PreparedRows:
    num_rows = len(source.ids)
    first = piece(slice(0, PIECE))
    if num_rows <= PIECE:
        return first
    whole = _empty_like(first, num_rows)
    _put(whole, slice(0, PIECE), first)
    for start in range(PIECE, num_rows, PIECE):
        part = slice(start, min(start + PIECE, num_rows))
        _put(whole, part, piece(part))
    return whole


def _empty_like(rows: _Rows, num_rows: int) -> _Rows:
    """Returns arrays for so many rows, in the fields of the same classes."""
    made = {}
    for name, value in _values(rows).items():
        made[name] = empty_rows(value, num_rows) if isinstance(value, np.ndarray) else _empty_like(value, num_rows)
    return type(rows)(**made)


def empty_rows(like: NDArray[np.generic], num_rows: int) -> NDArray[np.generic]:
    """Returns an array for so many rows like those of `like`, in a file that is mapped where it is large."""
    shape = (num_rows, *like.shape[1:])
    if like.dtype.itemsize * int(np.prod(shape)) <= _MOST_BYTES:
        return np.empty(shape, dtype=like.dtype)
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, dtype=like.dtype, mode="w+", shape=shape))


def _put(whole: object, part: slice, rows: object) -> None:
    targets = _values(whole)
    for name, value in _values(rows).items():
        target = targets[name]
        if isinstance(target, np.ndarray):
            target[part] = value
        else:
            _put(target, part, value)


def _values(rows: object) -> dict[str, object]:
    assert is_dataclass(rows)
    return {field.name: getattr(rows, field.name) for field in fields(rows)}
