"""Scalar-quantised codes in inverted lists with exact re-ranking: one byte a coordinate.

Each coordinate of what a vector is off from the centroid of its list is rounded to one of 256 steps between the least
and the greatest of all rows (`index.byte_lists`). With one list the codes are scanned exhaustively: approximate by
rounding alone. Where lists hold what belongs together, this kind reads a quarter of the bytes that whole vectors take,
and the faster for it.

Memory holds codes, rows and centroids. The vectors may be a memory map, of which a search reads `rerank` rows for each
one wanted; a build reads it in blocks. FAISS is needed to build alone. See `index.inverted_lists`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from index.byte_lists import ByteLists
from index.faiss_library import load_faiss, num_threads, openmp_threads
from index.flat import FlatIndex
from index.inverted_lists import InvertedLists, Probing
from index.lengths import warn_of_unequal
from index.list_building import grouped, num_lists
from index.parameter_values import MOST_THREADS, check_bounds, retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap

RERANK = 2
_SEARCH_PARAMETERS = ("nprobe", "rerank", "threads")
_BOUNDS = {**dict.fromkeys(("lists", "nprobe", "rerank", "seed"), (0, 2**31 - 1)), "threads": (0, MOST_THREADS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarParameters:
    """How rows are grouped, and how much of them a search reads.

    Attributes:
        lists: 1 scans every code; 0 takes 4 times the root of the number of rows, fewer below some 24,000 rows.
        nprobe: Lists read, more under a bitmap; 0 takes as many as hold 98 of the 100 nearest rows of rows drawn from
            the index.
        rerank: Candidates ranked by their vectors for each row wanted; 0 takes 2.
        seed: Seed of k-means and of the rows it sees.
        threads: Threads of a build and of a batched search; 0 takes every core.
    """

    lists: int = 0
    nprobe: int = 0
    rerank: int = 0
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        check_bounds(self.as_dict(), _BOUNDS)

    def resolved(self, num_rows: int) -> ScalarParameters:
        """Returns them with the rules where a value but `nprobe` is 0, and no more lists than rows."""
        lists = min(self.lists or num_lists(num_rows), max(num_rows, 1))
        return replace(self, lists=lists, rerank=self.rerank or RERANK)

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name."""
        return asdict(self)


class ScalarIndex:
    """Byte codes in lists, and vectors that are read where a candidate is ranked."""

    kind = "scalar"

    def __init__(self, lists: InvertedLists[ByteLists], parameters: ScalarParameters) -> None:
        """Takes filled lists and resolved parameters, but for `nprobe`; use `build` or `load`."""
        probes = lists.num_probes(parameters.nprobe, seed=parameters.seed, threads=parameters.threads)
        self._lists = lists
        self._parameters = replace(parameters, nprobe=probes)

    @classmethod
    def build(cls, vectors: FloatArray, parameters: ScalarParameters | None = None) -> ScalarIndex:
        """Finds centroids and codes each vector.

        Args:
            vectors: [num_rows, dim] float32 of about equal length; may be a memory map, read in blocks.
            parameters: None takes the rules.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
            MissingBackendError: FAISS is not installed.
        """
        faiss = load_faiss(cls.kind)
        exact = FlatIndex(vectors)
        warn_of_unequal(exact, kind=cls.kind)
        parameters = (parameters or ScalarParameters()).resolved(exact.num_rows)
        with openmp_threads(faiss, num_threads(parameters.threads)):
            centroids, numbers = grouped(exact.vectors, parameters.lists, seed=parameters.seed)
        return cls(InvertedLists(ByteLists.of(exact.vectors, centroids, numbers), exact), parameters)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._lists.exact.dim

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return self._lists.exact.num_rows

    def parameters(self) -> Parameters:
        """Returns what the index was built with and is searched with."""
        return {**self._parameters.as_dict()}

    def retuned(self, **search_parameters: Any) -> ScalarIndex:
        """Returns the same codes, shared, searched with other `nprobe`, `rerank` or `threads`; 0 takes the rule.

        Raises:
            InvalidIndexConfigError: A parameter is of the build or unknown, of another type, or out of range.
        """
        parameters = retuned_values(self._parameters, search_parameters, kind=self.kind, names=_SEARCH_PARAMETERS)
        return ScalarIndex(self._lists, parameters.resolved(self.num_rows))

    def resident_bytes(self) -> int:
        """Returns the bytes of codes, rows and centroids."""
        return self._lists.lists.resident_bytes()

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        parameters = self._parameters
        probing = Probing(probes=parameters.nprobe, rerank=parameters.rerank, threads=parameters.threads)
        return self._lists.search(queries, k, probing, allowed=allowed)

    def save(self, folder: Path) -> None:
        """Writes codes and centroids, without vectors; see `index.byte_lists`."""
        self._lists.lists.save(folder)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: ScalarParameters | None = None) -> ScalarIndex:
        """Reads what `save` wrote, and joins it with the vectors it was built from.

        Raises:
            SnapshotDamagedError: A file is missing, unreadable, or of other rows.
        """
        exact = FlatIndex(vectors)
        codes = ByteLists.load(folder, exact)
        read = replace(parameters or ScalarParameters(), lists=codes.num_lists)
        return cls(InvertedLists(codes, exact), read.resolved(exact.num_rows))
