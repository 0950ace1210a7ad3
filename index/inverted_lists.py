"""Inverted lists through FAISS: rows grouped around centroids, of which a search reads the nearest groups alone.

Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011, section IV. Centroids come from
spherical k-means over a sample of rows. Lists hold codes, in one of FAISS's forms; what a search finds by codes is
ranked by the vectors themselves (`index.mapped`), so its order and floats are those of exact search.

Under a row bitmap more lists are read, in proportion to the share of allowed rows. Where scanning the allowed rows
costs less than that, and where the lists that were read hold too few, the search is exact. FAISS pads short results
with -1; those never get out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from index import bitmap, checks
from index.errors import SnapshotDamagedError
from index.faiss_library import load_faiss, num_threads, read_index
from index.flat import FlatIndex
from index.gpu import MOST, DeviceCopy
from index.mapped import ranked
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap

if TYPE_CHECKING:
    import faiss

_ROWS_PER_CENTROID = 39
"""Rows that k-means should see for each centroid; FAISS's own least."""
_BLOCK_ROWS = 65_536
_BLOCK_CANDIDATES = 4_194_304
_LEAST_PROBES = 8
_ID_BYTES = 8
_SCANNED_PER_CODE = 0.1
"""Vectors gathered and scored in the time of passing over one code; rounded from 4-bit codes of 64 dimensions."""


def num_lists(num_rows: int) -> int:
    """Returns how many lists `num_rows` rows are put into: 4 times their root, fewer where k-means had too few rows."""
    return max(1, min(round(4 * math.sqrt(num_rows)), num_rows // _ROWS_PER_CENTROID))


def num_probes(lists: int) -> int:
    """Returns how many of `lists` lists a search reads: their root, at least 8."""
    return min(lists, max(_LEAST_PROBES, math.ceil(math.sqrt(lists))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """How a search goes through lists.

    Attributes:
        probes: Lists read where every row is allowed.
        rerank: Candidates found by codes for each row wanted.
        threads: Threads of a batched search; 0 takes every core.
    """

    probes: int
    rerank: int
    threads: int


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


class InvertedLists:
    """Codes in lists, and the vectors that decide among what they find."""

    def __init__(self, lists: faiss.IndexIVF, exact: FlatIndex, *, on_gpu: DeviceCopy | None = None) -> None:
        """Takes filled lists over the rows of `exact`, and a copy of them on a GPU for searches of every row."""
        self.lists = lists
        self.exact = exact
        self._on_gpu = on_gpu

    def search(self, queries: FloatArray, k: int, probing: Probing, *, allowed: RowBitmap | None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        num_rows = self.exact.num_rows
        queries = checks.check_queries(queries, k, dim=self.exact.dim)
        checks.check_allowed(allowed, num_rows)
        num_allowed = num_rows if allowed is None else bitmap.count(allowed, num_rows)
        num_candidates = min(k, num_allowed) * probing.rerank
        probes = math.ceil(probing.probes * num_rows / max(num_allowed, 1))
        if num_candidates >= num_allowed or _is_selective(num_allowed, num_rows, probes / self.lists.nlist, allowed):
            return self.exact.search(queries, k, allowed=allowed)
        probes = min(probes, self.lists.nlist)
        size = max(1, _BLOCK_CANDIDATES // num_candidates)
        found = []
        for start in range(0, queries.shape[0], size):
            some = queries[start : start + size]
            rows = self._probe(some, num_candidates, probes, probing.threads, allowed)
            found.append(self._completed(some, ranked(some, self.exact.vectors, rows, k), allowed, min(k, num_allowed)))
        return found[0] if len(found) == 1 else _joined(found, k)

    def _probe(
        self, queries: FloatArray, num_wanted: int, probes: int, threads: int, allowed: RowBitmap | None
    ) -> RowArray:
        """Returns what lists hold, [num_queries, num_wanted] int64, -1 where they hold too few."""
        if self._on_gpu is not None and allowed is None and max(num_wanted, probes) <= MOST:
            return self._on_gpu.search(queries, num_wanted, probes=probes)[1]
        faiss = load_faiss("ivf")
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
        parameters = faiss.IVFSearchParameters(nprobe=probes, sel=selector)
        # FAISS keeps the number of threads by calling thread, so each call says it.
        faiss.omp_set_num_threads(num_threads(threads))
        rows: RowArray = self.lists.search(queries, num_wanted, params=parameters)[1]
        return rows

    def _completed(self, queries: FloatArray, found: Neighbors, allowed: RowBitmap | None, wanted: int) -> Neighbors:
        short = np.flatnonzero(found.counts < wanted)
        if short.size:
            exact = self.exact.search(queries[short], found.rows.shape[1], allowed=allowed)
            found.rows[short], found.scores[short], found.counts[short] = exact.rows, exact.scores, exact.counts
        return found

    def resident_bytes(self) -> int:
        """Returns the bytes of codes, rows and centroids; of the vectors a search reads few."""
        faiss = load_faiss("ivf")
        held = faiss.downcast_InvertedLists(self.lists.invlists)
        sizes = [held.list_size(number) for number in range(self.lists.nlist)]
        if isinstance(held, faiss.BlockInvertedLists):
            codes = sum(_aligned_bytes(-(-size // held.n_per_block) * held.block_size) for size in sizes)
        else:
            codes = sum(sizes) * int(self.lists.code_size)
        return int(codes + sum(sizes) * _ID_BYTES + self.lists.nlist * self.lists.d * 4)


def _is_selective(num_allowed: int, num_rows: int, share_read: float, allowed: RowBitmap | None) -> bool:
    """Returns whether scanning the allowed rows costs less than reading that share of the codes."""
    return allowed is not None and num_allowed <= _SCANNED_PER_CODE * num_rows * min(share_read, 1.0)


def _aligned_bytes(size: int) -> int:
    # FAISS rounds the room of a list of blocks up to a power of two, from 256 on.
    return 0 if size == 0 else max(256, 1 << (size - 1).bit_length())


def _blocks(num_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_rows, _BLOCK_ROWS):
        yield start, min(start + _BLOCK_ROWS, num_rows)


def _joined(found: list[Neighbors], k: int) -> Neighbors:
    if not found:
        return Neighbors(
            rows=np.empty((0, k), dtype=np.int64),
            scores=np.empty((0, k), dtype=np.float32),
            counts=np.empty(0, dtype=np.int64),
        )
    return Neighbors(
        rows=np.concatenate([some.rows for some in found]),
        scores=np.concatenate([some.scores for some in found]),
        counts=np.concatenate([some.counts for some in found]),
    )
