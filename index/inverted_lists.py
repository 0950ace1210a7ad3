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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from index import checks
from index.faiss_library import load_faiss, num_threads, openmp_threads
from index.flat import FlatIndex
from index.gpu import MOST, DeviceCopy
from index.list_building import assign
from index.mapped import ranked
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap

if TYPE_CHECKING:
    import faiss

_BLOCK_CANDIDATES = 4_194_304
_SAMPLE_QUERIES = 128
_SAMPLE_NEIGHBORS = 100
_NEIGHBORS_READ = 0.98
"""Of the nearest 100 rows of rows drawn from the index, the share that lies in the lists read by default."""
_ID_BYTES = 8
_SCANNED_PER_CODE = 0.1
"""Vectors gathered and scored in the time of passing over one code; rounded from 4-bit codes of 64 dimensions."""


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


class InvertedLists:
    """Codes in lists, and the vectors that decide among what they find."""

    def __init__(self, lists: faiss.IndexIVF, exact: FlatIndex, *, on_gpu: DeviceCopy | None = None) -> None:
        """Takes filled lists over the rows of `exact`, and a copy of them on a GPU for searches of every row."""
        self.lists = lists
        self.exact = exact
        self._on_gpu = on_gpu

    def num_probes(self, nprobe: int, *, seed: int, threads: int) -> int:
        """Returns how many lists to read: `nprobe`, at most all; for 0, as the data ask.

        These are so many that of the 100 nearest rows of 128 rows drawn by `seed`, 98 in 100 lie in them. Queries that
        are far from all rows may need more.
        """
        num_rows = self.exact.num_rows
        if nprobe or self.lists.nlist == 1 or num_rows < 2:
            return min(nprobe or 1, self.lists.nlist)
        with openmp_threads(load_faiss("ivf"), num_threads(threads)):
            depths = self._depths(seed)
        return 1 + int(np.quantile(depths, _NEIGHBORS_READ, method="higher"))

    def _depths(self, seed: int) -> RowArray:
        """Returns for neighbors of drawn rows how many lists are nearer to the row than that which holds them."""
        vectors, num_rows = self.exact.vectors, self.exact.num_rows
        drawn = np.random.default_rng(seed).choice(num_rows, min(_SAMPLE_QUERIES, num_rows), replace=False)
        queries = vectors[drawn]
        near = self.exact.search(queries, min(_SAMPLE_NEIGHBORS + 1, num_rows)).rows
        places = np.empty((drawn.size, self.lists.nlist), dtype=np.int64)
        order = self.lists.quantizer.search(queries, self.lists.nlist)[1]
        np.put_along_axis(places, order, np.arange(self.lists.nlist)[None, :], axis=1)
        numbers = assign(self.lists, vectors[near.reshape(-1)]).reshape(near.shape)
        others = near != drawn[:, None]
        depths: RowArray = np.take_along_axis(places, numbers, axis=1)[others]
        return depths

    def search(self, queries: FloatArray, k: int, probing: Probing, *, allowed: RowBitmap | None) -> Neighbors:
        """Returns up to `k` rows a query, as many as exact search would; see `VectorIndex.search`."""
        num_rows = self.exact.num_rows
        queries = checks.check_queries(queries, k, dim=self.exact.dim)
        allowed, num_allowed = checks.count_allowed(allowed, num_rows)
        num_candidates = int(min(k, num_allowed)) * probing.rerank  # FAISS takes no number of NumPy
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
        return found[0] if len(found) == 1 else Neighbors.joined(found or [Neighbors.none(0, k)])

    def _probe(
        self, queries: FloatArray, num_wanted: int, probes: int, threads: int, allowed: RowBitmap | None
    ) -> RowArray:
        """Returns what lists hold, [num_queries, num_wanted] int64, -1 where they hold too few."""
        if self._on_gpu is not None and allowed is None and max(num_wanted, probes) <= MOST:
            return self._on_gpu.search(queries, num_wanted, probes=probes)[1]
        faiss = load_faiss("ivf")
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
        parameters = faiss.IVFSearchParameters(nprobe=probes, sel=selector)
        # More threads than there are queries would only wait for each other, each taking a core.
        with openmp_threads(faiss, min(num_threads(threads), queries.shape[0])):
            rows: RowArray = self.lists.search(queries, num_wanted, params=parameters)[1]
        return rows

    def _completed(self, queries: FloatArray, found: Neighbors, allowed: RowBitmap | None, wanted: int) -> Neighbors:
        short = np.flatnonzero(found.counts < wanted)
        if short.size:
            found.put(short, self.exact.search(queries[short], found.rows.shape[1], allowed=allowed))
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
