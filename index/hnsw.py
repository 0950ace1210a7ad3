"""HNSW graphs: approximate search over immutable rows.

Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs, 2018. FAISS builds the graph (inner product, over vectors of about equal length); then it is ours: walked by
`index.graph_kernels` over codes of a byte a value, with what it finds scored by `index.rescore`, so that order and
floats are those of exact search. Where rounding to bytes would blur near rows (`index.graph_search.lost_recall`), as in
clusters much tighter than the space between them, the walk reads the vectors instead.

Under a row bitmap the walk goes through barred rows and keeps allowed ones, and is the broader the fewer there are;
where that would cost more than scanning the allowed rows, and where the walk finds too few, the search is exact.

FAISS levels and insertion order are seeded, but threads race: a build of up to `DETERMINISTIC_ROWS` rows runs on one
thread unless told otherwise, and is the same each time on one machine; a larger one uses every core and is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from index import checks
from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.faiss_library import load_faiss, num_threads, openmp_threads
from index.flat import FlatIndex
from index.graph import Graph
from index.graph_file import LinkLists, read_lists, write_lists
from index.graph_search import Walk, WalkedRows, lost_recall
from index.lengths import warn_of_unequal
from index.parameter_values import MOST_THREADS, check_bounds, retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap
from index.quantised import ByteCodes

DETERMINISTIC_ROWS = 50_000
GRAPH = "hnsw.faiss"
AUTO, INT8, FLOAT32 = "auto", "int8", "float32"
_SCANNED_PER_STEP = 8
"""Allowed rows that exact search scans in the time of following the links of one row; rounded up, at 64 dimensions."""
_MOST_LOST = 0.01
"""Recall that `auto` gives up for codes."""
_SEARCH_PARAMETERS = ("ef_search", "threads")
MOST_LINKS, MOST_CANDIDATES = 512, 2**20
"""More links cost memory in proportion and gain nothing; each candidate takes a dozen bytes in every search."""
_BOUNDS = {
    "m": (2, MOST_LINKS),
    "ef_construction": (1, MOST_CANDIDATES),
    "ef_search": (1, MOST_CANDIDATES),
    "seed": (0, 2**31 - 1),
    "threads": (0, MOST_THREADS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HnswParameters:
    """How a graph is built and searched.

    Attributes:
        m: Links of a row per layer (twice that at the bottom).
        ef_construction: Candidate list while building.
        ef_search: Candidates whose links are followed while searching, raised to half of k and under a bitmap; below k
            it costs little recall where near rows are linked among each other.
        seed: Seed of the layer of each row.
        threads: Threads of a build and of a batched search; 0 chooses.
        codes: What a walk reads: `int8` codes, the `float32` vectors, or `auto`: codes unless they blur near rows.
    """

    m: int = 32
    ef_construction: int = 200
    ef_search: int = 128
    seed: int = 0
    threads: int = 0
    codes: str = AUTO

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        check_bounds(self.as_dict(), _BOUNDS)
        if self.codes not in (AUTO, INT8, FLOAT32):
            raise InvalidIndexConfigError(f"codes is {self.codes!r}; want {AUTO}, {INT8} or {FLOAT32}")

    def as_dict(self) -> dict[str, int | float | str]:
        """Returns the values by name."""
        return {
            "m": self.m,
            "ef_construction": self.ef_construction,
            "ef_search": self.ef_search,
            "seed": self.seed,
            "threads": self.threads,
            "codes": self.codes,
        }


class HnswIndex:
    """A graph with its vectors and their codes."""

    kind = "hnsw"

    def __init__(self, exact: FlatIndex, rows: WalkedRows, parameters: HnswParameters) -> None:
        """Takes the same rows twice, with a graph over them; use `build` or `load`."""
        self._exact = exact
        self._rows = rows
        self._parameters = parameters
        self._search_threads = num_threads(parameters.threads)

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
        parameters, exact = parameters or HnswParameters(), FlatIndex(vectors)
        warn_of_unequal(exact, kind=cls.kind)
        return cls._over(exact, _built(exact.vectors, parameters), parameters)

    @classmethod
    def _over(cls, exact: FlatIndex, lists: LinkLists, parameters: HnswParameters) -> HnswIndex:
        rows = WalkedRows(vectors=exact.vectors, codes=ByteCodes.none(exact.dim), graph=Graph.of(lists))
        if parameters.codes != FLOAT32 and exact.num_rows:
            coded = replace(rows, codes=ByteCodes.of(exact.vectors))
            if parameters.codes == INT8 or lost_recall(rows, coded) <= _MOST_LOST:
                rows = coded
        used = INT8 if rows.codes.codes.size else FLOAT32
        return cls(exact, rows, replace(parameters, codes=used))

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
        return self._parameters.as_dict()

    def retuned(self, **search_parameters: Any) -> HnswIndex:
        """Returns the same graph, shared, searched with another `ef_search` or number of `threads`.

        Raises:
            InvalidIndexConfigError: A parameter is of the build or unknown, of another type, or out of range.
        """
        parameters = retuned_values(self._parameters, search_parameters, kind=self.kind, names=_SEARCH_PARAMETERS)
        return HnswIndex(self._exact, self._rows, parameters)

    def resident_bytes(self) -> int:
        """Returns the bytes of vectors, codes and links: a search reads all of them at random."""
        codes = self._rows.codes
        return self._exact.vectors.nbytes + codes.codes.nbytes + codes.steps.nbytes + self._rows.graph.resident_bytes()

    def save(self, folder: Path) -> None:
        """Writes the graph without its vectors as `hnsw.faiss`, see `index.graph_file`."""
        lists = self._rows.graph.lists(dim=self.dim, ef_construction=self._parameters.ef_construction)
        write_lists(folder / GRAPH, lists)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: HnswParameters | None = None) -> HnswIndex:
        """Reads what `save` wrote, and joins it with the vectors it was built from.

        Raises:
            SnapshotDamagedError: The file is missing, damaged, or of other rows.
        """
        exact, path = FlatIndex(vectors), folder / GRAPH
        lists = read_lists(path)
        if (lists.layers.size, lists.dim) != (exact.num_rows, exact.dim):
            raise SnapshotDamagedError(
                f"{path} holds a graph of {lists.layers.size} rows x {lists.dim}; "
                f"want one of {exact.num_rows} x {exact.dim}; rebuild or restore it"
            )
        return cls._over(exact, lists, parameters or HnswParameters())

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed, num_allowed = checks.count_allowed(allowed, self.num_rows)
        result = Neighbors.none(queries.shape[0], min(k, self.num_rows))
        if num_allowed == 0:
            return result
        plan = self._plan(min(k, num_allowed), num_allowed, allowed)
        if plan.breadth > self._parameters.ef_search and num_allowed <= _SCANNED_PER_STEP * plan.breadth:
            return self._exact.search(queries, k, allowed=allowed)
        if self._rows.search(queries, plan, result):
            short = np.flatnonzero(result.counts < plan.wanted)
            result.put(short, self._exact.search(queries[short], k, allowed=allowed))
        return result

    def _plan(self, wanted: int, num_allowed: int, allowed: RowBitmap | None) -> Walk:
        breadth = max(self._parameters.ef_search, -(-wanted // 2))
        kept = max(breadth, wanted + wanted // 8 + 8)
        capacity = kept
        if num_allowed < self.num_rows:
            share = num_allowed / self.num_rows
            # The nearest allowed rows are scattered over more clusters than as many rows without a bitmap, up to twice
            # as broad a walk finds them as surely; the list has room for twice the expected share of barred rows.
            breadth, kept = math.ceil((2 - share) * breadth / share), math.ceil((2 - share) * kept)
            capacity = math.ceil(2 * kept / share)
        return Walk(
            capacity=capacity,
            kept=kept,
            breadth=breadth,
            wanted=wanted,
            allowed=None if allowed is None or num_allowed == self.num_rows else allowed,
            threads=self._search_threads,
        )


def _built(vectors: FloatArray, parameters: HnswParameters) -> LinkLists:
    faiss = load_faiss(HnswIndex.kind)
    index = faiss.IndexHNSWFlat(vectors.shape[1], parameters.m, faiss.METRIC_INNER_PRODUCT)
    graph = index.hnsw
    graph.efConstruction = parameters.ef_construction
    graph.rng = faiss.RandomGenerator(parameters.seed)
    with openmp_threads(faiss, _build_threads(parameters.threads, vectors.shape[0])):
        index.add(vectors)
    return LinkLists(
        dim=vectors.shape[1],
        m=parameters.m,
        ef_construction=parameters.ef_construction,
        layers=faiss.vector_to_array(graph.levels),
        links=faiss.vector_to_array(graph.neighbors),
        entry=graph.entry_point,
    )


def _build_threads(threads: int, num_rows: int) -> int:
    return 1 if not threads and num_rows <= DETERMINISTIC_ROWS else num_threads(threads)
