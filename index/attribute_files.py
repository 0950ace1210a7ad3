"""Files of the attributes of base rows, beside the other files of a row table (`index.rows`).

- `attributes.json`: `{"columns": [{"kind": ..., "name": ...}, ...], "format_version": 1}`, sorted keys, ASCII.
- for column c of kind category or set, c from 0 in decimal digits, the arrays of `InvertedLabels`:
  `attribute_<c>_label_bytes.npy` uint8, `attribute_<c>_label_offsets.npy` int64, `attribute_<c>_starts.npy` int64,
  `attribute_<c>_rows.npy` int32; labels strictly ascend in UTF-8 byte order.
- for column c of kind number: `attribute_<c>_numbers.npy` float64 [num_rows], NaN where there is none.

Arrays are NumPy `.npy` format 1.0, little-endian, C order. A row table without `attributes.json` was written before
there were any.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.attribute_columns import Column, InvertedLabels, Numbers
from index.attributes import Attributes, ColumnSpec, checked_specs
from index.errors import InvalidIndexConfigError, SnapshotDamagedError, SnapshotMismatchError
from index.json_object import load_object
from index.protocols import RowArray

FORMAT_VERSION = 1
_COLUMNS = "attributes.json"


def save_attributes(folder: Path, attributes: Attributes) -> None:
    """Writes the files below `folder`, which exists.

    Args:
        folder: The row table's.
        attributes: Columns that never change (`GrowingAttributes.frozen`).
    """
    columns = [{"name": spec.name, "kind": spec.kind} for spec in attributes.specs]
    body = json.dumps({"format_version": FORMAT_VERSION, "columns": columns}, indent=1, sort_keys=True)
    (folder / _COLUMNS).write_text(body + "\n", encoding="ascii")
    for number, column in enumerate(attributes.columns):
        if isinstance(column, Numbers):
            np.save(_path(folder, number, "numbers"), column.values, allow_pickle=False)
            continue
        assert isinstance(column, InvertedLabels)
        np.save(_path(folder, number, "label_bytes"), column.label_bytes, allow_pickle=False)
        np.save(_path(folder, number, "label_offsets"), column.label_offsets, allow_pickle=False)
        np.save(_path(folder, number, "starts"), column.starts, allow_pickle=False)
        np.save(_path(folder, number, "rows"), column.rows, allow_pickle=False)


def load_attributes(folder: Path, num_rows: int) -> Attributes | None:
    """Reads what `save_attributes` wrote, mapped; None where the row table is older than attributes.

    Raises:
        SnapshotDamagedError: A file is missing, unreadable or does not fit the others.
        SnapshotMismatchError: The format is not known here.
    """
    path = folder / _COLUMNS
    if not path.exists():
        return None
    body = load_object(path)
    if body.get("format_version") != FORMAT_VERSION:
        raise SnapshotMismatchError(
            f"{path} has format version {body.get('format_version')}, this program reads {FORMAT_VERSION}; rebuild"
        )
    try:
        specs = checked_specs([ColumnSpec(name=column["name"], kind=column["kind"]) for column in body["columns"]])
    except (KeyError, TypeError, InvalidIndexConfigError) as error:
        raise SnapshotDamagedError(f"{path} states no usable columns: {error}; rebuild or restore it") from None
    columns = tuple(_load_column(folder, number, spec, num_rows) for number, spec in enumerate(specs))
    return Attributes(specs=specs, columns=columns, num_rows=num_rows)


def _load_column(folder: Path, number: int, spec: ColumnSpec, num_rows: int) -> Column:
    if spec.kind == "number":
        path = _path(folder, number, "numbers")
        values = load_array(path, np.float64, num_axes=1, mapped=True)
        if values.size != num_rows:
            raise SnapshotDamagedError(f"{path} holds {values.size} numbers; want {num_rows}; rebuild or restore it")
        return Numbers(values=values)
    column = InvertedLabels(
        label_bytes=load_array(_path(folder, number, "label_bytes"), np.uint8, num_axes=1, mapped=True),
        label_offsets=load_array(_path(folder, number, "label_offsets"), np.int64, num_axes=1, mapped=True),
        starts=load_array(_path(folder, number, "starts"), np.int64, num_axes=1, mapped=True),
        rows=load_array(_path(folder, number, "rows"), np.int32, num_axes=1, mapped=True),
        num_rows=num_rows,
    )
    fits = (
        _spans(column.label_offsets, column.label_bytes.size)
        and _spans(column.starts, column.rows.size)
        and column.label_offsets.size == column.starts.size
        and bool(((column.rows >= 0) & (column.rows < num_rows)).all())
    )
    if not fits:
        place = _path(folder, number, "starts")
        raise SnapshotDamagedError(f"{place} and its sister files hold no labels of {num_rows} rows; rebuild it")
    return column


def _spans(offsets: RowArray, length: int) -> bool:
    """Whether offsets ascend from 0 to a length."""
    return offsets.size > 0 and offsets[0] == 0 and offsets[-1] == length and bool((np.diff(offsets) >= 0).all())


def _path(folder: Path, number: int, name: str) -> Path:
    return folder / f"attribute_{number}_{name}.npy"
