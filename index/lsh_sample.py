"""A sample of the rows of an LSH index, with the true neighbors of some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index import checks
from index.flat import exact_search
from index.protocols import FloatArray, RowArray

_QUERIES, _LEAST_QUERIES = 160, 16
_NEIGHBORS = 64
_BACKGROUND = 1024
_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows that stand for all.

    Attributes:
        queries: [num_queries, dim] float32.
        neighbors: [num_queries, num_neighbors, dim] float32, true neighbors of each.
        background: [num_background, dim] float32, random rows.
        num_rows: Rows there are in all.
        distance: Median Euclidean distance of a query to the last of its neighbors.
    """

    queries: FloatArray
    neighbors: FloatArray
    background: FloatArray
    num_rows: int
    distance: float

    @classmethod
    def draw(cls, vectors: FloatArray, k: int, *, seed: int) -> Sample:
        """Draws queries from [n, dim] float32 rows, n at least 2, and searches their `k` neighbors exactly."""
        generator = np.random.default_rng(seed)
        num_rows = vectors.shape[0]
        if num_rows > _ROWS:
            vectors = vectors[np.sort(generator.choice(num_rows, _ROWS, replace=False))]
        size = vectors.shape[0]
        largest = checks.largest_norm(vectors, what="vectors")
        k = min(max(1, round(k * size / num_rows)), size - 1)
        rows = generator.choice(size, min(size, max(_LEAST_QUERIES, min(_QUERIES, size // 16))), replace=False)
        queries = vectors[rows]
        found = exact_search(vectors, queries, k + 1, allowed=None, largest_norm=largest)
        ranks = np.unique(np.linspace(0, k - 1, min(k, _NEIGHBORS)).astype(np.int64))
        others = np.stack([_without(line, row, k)[ranks] for line, row in zip(found.rows, rows, strict=True)])
        last = vectors[[_without(line, row, k)[-1] for line, row in zip(found.rows, rows, strict=True)]]
        background = vectors[generator.choice(size, min(size, _BACKGROUND), replace=False)]
        distance = float(np.median(np.linalg.norm(queries - last, axis=1)))
        return cls(
            queries=queries,
            neighbors=vectors[others],
            background=background,
            num_rows=num_rows,
            distance=distance,
        )


def _without(rows: RowArray, row: int, k: int) -> RowArray:
    others: RowArray = rows[rows != row][:k]
    return others
