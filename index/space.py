"""One space of a snapshot: vectors by row and the index over them.

Files below one folder:

- `vectors.npy`: float32 [n, dim], NumPy format 1.0, little-endian, C order.
- `index.json`: `{"format_version": 1, "kind": "flat" | "hnsw" | "lsh", "parameters": {...}}`, sorted keys.
- `hnsw.faiss` (kind hnsw only): the graph in FAISS's format, without the vectors.

An LSH index is rebuilt from the vectors when it is loaded: hashing them is as quick as reading the tables.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.errors import SnapshotMismatchError
from index.flat import FlatIndex
from index.hnsw import HnswIndex, HnswParameters
from index.json_object import load_object
from index.lsh import HyperplaneLsh, LshParameters
from index.protocols import FloatArray, Parameters, VectorIndex

FORMAT_VERSION = 1
_VECTORS, _INDEX, _GRAPH = "vectors.npy", "index.json", "hnsw.faiss"


def save_space(folder: Path, vectors: FloatArray, index: VectorIndex) -> None:
    """Writes vectors, [n, dim] float32, and the index over them below `folder`, which exists."""
    np.save(folder / _VECTORS, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
    body = {"format_version": FORMAT_VERSION, "kind": index.kind, "parameters": index.parameters()}
    (folder / _INDEX).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="ascii")
    if isinstance(index, HnswIndex):
        index.save(folder / _GRAPH)


def load_space(folder: Path) -> tuple[FloatArray, VectorIndex]:
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
    return vectors, _load_index(folder, vectors, body["kind"], body["parameters"])


def _load_index(folder: Path, vectors: FloatArray, kind: str, parameters: Parameters) -> VectorIndex:
    numbers = {name: int(value) for name, value in parameters.items()}
    if kind == FlatIndex.kind:
        return FlatIndex(vectors)
    if kind == HnswIndex.kind:
        return HnswIndex.load(folder / _GRAPH, vectors, HnswParameters(**numbers))
    if kind == HyperplaneLsh.kind:
        lsh = HyperplaneLsh(vectors.shape[1], LshParameters(**numbers), capacity=vectors.shape[0])
        lsh.append(vectors)
        return lsh
    raise SnapshotMismatchError(f"{folder / _INDEX} is of kind {kind!r}, unknown to this program; rebuild or upgrade")
