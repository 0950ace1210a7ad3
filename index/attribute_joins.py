"""Attributes of a new base from those of the parts that it is made of: some rows of each, at new places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.attribute_columns import Column, InvertedLabels, Numbers, PairedLabels, encoded
from index.attributes import Attributes
from index.protocols import RowArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Some rows of attributes, and where they go.

    Attributes:
        attributes: Columns by row.
        rows: [n] int64, distinct.
        places: [n] int64, the new row of each.
    """

    attributes: Attributes
    rows: RowArray
    places: RowArray


def joined(parts: Sequence[Placed]) -> Attributes:
    """Returns the columns of all rows at their new places.

    Args:
        parts: At least one, all with the same specs; their places are every number from 0 on, once.
    """
    specs, num_rows = parts[0].attributes.specs, sum(part.rows.size for part in parts)
    columns: list[Column] = []
    for column, spec in enumerate(specs):
        if spec.kind == "number":
            columns.append(_numbers(parts, column, num_rows))
        else:
            columns.append(_labels(parts, column, num_rows))
    return Attributes(specs=specs, columns=tuple(columns), num_rows=num_rows)


def _numbers(parts: Sequence[Placed], column: int, num_rows: int) -> Numbers:
    values = np.empty(num_rows, dtype=np.float64)
    for part in parts:
        numbers = part.attributes.columns[column]
        assert isinstance(numbers, Numbers)
        values[part.places] = numbers.values[part.rows]
    return Numbers(values=values)


def _labels(parts: Sequence[Placed], column: int, num_rows: int) -> InvertedLabels:
    pairs = [_pairs(part, column) for part in parts]
    names = sorted({name for _, _, some in pairs for name in some})
    code_of = {name: code for code, name in enumerate(names)}
    ranks = [np.array([code_of[name] for name in some], dtype=np.int64)[codes] for _, codes, some in pairs]
    places = np.concatenate([some for some, _, _ in pairs])
    return InvertedLabels.of(names, np.concatenate(ranks), places, num_rows)


def _pairs(part: Placed, column: int) -> tuple[RowArray, NDArray[np.int64], list[bytes]]:
    """Returns places and codes of the pairs of a part, and the labels by code, each used by a pair."""
    labels = part.attributes.columns[column]
    assert not isinstance(labels, Numbers)
    if isinstance(labels, PairedLabels):
        owners, codes = labels.owners, labels.codes.astype(np.int64)
    else:
        owners, codes = labels.rows, np.repeat(np.arange(labels.starts.size - 1), np.diff(labels.starts))
    place_of = np.full(part.attributes.num_rows, -1, dtype=np.int64)
    place_of[part.rows] = part.places
    places = place_of[owners]
    used, codes = np.unique(codes[places >= 0], return_inverse=True)
    return places[places >= 0], codes, _names(labels, used)


def _names(labels: InvertedLabels | PairedLabels, codes: NDArray[np.int64]) -> list[bytes]:
    if isinstance(labels, PairedLabels):
        return [encoded(labels.labels[code]) for code in codes.tolist()]
    ends = labels.label_offsets
    return [labels.label_bytes[ends[code] : ends[code + 1]].tobytes() for code in codes.tolist()]
