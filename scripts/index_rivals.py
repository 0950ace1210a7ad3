"""Other libraries as contenders, with as little Python around as can be: hnswlib, usearch and datasketch.

Graphs get the links and the candidate list of building that ours has by default. Their libraries are imported when a
contender is built or read, so that a missing one is no error. FAISS: `index_faiss`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from index.protocols import FloatArray, RowArray

if TYPE_CHECKING:
    import hnswlib
    from datasketch.hnsw import HNSW
    from usearch.index import Index

LINKS, EF_CONSTRUCTION = 32, 200
Setting: TypeAlias = dict[str, int]
"""Search parameters by name."""
Search: TypeAlias = Callable[[FloatArray, int], RowArray]
"""From queries, [m, dim] float32, and k to rows, [m, k] int64, best first, -1 where nothing was found."""


class Built(Protocol):
    """A structure over vectors that can be searched."""

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the values that each search parameter may take, ascending; more cost more and find more."""

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with given parameters; it is valid until the next call."""

    def save(self, folder: Path) -> None:
        """Writes the structure into a folder, which exists."""


def ladder(first: int, last: int, *, step: float = 1.06) -> tuple[int, ...]:
    """Returns whole numbers from `first` to `last`, each about `step` times the one before."""
    count = max(int(np.log(last / first) / np.log(step)), 1)
    return tuple(int(value) for value in np.unique(np.geomspace(first, last, count + 1).round()))


_EF = ladder(100, 2_000)
SHORT_EF = ladder(40, 2_000)
"""For those that take a candidate list shorter than the rows wanted."""


class Hnswlib:
    """`hnswlib.Index`."""

    def __init__(self, index: hnswlib.Index) -> None:
        """Takes a built graph."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> Hnswlib:
        """Builds a graph over vectors, [n, dim] float32, on every core."""
        import hnswlib

        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=0)
        index.add_items(vectors)
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> Hnswlib:
        """Reads what `save` wrote."""
        import hnswlib

        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.load_index(str(folder / "hnswlib.bin"), max_elements=len(vectors))
        return cls(index)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the lengths of the candidate list."""
        return {"ef": _EF}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with a candidate list."""
        self._index.set_ef(setting["ef"])
        return lambda queries, k: self._index.knn_query(queries, k=k, num_threads=threads)[0].astype(np.int64)

    def save(self, folder: Path) -> None:
        """Writes the graph and its vectors."""
        self._index.save_index(str(folder / "hnswlib.bin"))


class Usearch:
    """`usearch.index.Index`."""

    def __init__(self, index: Index) -> None:
        """Takes a built graph."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray, *, dtype: str) -> Usearch:
        """Builds a graph over vectors, [n, dim] float32, kept as values of a type, on every core."""
        from usearch.index import Index

        index = Index(
            ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=LINKS, expansion_add=EF_CONSTRUCTION
        )
        index.add(np.arange(len(vectors), dtype=np.uint64), np.asarray(vectors))
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> Usearch:
        """Reads what `save` wrote."""
        from usearch.index import Index

        index = Index.restore(str(folder / "usearch.bin"))
        if index is None:
            raise FileNotFoundError(f"{folder / 'usearch.bin'} is no usearch index")
        return cls(index)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the lengths of the candidate list."""
        return {"ef": _EF}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with a candidate list."""
        self._index.expansion_search = setting["ef"]

        def search(queries: FloatArray, k: int) -> RowArray:
            keys = self._index.search(queries, k, threads=threads).keys
            return np.asarray(keys, dtype=np.int64).reshape(len(queries), -1)

        return search

    def save(self, folder: Path) -> None:
        """Writes the graph and its vectors."""
        self._index.save(str(folder / "usearch.bin"))


class DatasketchHnsw:
    """`datasketch.hnsw.HNSW`, which is written in Python; it has no file."""

    def __init__(self, index: HNSW) -> None:
        """Takes a built graph."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> DatasketchHnsw:
        """Builds a graph over vectors, [n, dim] float32, on one core."""
        from datasketch.hnsw import HNSW

        index = HNSW(lambda one, other: 1 - np.dot(one, other), ef_construction=EF_CONSTRUCTION, seed=0)
        for row, vector in enumerate(np.asarray(vectors)):
            index.insert(row, vector)
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> DatasketchHnsw:
        """Builds it again."""
        return cls.build(vectors)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns a few lengths of the candidate list."""
        return {"ef": (100, 200, 400)}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with a candidate list."""

        def search(queries: FloatArray, k: int) -> RowArray:
            found = [[row for row, _ in self._index.query(query, k, setting["ef"])] for query in queries]
            return np.array([rows + [-1] * (k - len(rows)) for rows in found], dtype=np.int64)

        return search

    def save(self, folder: Path) -> None:
        """Writes nothing."""
