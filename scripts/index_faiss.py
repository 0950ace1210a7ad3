"""Raw FAISS as contenders of the index benchmark: what a program that calls it directly gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from index.protocols import FloatArray, RowArray
from index_rivals import EF_CONSTRUCTION, LINKS, SHORT_EF, Search, Setting, ladder

if TYPE_CHECKING:
    import faiss


def _faiss() -> ModuleType:
    import faiss

    return faiss


class FaissFlat:
    """`faiss.IndexFlatIP`: exact."""

    def __init__(self, index: faiss.IndexFlatIP) -> None:
        """Takes a filled index."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> FaissFlat:
        """Copies vectors, [n, dim] float32."""
        faiss = _faiss()
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> FaissFlat:
        """Copies the vectors: nothing else is kept."""
        return cls.build(vectors)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns nothing: exact search has no parameters."""
        return {}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search."""
        return lambda queries, k: self._index.search(queries, k)[1]

    def save(self, folder: Path) -> None:
        """Writes nothing."""


class FaissHnsw:
    """`faiss.IndexHNSWFlat`."""

    def __init__(self, index: faiss.IndexHNSWFlat) -> None:
        """Takes a built graph."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> FaissHnsw:
        """Builds a graph over vectors, [n, dim] float32, on every core."""
        faiss = _faiss()
        index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(vectors)
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> FaissHnsw:
        """Reads what `save` wrote."""
        faiss = _faiss()
        return cls(faiss.read_index(str(folder / "hnsw.faiss")))

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the lengths of the candidate list."""
        return {"ef": SHORT_EF}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with a candidate list."""
        faiss = _faiss()
        parameters = faiss.SearchParametersHNSW(efSearch=setting["ef"])
        return lambda queries, k: self._index.search(queries, k, params=parameters)[1]

    def save(self, folder: Path) -> None:
        """Writes the graph and its vectors."""
        faiss = _faiss()
        faiss.write_index(self._index, str(folder / "hnsw.faiss"))


class FaissHnswSq:
    """`faiss.IndexHNSWSQ`, a graph over codes of a byte a value, whose results are ranked again by the vectors."""

    def __init__(self, graph: faiss.IndexHNSWSQ, vectors: FloatArray) -> None:
        """Takes a built graph and copies the vectors, [n, dim] float32."""
        faiss = _faiss()
        self._graph = graph
        self._exact = faiss.IndexFlatIP(vectors.shape[1])
        self._exact.add(vectors)
        self._index = faiss.IndexRefine(graph, self._exact)

    @classmethod
    def build(cls, vectors: FloatArray) -> FaissHnswSq:
        """Builds a graph over vectors, [n, dim] float32, on every core."""
        faiss = _faiss()
        codes = faiss.ScalarQuantizer.QT_8bit
        graph = faiss.IndexHNSWSQ(vectors.shape[1], codes, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = EF_CONSTRUCTION
        graph.train(vectors)
        graph.add(vectors)
        return cls(graph, vectors)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> FaissHnswSq:
        """Reads what `save` wrote."""
        return cls(_faiss().read_index(str(folder / "hnsw.faiss")), vectors)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the percentages of the rows wanted that are ranked again, and the lengths of the candidate list."""
        return {"rerank_percent": (100, 110, 125), "ef": SHORT_EF}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with a candidate list."""
        faiss = _faiss()
        walk = faiss.SearchParametersHNSW(efSearch=setting["ef"])
        parameters = faiss.IndexRefineSearchParameters(k_factor=setting["rerank_percent"] / 100, base_index_params=walk)
        return lambda queries, k: self._index.search(queries, k, params=parameters)[1]

    def save(self, folder: Path) -> None:
        """Writes the graph and its codes."""
        _faiss().write_index(self._graph, str(folder / "hnsw.faiss"))


class FaissIvf:
    """`faiss.IndexIVFFlat` with four lists a square root of the rows."""

    def __init__(self, index: faiss.IndexIVFFlat) -> None:
        """Takes a trained and filled index."""
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> FaissIvf:
        """Trains and fills lists of vectors, [n, dim] float32, on every core."""
        faiss = _faiss()
        dim, num_lists = vectors.shape[1], max(int(4 * len(vectors) ** 0.5), 1)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, num_lists, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.add(vectors)
        return cls(index)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> FaissIvf:
        """Reads what `save` wrote."""
        faiss = _faiss()
        return cls(faiss.read_index(str(folder / "ivf.faiss")))

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns how many lists are scanned."""
        return {"nprobe": ladder(1, self._index.nlist)}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search of some lists."""
        faiss = _faiss()
        parameters = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
        return lambda queries, k: self._index.search(queries, k, params=parameters)[1]

    def save(self, folder: Path) -> None:
        """Writes the lists."""
        faiss = _faiss()
        faiss.write_index(self._index, str(folder / "ivf.faiss"))


class FaissLsh:
    """`faiss.IndexLSH`, a scan of all codes, whose best are ranked again by exact distance."""

    def __init__(self, codes: faiss.IndexLSH, vectors: FloatArray) -> None:
        """Takes filled codes and copies the vectors, [n, dim] float32."""
        faiss = _faiss()
        self._codes = codes
        self._exact = faiss.IndexFlatL2(vectors.shape[1])  # the order of length 1; a refined index wants one metric
        self._exact.add(vectors)
        self._index = faiss.IndexRefine(codes, self._exact)

    @classmethod
    def build(cls, vectors: FloatArray, *, bits_per_dim: int) -> FaissLsh:
        """Codes vectors, [n, dim] float32, on every core."""
        faiss = _faiss()
        codes = faiss.IndexLSH(vectors.shape[1], bits_per_dim * vectors.shape[1])
        codes.add(vectors)
        return cls(codes, vectors)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray) -> FaissLsh:
        """Reads what `save` wrote."""
        faiss = _faiss()
        return cls(faiss.read_index(str(folder / "lsh.faiss")), vectors)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns how many of the best codes are ranked again."""
        return {"candidates": ladder(100, max(int(self._codes.ntotal / 5), 200))}

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search that ranks some candidates again."""
        faiss = _faiss()

        def search(queries: FloatArray, k: int) -> RowArray:
            parameters = faiss.IndexRefineSearchParameters(k_factor=max(setting["candidates"] / k, 1.0))
            rows: RowArray = self._index.search(queries, k, params=parameters)[1]
            return rows

        return search

    def save(self, folder: Path) -> None:
        """Writes the codes."""
        faiss = _faiss()
        faiss.write_index(self._codes, str(folder / "lsh.faiss"))
