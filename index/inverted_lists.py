"""Inverted lists: rows grouped around centroids, of which a search reads the nearest groups alone.

Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011, section IV. Centroids come from
spherical k-means over a sample of rows. Lists hold codes, in FAISS's forms (`index.faiss_lists`) or in ours
(`index.byte_lists`); what a search finds by codes is ranked by the vectors themselves (`index.mapped`), so its order
and floats are those of exact search.

Under a row bitmap more lists are read, in proportion to the share of allowed rows. Where scanning the allowed rows
costs less than that, and where the lists that were read hold too few, the search is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from index import checks
from index.faiss_library import load_faiss, num_threads, openmp_threads
from index.flat import FlatIndex
from index.mapped import ranked
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap

_BLOCK_CANDIDATES = 4_194_304
_SAMPLE_QUERIES = 128
_SAMPLE_NEIGHBORS = 100
_NEIGHBORS_READ = 0.98
"""Of the nearest 100 rows of rows drawn from the index, the share that lies in the lists read by default."""
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


class Lists(Protocol):
    """Codes of rows in lists, each around a centroid."""

    @property
    def num_lists(self) -> int:
        """Lists, empty ones included."""

    def nearest(self, queries: FloatArray) -> RowArray:
        """Returns all lists by centroid, nearest first, [num_queries, num_lists] int64."""

    def numbers(self, rows: RowArray) -> RowArray:
        """Returns the list of each of some rows, int64."""

    def probe(
        self, queries: FloatArray, num_wanted: int, probes: int, *, threads: int, allowed: RowBitmap | None
    ) -> RowArray:
        """Returns the rows that look best by their codes, [num_queries, num_wanted] int64, -1 where there are fewer.

        Args:
            queries: [num_queries, dim] float32.
            num_wanted: Rows wanted of each query.
            probes: Lists read of each query, at most all.
            threads: At most so many are used.
            allowed: Rows that may be found; None allows every row.
        """


_Lists = TypeVar("_Lists", bound=Lists)


class InvertedLists(Generic[_Lists]):
    """Codes in lists, and the vectors that decide among what they find."""

    def __init__(self, lists: _Lists, exact: FlatIndex) -> None:
        """Takes filled lists over the rows of `exact`."""
        self.lists = lists
        self.exact = exact

    def num_probes(self, nprobe: int, *, seed: int, threads: int) -> int:
        """Returns how many lists to read: `nprobe`, at most all; for 0, as the data ask.

        These are so many that of the 100 nearest rows of 128 rows drawn by `seed`, 98 in 100 lie in them. Queries that
        are far from all rows may need more.
        """
        num_rows = self.exact.num_rows
        if nprobe or self.lists.num_lists == 1 or num_rows < 2:
            return min(nprobe or 1, self.lists.num_lists)
        with openmp_threads(load_faiss("ivf"), num_threads(threads)):
            depths = self._depths(seed)
        return 1 + int(np.quantile(depths, _NEIGHBORS_READ, method="higher"))

    def _depths(self, seed: int) -> RowArray:
        """Returns for neighbors of drawn rows how many lists are nearer to the row than that which holds them."""
        vectors, num_rows = self.exact.vectors, self.exact.num_rows
        drawn = np.random.default_rng(seed).choice(num_rows, min(_SAMPLE_QUERIES, num_rows), replace=False)
        queries = vectors[drawn]
        near = self.exact.search(queries, min(_SAMPLE_NEIGHBORS + 1, num_rows)).rows
        places = np.empty((drawn.size, self.lists.num_lists), dtype=np.int64)
        order = self.lists.nearest(queries)
        np.put_along_axis(places, order, np.arange(self.lists.num_lists)[None, :], axis=1)
        numbers = self.lists.numbers(near.reshape(-1)).reshape(near.shape)
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
        if num_candidates >= num_allowed or _is_selective(
            num_allowed, num_rows, probes / self.lists.num_lists, allowed
        ):
            return self.exact.search(queries, k, allowed=allowed)
        probes = min(probes, self.lists.num_lists)
        size, threads = max(1, _BLOCK_CANDIDATES // num_candidates), num_threads(probing.threads)
        found = []
        for start in range(0, queries.shape[0], size):
            some = queries[start : start + size]
            rows = self.lists.probe(some, num_candidates, probes, threads=threads, allowed=allowed)
            found.append(self._completed(some, ranked(some, self.exact.vectors, rows, k), allowed, min(k, num_allowed)))
        return found[0] if len(found) == 1 else Neighbors.joined(found or [Neighbors.none(0, k)])

    def _completed(self, queries: FloatArray, found: Neighbors, allowed: RowBitmap | None, wanted: int) -> Neighbors:
        short = np.flatnonzero(found.counts < wanted)
        if short.size:
            found.put(short, self.exact.search(queries[short], found.rows.shape[1], allowed=allowed))
        return found


def _is_selective(num_allowed: int, num_rows: int, share_read: float, allowed: RowBitmap | None) -> bool:
    """Returns whether scanning the allowed rows costs less than reading that share of the codes."""
    return allowed is not None and num_allowed <= _SCANNED_PER_CODE * num_rows * min(share_read, 1.0)
