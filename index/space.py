"""One space of a snapshot: vectors by row and the index over them.

Files below one folder:

- `vectors.npy`: float32 [n, dim], NumPy format 1.0, little-endian, C order.
- `index.json`: `{"format_version": 1, "kind": a name of `index.kinds`, "parameters": {...}}`, sorted keys.
- what the kind writes besides, see its `save`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.errors import InvalidIndexConfigError, InvalidVectorError, SnapshotDamagedError, SnapshotMismatchError
from index.json_object import load_object
from index.kinds import KINDS, BaseIndex, load_kind
from index.protocols import FloatArray

FORMAT_VERSION = 1
_VECTORS, _INDEX = "vectors.npy", "index.json"


def save_space(folder: Path, vectors: FloatArray, index: BaseIndex) -> None:
    """Writes vectors, [n, dim] float32, and the index over them below `folder`, which exists."""
    np.save(folder / _VECTORS, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
    body = {"format_version": FORMAT_VERSION, "kind": index.kind, "parameters": index.parameters()}
    (folder / _INDEX).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="ascii")
    index.save(folder)


def load_space(folder: Path) -> tuple[FloatArray, BaseIndex]:
    """Reads what `save_space` wrote; the vectors are mapped read-only, [n, dim] float32.

    Raises:
        SnapshotDamagedError: A file is missing or unreadable.
        SnapshotMismatchError: The format or the kind is not known here.
        MissingBackendError: The kind needs a library that is not installed.
    """
    vectors = load_array(folder / _VECTORS, np.float32, num_axes=2, mapped=True)
    path = folder / _INDEX
    body = load_object(path)
    if body.get("format_version") != FORMAT_VERSION:
        raise SnapshotMismatchError(
            f"{path} has format version {body.get('format_version')}, this program reads {FORMAT_VERSION}; rebuild"
        )
    kind, parameters = body.get("kind"), body.get("parameters")
    if not isinstance(kind, str) or not isinstance(parameters, dict):
        raise SnapshotDamagedError(f"{path} names no kind with its parameters; rebuild or restore it")
    if kind not in KINDS:
        raise SnapshotMismatchError(f"{path} is of kind {kind!r}, unknown to this program; rebuild or upgrade")
    try:
        return vectors, load_kind(kind, folder, vectors, parameters)
    except InvalidIndexConfigError as error:
        raise SnapshotMismatchError(f"{path}: {error}; rebuild or upgrade") from None
    except InvalidVectorError as error:
        raise SnapshotDamagedError(f"{folder / _VECTORS} holds what was never indexed: {error}; rebuild it") from None
