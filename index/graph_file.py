"""The file of a graph, `hnsw.faiss`: what FAISS writes for an `IndexHNSWFlat` without its vectors.

FAISS is not needed to read or to write it. Little-endian, nothing between the parts; n rows, L layers, m links a layer:

| bytes | type | holds |
|---|---|---|
| 4 | | `IHNf` |
| 12 | int32, int64 | dim, n |
| 16 | 2 x int64 | ignored; FAISS writes 2^20 twice |
| 5 | uint8, int32 | 1, the metric: 0 for inner product |
| 8 + 8 L | uint64, float64 | L, then the share of the rows whose top layer is this one |
| 8 + 4 (L + 1) | uint64, int32 | L + 1, then the links of a row in 0, 1, ... L layers: 0, 2m, 3m, 4m, ... |
| 8 + 4 n | uint64, int32 | n, then the layers each row is in, 1 to L |
| 8 + 8 (n + 1) | uint64, uint64 | n + 1, then where the links of each row begin, and their number |
| 8 + 4 s | uint64, int32 | s, then the links: rows, the bottom layer first, -1 where there is none |
| 20 | 5 x int32 | entry row (-1 without rows), its top layer from 0, candidates while building, while searching, 1 |
| 4 | | `null`: no vectors |

Everything is checked on reading, so that a walk along the links can never leave the arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotDamagedError

IntArray = NDArray[np.int32]
_Scalar = TypeVar("_Scalar", bound=np.generic)

_GRAPH, _NO_VECTORS = b"IHNf", b"null"
_LEAST_SHARE = 1e-9
_MOST_LAYERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLists:
    """A graph by row, as FAISS keeps it.

    Attributes:
        dim: Length of a vector.
        m: Links of a row in each layer, twice that in the bottom one.
        ef_construction: Candidates while building.
        layers: [n] int32, how many layers each row is in.
        links: [sum of m * (layers + 1)] int32, rows; those of one row stand together, the bottom layer first; -1 ends
            those of a layer early.
        entry: Row in the top layer where a walk begins; -1 without rows.
    """

    dim: int
    m: int
    ef_construction: int
    layers: IntArray
    links: IntArray
    entry: int

    @property
    def offsets(self) -> NDArray[np.int64]:
        """[n + 1] int64, where the links of each row begin."""
        offsets = np.zeros(self.layers.size + 1, dtype=np.int64)
        np.cumsum(self.m * (self.layers.astype(np.int64) + 1), out=offsets[1:])
        return offsets

    def of_layer(self, rows: NDArray[np.int64], layer: int) -> IntArray:
        """Returns the links of some rows in a layer that they are in, [len(rows), m or, at the bottom, 2m] int32."""
        first = 0 if layer == 0 else self.m * (layer + 1)
        places = self.offsets[rows] + first
        linked: IntArray = self.links[places[:, None] + np.arange(self.m if layer else 2 * self.m)]
        return linked

    def num_layers(self) -> int:
        """Returns the layers of the graph, 0 without rows."""
        return int(self.layers.max(initial=0))


def write_lists(path: Path, lists: LinkLists) -> None:
    """Writes a graph."""
    shares = _shares(lists.m, lists.num_layers())
    per_layers = lists.m * np.array([0, *range(2, shares.size + 2)])
    with path.open("wb") as file:
        file.write(_GRAPH)
        _write(file, np.int32, lists.dim)
        _write(file, np.int64, lists.layers.size, 1 << 20, 1 << 20)
        _write(file, np.uint8, 1)
        _write(file, np.int32, 0)
        _write_vector(file, np.float64, shares)
        _write_vector(file, np.int32, per_layers)
        _write_vector(file, np.int32, lists.layers)
        _write_vector(file, np.uint64, lists.offsets)
        _write_vector(file, np.int32, lists.links)
        _write(file, np.int32, lists.entry, lists.num_layers() - 1, lists.ef_construction, 16, 1)
        file.write(_NO_VECTORS)


def read_lists(path: Path) -> LinkLists:
    """Reads a graph.

    Raises:
        SnapshotDamagedError: The file is missing, cut, of another kind, or its links lead nowhere.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SnapshotDamagedError(f"{path} is missing; rebuild or restore it") from None
    parts = _Parts(path, content)
    if parts.text(4) != _GRAPH:
        raise parts.fault(f"begins with {content[:4]!r}; want {_GRAPH!r}, a FAISS HNSW graph over whole vectors")
    dim, num_rows = parts.take(np.int32), parts.take(np.int64)
    parts.text(17)
    metric = parts.take(np.int32)
    if metric != 0:
        raise parts.fault(f"has metric {metric}; want 0, the inner product")
    parts.vector(np.float64)
    m = _links_a_layer(parts, parts.vector(np.int32))
    layers, offsets, links = parts.vector(np.int32), parts.vector(np.uint64), parts.vector(np.int32)
    entry, top, ef_construction = (parts.take(np.int32) for _ in range(3))
    parts.text(8)
    if parts.text(4) != _NO_VECTORS or not parts.at_end():
        raise parts.fault("goes on where it should end")
    lists = LinkLists(dim=dim, m=m, ef_construction=ef_construction, layers=layers, links=links, entry=entry)
    fault = _row_fault(lists, num_rows, offsets) or _link_fault(lists, top)
    if fault is not None:
        raise parts.fault(fault)
    return lists


class _Parts:
    """What is left to read of a file."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content, self._place = path, content, 0

    def fault(self, what: str) -> SnapshotDamagedError:
        return SnapshotDamagedError(f"{self._path} is no FAISS index that this program wrote: it {what}; rebuild it")

    def at_end(self) -> bool:
        return self._place == len(self._content)

    def text(self, size: int) -> bytes:
        if self._place + size > len(self._content):
            raise self.fault(f"is cut at {len(self._content)} bytes; want {self._place + size} or more")
        self._place += size
        return self._content[self._place - size : self._place]

    def take(self, dtype: type[np.integer[Any]]) -> int:
        return int(np.frombuffer(self.text(np.dtype(dtype).itemsize), dtype=_little(dtype))[0])

    def vector(self, dtype: type[_Scalar]) -> NDArray[_Scalar]:
        content = self.text(self.take(np.uint64) * np.dtype(dtype).itemsize)
        return np.frombuffer(content, dtype=_little(dtype)).astype(dtype)


def _little(dtype: type[np.generic]) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")


def _write(file: BinaryIO, dtype: type[np.generic], *values: int) -> None:
    file.write(np.array(values, dtype=_little(dtype)).tobytes())


def _write_vector(file: BinaryIO, dtype: type[np.generic], values: NDArray[Any]) -> None:
    _write(file, np.uint64, values.size)
    np.ascontiguousarray(values, dtype=_little(dtype)).tofile(file)


def _links_a_layer(parts: _Parts, per_layers: IntArray) -> int:
    m = int(per_layers[1]) // 2 if per_layers.size > 1 else 0
    if m < 1 or per_layers.tolist() != [0, *(m * layer for layer in range(2, per_layers.size + 1))]:
        raise parts.fault(f"has {per_layers[:4].tolist()}... links by layers; want 0, 2m, 3m, 4m, ...")
    return m


def _row_fault(lists: LinkLists, num_rows: int, offsets: NDArray[np.uint64]) -> str | None:
    """Returns how rows, layers and offsets contradict each other, None where they do not."""
    layers = lists.layers
    if layers.size != num_rows:
        return f"has {num_rows} rows, and layers of {layers.size}"
    if num_rows and not 1 <= int(layers.min()) <= int(layers.max()) <= _MOST_LAYERS:
        return f"has rows in {layers.min()} to {layers.max()} layers; want 1 to {_MOST_LAYERS}"
    if not np.array_equal(lists.offsets.astype(np.uint64), offsets) or int(lists.offsets[-1]) != lists.links.size:
        return f"has offsets or {lists.links.size} links that do not fit its layers"
    return None


def _link_fault(lists: LinkLists, top: int) -> str | None:
    """Returns which link or beginning leads nowhere, None where all lead to rows of their layer."""
    layers, links, num_rows = lists.layers, lists.links, lists.layers.size
    if num_rows == 0:
        return None if lists.entry == -1 else f"begins at row {lists.entry} of none"
    if int(links.min()) < -1 or int(links.max()) >= num_rows:
        return f"links to rows {links.min()} to {links.max()}; want -1 to {num_rows - 1}"
    if (
        not 0 <= lists.entry < num_rows
        or int(layers[lists.entry]) != lists.num_layers()
        or lists.num_layers() != top + 1
    ):
        return f"begins at row {lists.entry} in layer {top}; want a row of the top layer, {lists.num_layers() - 1}"
    for layer in range(1, top + 1):
        linked = lists.of_layer(np.flatnonzero(layers > layer), layer)
        wrong = linked[(linked >= 0) & (layers[linked] <= layer)]
        if wrong.size:
            return f"links in layer {layer} to row {wrong[0]}, which is not in it"
    return None


def _shares(m: int, num_layers: int) -> NDArray[np.float64]:
    """Returns the shares of the rows by top layer that FAISS draws from; at least as many as the graph has layers."""
    shares: list[float] = []
    while len(shares) < num_layers or _share(m, len(shares)) >= _LEAST_SHARE:
        shares.append(_share(m, len(shares)))
    return np.array(shares)


def _share(m: int, layer: int) -> float:
    # FAISS computes these in float32.
    scale = np.float32(1 / math.log(m))
    return float(np.float32(math.exp(-np.float32(layer) / scale) * (1 - math.exp(-np.float32(1) / scale))))
