"""HNSW graphs through FAISS: approximate search over immutable rows.

Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs, 2018. The graph is FAISS's own (inner product, over vectors of about equal length). What FAISS finds is scored
by `index.rescore`, so its order and floats are those of exact search.

Under a row bitmap the graph is walked with a longer candidate list, in proportion to the share of allowed rows; where
that would cost more than scanning them, and where the walk finds too few, the search is exact. FAISS pads short
results with -1; those never get out.

FAISS levels and insertion order are seeded, but threads race: a build of up to `DETERMINISTIC_ROWS` rows runs on one
thread unless told otherwise, and is the same each time on one machine; a larger one uses every core and is not.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from index import bitmap, checks
from index.errors import InvalidIndexConfigError, MissingBackendError, SnapshotDamagedError
from index.flat import FlatIndex
from index.protocols import FloatArray, Neighbors, Parameters, RowArray, RowBitmap
from index.rescore import score_rows

if TYPE_CHECKING:
    import faiss

DETERMINISTIC_ROWS = 50_000
GRAPH = "hnsw.faiss"
_SCANNED_PER_STEP = 32
"""Rows that exact search scans in the time of one more entry of the candidate list; rounded from 64 dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HnswParameters:
    """How a graph is built and searched.

    Attributes:
        m: Links of a node per layer (twice that at the bottom).
        ef_construction: Candidate list while building.
        ef_search: Candidate list while searching, raised to k and under a bitmap.
        seed: Seed of the layer of each node.
        threads: Threads of a build and of a batched search; 0 chooses.
    """

    m: int = 32
    ef_construction: int = 200
    ef_search: int = 128
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        least = {"m": 2, "ef_construction": 1, "ef_search": 1, "seed": 0, "threads": 0}
        for name, value in self.as_dict().items():
            if not least[name] <= value < 2**31:
                raise InvalidIndexConfigError(f"{name} is {value}; want {least[name]} or more, below 2^31")

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name."""
        return {
            "m": self.m,
            "ef_construction": self.ef_construction,
            "ef_search": self.ef_search,
            "seed": self.seed,
            "threads": self.threads,
        }


class HnswIndex:
    """A FAISS HNSW graph with its vectors."""

    kind = "hnsw"

    def __init__(self, graph: faiss.IndexHNSWFlat, exact: FlatIndex, parameters: HnswParameters) -> None:
        """Takes a built graph over the rows of `exact`; use `build` or `load`."""
        self._graph = graph
        self._exact = exact
        self._parameters = parameters
        self._search_threads = parameters.threads or _num_cores()

    @classmethod
    def build(cls, vectors: FloatArray, parameters: HnswParameters | None = None) -> HnswIndex:
        """Builds a graph.

        Args:
            vectors: [num_rows, dim] float32 of about equal length.
            parameters: None takes the defaults.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
            MissingBackendError: FAISS is not installed.
        """
        parameters = parameters or HnswParameters()
        faiss = _load_faiss()
        exact = FlatIndex(vectors)
        graph = faiss.IndexHNSWFlat(exact.dim, parameters.m, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = parameters.ef_construction
        graph.hnsw.rng = faiss.RandomGenerator(parameters.seed)
        faiss.omp_set_num_threads(_build_threads(parameters.threads, exact.num_rows))
        graph.add(exact.vectors)
        return cls(graph, exact, parameters)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._exact.dim

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return self._exact.num_rows

    def parameters(self) -> Parameters:
        """Returns what the index was built with and is searched with."""
        return {**self._parameters.as_dict()}

    def save(self, folder: Path) -> None:
        """Writes the graph without its vectors, in FAISS's format, as `hnsw.faiss`."""
        faiss = _load_faiss()
        faiss.write_index(self._graph, str(folder / GRAPH), faiss.IO_FLAG_SKIP_STORAGE)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: HnswParameters | None = None) -> HnswIndex:
        """Reads what `save` wrote, and joins it with the vectors it was built from.

        Raises:
            SnapshotDamagedError: The file is missing, unreadable, or of other rows.
            MissingBackendError: FAISS is not installed.
        """
        faiss = _load_faiss()
        exact, path = FlatIndex(vectors), folder / GRAPH
        try:
            graph = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_STORAGE)
        except RuntimeError as error:
            raise SnapshotDamagedError(f"{path} is no FAISS index: {error}; rebuild or restore it") from None
        if not isinstance(graph, faiss.IndexHNSWFlat) or (graph.ntotal, graph.d) != (exact.num_rows, exact.dim):
            raise SnapshotDamagedError(
                f"{path} holds {type(graph).__name__} of {graph.ntotal} rows x {graph.d}; "
                f"want IndexHNSWFlat of {exact.num_rows} x {exact.dim}; rebuild or restore it"
            )
        storage = faiss.IndexFlat(exact.dim, faiss.METRIC_INNER_PRODUCT)
        storage.add(exact.vectors)
        storage.this.disown()  # the graph owns it from here on
        graph.storage = storage
        graph.own_fields = True
        return cls(graph, exact, parameters or HnswParameters())

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        queries = checks.check_queries(queries, k, dim=self.dim)
        checks.check_allowed(allowed, self.num_rows)
        num_allowed = self.num_rows if allowed is None else bitmap.count(allowed, self.num_rows)
        wanted = min(k, num_allowed)
        if wanted == 0:
            return _blank(queries.shape[0], min(k, self.num_rows))
        ef = math.ceil(max(self._parameters.ef_search, wanted) * self.num_rows / num_allowed)
        if ef > self._parameters.ef_search and num_allowed <= _SCANNED_PER_STEP * ef:
            return self._exact.search(queries, k, allowed=allowed)
        rows = self._walk(queries, wanted, ef, allowed)
        result = self._ordered(queries, rows, width=min(k, self.num_rows))
        short = np.flatnonzero((rows < 0).any(axis=1))
        if short.size:
            exact = self._exact.search(queries[short], k, allowed=allowed)
            result.rows[short], result.scores[short], result.counts[short] = exact.rows, exact.scores, exact.counts
        return result

    def _walk(self, queries: FloatArray, wanted: int, ef: int, allowed: RowBitmap | None) -> RowArray:
        """Returns what the graph finds, [num_queries, wanted] int64, -1 where it found too few."""
        faiss = _load_faiss()
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
        parameters = faiss.SearchParametersHNSW(efSearch=ef, sel=selector)
        # FAISS keeps the number of threads by calling thread, so each call says it.
        faiss.omp_set_num_threads(self._search_threads)
        rows: RowArray = self._graph.search(queries, wanted, params=parameters)[1]
        return rows

    def _ordered(self, queries: FloatArray, rows: RowArray, *, width: int) -> Neighbors:
        num_queries, wanted = rows.shape
        offsets = np.arange(num_queries + 1, dtype=np.int64) * wanted
        pairs = np.maximum(rows, 0).reshape(-1)
        scores = score_rows(queries, self._exact.vectors, pairs, offsets=offsets).reshape(rows.shape)
        order = np.lexsort((rows, -scores), axis=1)
        result = _blank(num_queries, width)
        result.rows[:, :wanted] = np.take_along_axis(rows, order, axis=1)
        result.scores[:, :wanted] = np.take_along_axis(scores, order, axis=1)
        result.counts[:] = wanted
        return result


def _blank(num_queries: int, width: int) -> Neighbors:
    return Neighbors(
        rows=np.full((num_queries, width), -1, dtype=np.int64),
        scores=np.full((num_queries, width), -np.inf, dtype=np.float32),
        counts=np.zeros(num_queries, dtype=np.int64),
    )


def _load_faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise MissingBackendError(
            f"HNSW needs FAISS, which cannot be imported ({error}); pip install 'dhe-recall[cpu]' (or [gpu]), "
            "or choose the kind flat or lsh"
        ) from error
    return faiss


def _num_cores() -> int:
    return os.cpu_count() or 1


def _build_threads(threads: int, num_rows: int) -> int:
    if threads:
        return threads
    return 1 if num_rows <= DETERMINISTIC_ROWS else _num_cores()
