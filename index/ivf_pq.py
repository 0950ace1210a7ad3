"""IVF-PQ through FAISS with exact re-ranking: a catalogue larger than memory, in a fraction of its bytes.

Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011: what a vector is off from the centroid
of its list is cut into segments, and each is replaced by the nearest of 2^bits centroids of that segment. With 4 bits
the codes are scanned from registers: Andre, Kermarrec and Le Scouarnec, Cache locality is not enough: high-performance
nearest neighbor search with product quantization fast scan, 2015.

Memory holds codes, rows and centroids. The vectors may be a memory map, of which a search reads `rerank` rows for each
one wanted; a build reads it in blocks. See `index.inverted_lists`.

On disk: `ivf_pq.faiss`, an `IndexIVFPQFastScan` (4 bits) or `IndexIVFPQ` (8 bits) in FAISS's format.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import InvalidIndexConfigError
from index.faiss_library import load_faiss, num_threads, openmp_threads
from index.faiss_lists import FaissLists
from index.flat import FlatIndex
from index.inverted_lists import InvertedLists, Probing
from index.lengths import warn_of_unequal
from index.list_building import add, num_lists, read_lists, train
from index.parameter_values import MOST_THREADS, check_bounds, retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap

if TYPE_CHECKING:
    import faiss

CODES = "ivf_pq.faiss"
RERANK = 4
_SEARCH_PARAMETERS = ("nprobe", "rerank", "threads")
_BOUNDS = {
    **dict.fromkeys(("lists", "nprobe", "rerank", "seed", "segments"), (0, 2**31 - 1)),
    "threads": (0, MOST_THREADS),
}
_CLASSES = {4: "IndexIVFPQFastScan", 8: "IndexIVFPQ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IvfPqParameters:
    """How rows are grouped and coded, and how much of them a search reads.

    Attributes:
        lists: 0 takes 4 times the root of the number of rows, fewer below some 24,000 rows.
        segments: Parts a vector is cut into, a divisor of its dimension; 0 takes two coordinates a segment, or one
            where the dimension is odd.
        bits: Bits of the code of a segment, 4 or 8; 0 takes 4.
        nprobe: Lists read, more under a bitmap; 0 takes as many as hold 98 of the 100 nearest rows of rows drawn from
            the index.
        rerank: Candidates ranked by their vectors for each row wanted; 0 takes 4.
        seed: Seed of k-means and of the rows it sees.
        threads: Threads of a build and of a batched search; 0 takes every core.
    """

    lists: int = 0
    segments: int = 0
    bits: int = 0
    nprobe: int = 0
    rerank: int = 0
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        if self.bits not in (0, *_CLASSES):
            raise InvalidIndexConfigError(f"bits is {self.bits}; want 4 or 8, or 0 for the rule")
        check_bounds(self.as_dict(), _BOUNDS)

    def resolved(self, num_rows: int, dim: int) -> IvfPqParameters:
        """Returns them with the rules where a value but `nprobe` is 0, and no more lists than rows.

        Raises:
            InvalidIndexConfigError: The segments do not divide the dimension.
        """
        segments = self.segments or (dim // 2 if dim % 2 == 0 else dim)
        if dim % segments:
            raise InvalidIndexConfigError(f"segments is {segments}; want a divisor of the dimension {dim}, or 0")
        lists = min(self.lists or num_lists(num_rows), max(num_rows, 1))
        return replace(
            self,
            lists=lists,
            segments=segments,
            bits=self.bits or 4,
            rerank=self.rerank or RERANK,
        )

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name."""
        return asdict(self)


class IvfPqIndex:
    """Product codes in lists, and vectors that are read where a candidate is ranked."""

    kind = "ivf_pq"

    def __init__(self, lists: InvertedLists[FaissLists], parameters: IvfPqParameters) -> None:
        """Takes filled lists and resolved parameters, but for `nprobe`; use `build` or `load`."""
        probes = lists.num_probes(parameters.nprobe, seed=parameters.seed, threads=parameters.threads)
        self._lists = lists
        self._parameters = replace(parameters, nprobe=probes)

    @classmethod
    def build(cls, vectors: FloatArray, parameters: IvfPqParameters | None = None) -> IvfPqIndex:
        """Finds centroids and codes each vector.

        Args:
            vectors: [num_rows, dim] float32 of about equal length; may be a memory map, read in blocks.
            parameters: None takes the rules.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
            InvalidIndexConfigError: The segments do not divide the dimension.
            MissingBackendError: FAISS is not installed.
        """
        library = load_faiss(cls.kind)
        exact = FlatIndex(vectors)
        warn_of_unequal(exact, kind=cls.kind)
        parameters = (parameters or IvfPqParameters()).resolved(exact.num_rows, exact.dim)
        lists: faiss.IndexIVF = _empty(exact.dim, parameters)
        with openmp_threads(library, num_threads(parameters.threads)):
            if exact.num_rows:
                train(lists, exact.vectors, seed=parameters.seed, least=1 << parameters.bits)
                lists = add(lists, exact.vectors)
        return cls(InvertedLists(FaissLists(index=lists, vectors=exact.vectors), exact), parameters)

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

    def retuned(self, **search_parameters: Any) -> IvfPqIndex:
        """Returns the same codes, shared, searched with other `nprobe`, `rerank` or `threads`; 0 takes the rule.

        Raises:
            InvalidIndexConfigError: A parameter is of the build or unknown, of another type, or out of range.
        """
        parameters = retuned_values(self._parameters, search_parameters, kind=self.kind, names=_SEARCH_PARAMETERS)
        return IvfPqIndex(self._lists, parameters.resolved(self.num_rows, self.dim))

    def resident_bytes(self) -> int:
        """Returns the bytes of codes, rows and centroids, those of the segments included."""
        return self._lists.lists.resident_bytes() + 4 * int(_quantizer(self._lists.lists.index).centroids.size())

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        parameters = self._parameters
        probing = Probing(probes=parameters.nprobe, rerank=parameters.rerank, threads=parameters.threads)
        return self._lists.search(queries, k, probing, allowed=allowed)

    def save(self, folder: Path) -> None:
        """Writes codes and centroids, without vectors, as `ivf_pq.faiss`."""
        load_faiss(self.kind).write_index(self._lists.lists.index, str(folder / CODES))

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: IvfPqParameters | None = None) -> IvfPqIndex:
        """Reads what `save` wrote, and joins it with the vectors it was built from.

        Raises:
            SnapshotDamagedError: The file is missing, unreadable, or of other rows.
            MissingBackendError: FAISS is not installed.
        """
        exact, path = FlatIndex(vectors), folder / CODES
        parameters = (parameters or IvfPqParameters()).resolved(exact.num_rows, exact.dim)
        wanted = _CLASSES[parameters.bits]
        lists = read_lists(path, wanted, kind=cls.kind, exact=exact, num_rows=exact.num_rows)
        read = replace(parameters, lists=lists.nlist, segments=_quantizer(lists).M)
        return cls(
            InvertedLists(FaissLists(index=lists, vectors=exact.vectors), exact),
            read.resolved(exact.num_rows, exact.dim),
        )


def _quantizer(lists: faiss.IndexIVF) -> faiss.ProductQuantizer:
    quantizer: faiss.ProductQuantizer = load_faiss(IvfPqIndex.kind).downcast_index(lists).pq
    return quantizer


def _empty(dim: int, parameters: IvfPqParameters) -> faiss.IndexIVFPQ | faiss.IndexIVFPQFastScan:
    library = load_faiss(IvfPqIndex.kind)
    made = library.IndexIVFPQFastScan if parameters.bits == 4 else library.IndexIVFPQ
    shape = (dim, parameters.lists, parameters.segments, parameters.bits, library.METRIC_INNER_PRODUCT)
    lists: faiss.IndexIVFPQ | faiss.IndexIVFPQFastScan = made(library.IndexFlatIP(dim), *shape)
    lists.by_residual = True
    lists.pq.cp.seed = parameters.seed
    lists.pq.cp.min_points_per_centroid = 1  # or FAISS warns on the standard error
    return lists
