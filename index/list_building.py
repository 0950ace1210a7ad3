"""Making, filling and reading of inverted lists in FAISS: rows are read in blocks, and training sees a sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from index.errors import SnapshotDamagedError
from index.faiss_library import load_faiss, read_index
from index.flat import FlatIndex
from index.protocols import FloatArray, RowArray

if TYPE_CHECKING:
    import faiss

_ROWS_PER_CENTROID = 39
"""Rows that k-means should see for each centroid; FAISS's own least."""
_BLOCK_ROWS = 65_536


def num_lists(num_rows: int) -> int:
    """Returns how many lists `num_rows` rows are put into: 4 times their root, fewer where k-means had too few rows."""
    return max(1, min(round(4 * math.sqrt(num_rows)), num_rows // _ROWS_PER_CENTROID))


def train(lists: faiss.IndexIVF, vectors: FloatArray, *, seed: int, least: int) -> None:
    """Finds centroids, and what codes need, from a sample of rows.

    Args:
        lists: Not trained yet.
        vectors: [num_rows, dim] float32, at least one row; only the sample is read.
        seed: Of the sample and of k-means.
        least: Rows that the codes need; where there are fewer, they are repeated.
    """
    size = min(vectors.shape[0], max(_ROWS_PER_CENTROID * lists.nlist, 256 * least))
    rows = np.sort(np.random.default_rng(seed).choice(vectors.shape[0], size, replace=False, shuffle=False))
    sample = vectors[rows]
    if size < least:
        sample = np.resize(sample, (least, vectors.shape[1]))
    lists.cp.seed = seed
    lists.cp.max_points_per_centroid = max(256, sample.shape[0] // lists.nlist + 1)  # all of the sample
    lists.cp.min_points_per_centroid = 1  # or FAISS warns on the standard error
    lists.train(sample)


def grouped(vectors: FloatArray, lists: int, *, seed: int) -> tuple[FloatArray, RowArray]:
    """Returns centroids, [lists, dim] float32, and the list of each row, [num_rows] int64; without rows, zeros."""
    library = load_faiss("ivf")
    dim = vectors.shape[1]
    bare = library.IndexIVFFlat(library.IndexFlatIP(dim), dim, lists, library.METRIC_INNER_PRODUCT)
    if not vectors.shape[0]:
        return np.zeros((lists, dim), dtype=np.float32), np.empty(0, dtype=np.int64)
    train(bare, vectors, seed=seed, least=1)
    return bare.quantizer.reconstruct_n(0, lists), assign(bare, vectors)


def assign(lists: faiss.IndexIVF, vectors: FloatArray) -> RowArray:
    """Returns the list of each row, [num_rows] int64, reading the rows in blocks."""
    numbers = [lists.quantizer.search(vectors[start:stop], 1)[1][:, 0] for start, stop in _blocks(vectors.shape[0])]
    return np.concatenate([np.empty(0, dtype=np.int64), *numbers])


def fill(lists: faiss.IndexIVF, vectors: FloatArray, numbers: RowArray) -> None:
    """Puts each row into its list, in row order, reading the rows in blocks.

    Args:
        lists: Trained and empty.
        vectors: [num_rows, dim] float32.
        numbers: [num_rows] int64, the list of each row.
    """
    faiss = load_faiss("ivf")
    held = faiss.downcast_InvertedLists(lists.invlists)
    for number, size in enumerate(np.bincount(numbers, minlength=lists.nlist).tolist()):
        # A list that grows by itself doubles its room; one that was as long once keeps just that.
        held.resize(number, size)
        held.resize(number, 0)
    for start, stop in _blocks(vectors.shape[0]):
        block, some = np.ascontiguousarray(vectors[start:stop]), np.ascontiguousarray(numbers[start:stop])
        lists.add_core(stop - start, faiss.swig_ptr(block), None, faiss.swig_ptr(some), None)


def add(lists: faiss.IndexIVF, vectors: FloatArray) -> faiss.IndexIVF:
    """Returns the lists with the codes of every row, reading the rows in blocks."""
    library = load_faiss("ivf")
    for start, stop in _blocks(vectors.shape[0]):
        lists.add(np.ascontiguousarray(vectors[start:stop]))
    # Lists that grew have up to twice the room they need; those that were read have none to spare.
    packed: faiss.IndexIVF = library.deserialize_index(library.serialize_index(lists))
    return packed


def rows_of(lists: faiss.IndexIVF) -> Iterator[RowArray]:
    """Yields the rows of each list, int64."""
    faiss = load_faiss("ivf")
    held = faiss.downcast_InvertedLists(lists.invlists)
    for number in range(lists.nlist):
        size = held.list_size(number)
        yield faiss.rev_swig_ptr(held.get_ids(number), size).copy() if size else np.empty(0, dtype=np.int64)


def read_lists(path: Path, wanted: str, *, kind: str, exact: FlatIndex, num_rows: int) -> faiss.IndexIVF:
    """Reads lists that belong to given vectors.

    Args:
        path: File in FAISS's format.
        wanted: Name of FAISS's class.
        kind: Name of the kind of index, for the message.
        exact: The vectors.
        num_rows: Rows that it holds: those of the vectors, or 0.

    Raises:
        SnapshotDamagedError: The file is missing or unreadable, of another class or shape, or its rows are not 0 to
            n - 1, each once.
    """
    index = read_index(path, kind=kind)
    seen = (type(index).__name__, index.ntotal, index.d)
    if seen != (wanted, num_rows, exact.dim):
        raise SnapshotDamagedError(
            f"{path} holds {seen[0]} of {seen[1]} rows x {seen[2]}; "
            f"want {wanted} of {num_rows} x {exact.dim}; rebuild or restore it"
        )
    lists = cast("faiss.IndexIVF", index)
    held = np.zeros(num_rows, dtype=np.bool_)
    for rows in rows_of(lists):
        if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < num_rows:
            raise SnapshotDamagedError(f"{path} holds rows past {num_rows}; rebuild or restore it")
        held[rows] = True
    if not held.all():
        raise SnapshotDamagedError(f"{path} lacks row {int(np.flatnonzero(~held)[0])}; rebuild or restore it")
    return lists


def _blocks(num_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_rows, _BLOCK_ROWS):
        yield start, min(start + _BLOCK_ROWS, num_rows)
