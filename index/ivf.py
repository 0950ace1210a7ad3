"""IVF-Flat through FAISS: whole vectors in inverted lists; approximate by the lists that a search leaves out.

See `index.inverted_lists`. On a GPU (`device`), lists are copied there once; searches under a row bitmap stay on the
CPU, since FAISS knows no bitmaps on a GPU. Candidates are ranked here either way, so both give the same rows and
floats, but for ties at the last place and for lists whose centroids are equally near.

On disk, in place of a second copy of the vectors:

- `ivf_flat.faiss`: the centroids, in FAISS's format: an `IndexIVFFlat` without rows.
- `ivf_flat_lists.npy`: int32 [n], the list of each row.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.arrays import load_array
from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.faiss_library import load_faiss, load_gpu_faiss, num_threads, openmp_threads
from index.faiss_lists import FaissLists
from index.flat import FlatIndex
from index.gpu import lists_on_gpu
from index.inverted_lists import InvertedLists, Probing
from index.lengths import warn_of_unequal
from index.list_building import assign, fill, num_lists, read_lists, rows_of, train
from index.parameter_values import MOST_THREADS, check_bounds, retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap

if TYPE_CHECKING:
    import faiss

LISTS = "ivf_flat.faiss"
NUMBERS = "ivf_flat_lists.npy"
DEVICES = ("cpu", "gpu")
_SEARCH_PARAMETERS = ("nprobe", "threads")
_BOUNDS = {**dict.fromkeys(("lists", "nprobe", "seed"), (0, 2**31 - 1)), "threads": (0, MOST_THREADS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class IvfFlatParameters:
    """How many lists there are, and how many of them a search reads.

    Attributes:
        lists: 0 takes 4 times the root of the number of rows, fewer below some 24,000 rows.
        nprobe: Lists read, more under a bitmap; 0 takes as many as hold 98 of the 100 nearest rows of rows drawn from
            the index.
        device: `cpu` or `gpu`.
        seed: Seed of k-means and of the rows it sees.
        threads: Threads of a build and of a batched search; 0 takes every core.
    """

    lists: int = 0
    nprobe: int = 0
    device: str = "cpu"
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        if self.device not in DEVICES:
            raise InvalidIndexConfigError(f"device is {self.device!r}; want one of {', '.join(DEVICES)}")
        check_bounds(self.as_dict(), _BOUNDS)

    def resolved(self, num_rows: int) -> IvfFlatParameters:
        """Returns them with the rule where `lists` is 0, and no more lists than rows."""
        lists = min(self.lists or num_lists(num_rows), max(num_rows, 1))
        return replace(self, lists=lists)

    def as_dict(self) -> dict[str, int | str]:
        """Returns the values by name."""
        return asdict(self)


class IvfFlatIndex:
    """Vectors in lists."""

    kind = "ivf_flat"

    def __init__(self, lists: InvertedLists[FaissLists], parameters: IvfFlatParameters) -> None:
        """Takes filled lists and resolved parameters, but for `nprobe`; use `build` or `load`."""
        probes = lists.num_probes(parameters.nprobe, seed=parameters.seed, threads=parameters.threads)
        self._lists = lists
        self._parameters = replace(parameters, nprobe=probes)

    @classmethod
    def build(cls, vectors: FloatArray, parameters: IvfFlatParameters | None = None) -> IvfFlatIndex:
        """Finds centroids and puts each vector into the list of the nearest.

        Args:
            vectors: [num_rows, dim] float32 of about equal length; may be a memory map, read in blocks.
            parameters: None takes the rules.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
            MissingBackendError: FAISS is not installed, or sees no GPU where one is asked for.
        """
        faiss = load_faiss(cls.kind)
        exact = FlatIndex(vectors)
        warn_of_unequal(exact, kind=cls.kind)
        if parameters is not None and parameters.device == "gpu":
            load_gpu_faiss(cls.kind)  # before minutes of k-means
        parameters = (parameters or IvfFlatParameters()).resolved(exact.num_rows)
        lists = _empty(exact.dim, parameters.lists)
        with openmp_threads(faiss, num_threads(parameters.threads)):
            if exact.num_rows:
                train(lists, exact.vectors, seed=parameters.seed, least=1)
                fill(lists, exact.vectors, assign(lists, exact.vectors))
        return cls(_placed(lists, exact, parameters), parameters)

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

    def retuned(self, **search_parameters: Any) -> IvfFlatIndex:
        """Returns the same lists, shared, searched with another `nprobe` or number of `threads`; 0 takes the rule.

        Raises:
            InvalidIndexConfigError: A parameter is of the build or unknown, of another type, or out of range.
        """
        parameters = retuned_values(self._parameters, search_parameters, kind=self.kind, names=_SEARCH_PARAMETERS)
        return IvfFlatIndex(self._lists, parameters.resolved(self.num_rows))

    def resident_bytes(self) -> int:
        """Returns the bytes of lists and centroids: the vectors are in the lists."""
        return self._lists.lists.resident_bytes()

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        probing = Probing(probes=self._parameters.nprobe, rerank=1, threads=self._parameters.threads)
        return self._lists.search(queries, k, probing, allowed=allowed)

    def save(self, folder: Path) -> None:
        """Writes centroids and list numbers; see the top of this module."""
        faiss = load_faiss(self.kind)
        lists = self._lists.lists.index
        bare = _empty(self.dim, lists.nlist)
        if lists.is_trained:
            bare.quantizer.add(lists.quantizer.reconstruct_n(0, lists.nlist))
            bare.is_trained = True
        faiss.write_index(bare, str(folder / LISTS))
        numbers = np.empty(self.num_rows, dtype=np.int32)
        for number, rows in enumerate(rows_of(lists)):
            numbers[rows] = number
        np.save(folder / NUMBERS, numbers, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: IvfFlatParameters | None = None) -> IvfFlatIndex:
        """Reads what `save` wrote, and fills the lists with the vectors they were built from.

        Raises:
            SnapshotDamagedError: A file is missing, unreadable, or of other rows.
            MissingBackendError: FAISS is not installed, or sees no GPU where one is asked for.
        """
        exact, path = FlatIndex(vectors), folder / LISTS
        lists = read_lists(path, "IndexIVFFlat", kind=cls.kind, exact=exact, num_rows=0)
        numbers = load_array(folder / NUMBERS, np.int32, num_axes=1)
        if numbers.size != exact.num_rows or (numbers.size and not 0 <= numbers.min() <= numbers.max() < lists.nlist):
            raise SnapshotDamagedError(
                f"{folder / NUMBERS} holds {numbers.size} list numbers; want {exact.num_rows}, each from 0 to "
                f"{lists.nlist - 1} as in {path}; rebuild or restore it"
            )
        parameters = replace(parameters or IvfFlatParameters(), lists=lists.nlist).resolved(exact.num_rows)
        fill(lists, exact.vectors, numbers.astype(np.int64))
        return cls(_placed(lists, exact, parameters), parameters)


def _empty(dim: int, lists: int) -> faiss.IndexIVFFlat:
    library = load_faiss(IvfFlatIndex.kind)
    made: faiss.IndexIVFFlat = library.IndexIVFFlat(library.IndexFlatIP(dim), dim, lists, library.METRIC_INNER_PRODUCT)
    return made


def _placed(lists: faiss.IndexIVF, exact: FlatIndex, parameters: IvfFlatParameters) -> InvertedLists[FaissLists]:
    if parameters.device == "cpu" or exact.num_rows == 0:
        return InvertedLists(FaissLists(index=lists, vectors=exact.vectors), exact)
    on_gpu = lists_on_gpu(lists, kind=IvfFlatIndex.kind)
    return InvertedLists(FaissLists(index=lists, vectors=exact.vectors, on_gpu=on_gpu), exact)
