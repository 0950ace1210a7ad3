"""A sample of the rows of an LSH index, with the true neighbors of some of them.

Queries are those that are given, as they will be asked. Without any they are rows, whose neighbors are the others.
Where copies of a row are among these, the query is put beside it (`index.made_queries`): copies lie in the very bucket
of the row, so that any parameters would seem to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.flat import FlatIndex
from index.made_queries import queries_beside
from index.protocols import FloatArray, RowArray
from index.rescore import score_rows

_QUERIES, _LEAST_QUERIES = 160, 16
_NEIGHBORS = 64
_BACKGROUND = 1024
_ROWS = 1 << 20
_SAME = 1e-8
"""Rows are copies where the square of their distance is no more of that of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows that stand for all.

    Attributes:
        queries: [num_queries, dim] float32.
        neighbors: [num_queries, num_neighbors, dim] float32, true neighbors of each.
        background: [num_background, dim] float32, random rows.
        num_rows: Rows there are in all.
        distance: Median Euclidean distance of a query to the last of its neighbors.
        largest_norm: Greatest length of a row.
        floors: [num_queries] float32, score of the last of the neighbors of each query.
        owns: [num_queries] bool, whether the query is a row that scores as much with itself, which is no neighbor.
    """

    queries: FloatArray
    neighbors: FloatArray
    background: FloatArray
    num_rows: int
    distance: float
    largest_norm: float
    floors: FloatArray
    owns: NDArray[np.bool_]

    @classmethod
    def draw(cls, vectors: FloatArray, k: int, *, seed: int, queries: FloatArray | None = None) -> Sample:
        """Draws queries, and searches their `k` neighbors exactly.

        Args:
            vectors: [n, dim] float32 rows, n at least 2.
            k: Neighbors wanted.
            seed: Of what is drawn.
            queries: [num_queries, dim] float32, checked, as they will be asked, to draw from; None draws rows.
        """
        generator = np.random.default_rng(seed)
        num_rows = vectors.shape[0]
        if num_rows > _ROWS:
            vectors = vectors[np.sort(generator.choice(num_rows, _ROWS, replace=False))]
        size = vectors.shape[0]
        exact = FlatIndex(vectors)
        k = min(max(1, round(k * size / num_rows)), size - 1)
        ranks = np.unique(np.linspace(0, k - 1, min(k, _NEIGHBORS)).astype(np.int64))
        asked = _rows_asked(exact, ranks, generator) if queries is None else _given(exact, queries, ranks, generator)
        queries, near, is_row = asked
        last = vectors[near[:, -1]]
        floors = _paired(queries, last)
        owns = is_row & (_paired(queries, queries) >= floors)
        background = vectors[generator.choice(size, min(size, _BACKGROUND), replace=False)]
        distance = float(np.median(np.linalg.norm(queries - last, axis=1)))
        return cls(
            queries=queries,
            neighbors=vectors[near],
            background=background,
            num_rows=num_rows,
            distance=distance,
            largest_norm=exact.largest_norm,
            floors=floors,
            owns=owns,
        )


def _paired(queries: FloatArray, vectors: FloatArray) -> FloatArray:
    places = np.arange(queries.shape[0] + 1, dtype=np.int64)
    return score_rows(queries, vectors, places[:-1], offsets=places)


def _given(
    exact: FlatIndex, queries: FloatArray, ranks: RowArray, generator: np.random.Generator
) -> tuple[FloatArray, RowArray, NDArray[np.bool_]]:
    """Returns what `_rows_asked` does, of given queries."""
    chosen = generator.choice(len(queries), min(len(queries), _QUERIES), replace=False)
    queries = np.ascontiguousarray(queries[np.sort(chosen)])
    near = exact.search(queries, int(ranks[-1]) + 1).rows[:, ranks]
    return queries, near, np.zeros(len(queries), dtype=np.bool_)


def _rows_asked(
    exact: FlatIndex, ranks: RowArray, generator: np.random.Generator
) -> tuple[FloatArray, RowArray, NDArray[np.bool_]]:
    """Draws queries from the rows.

    Returns:
        Queries, [num_queries, dim] float32; the rows of their neighbors of some ranks, [num_queries, len(ranks)] int64;
        and whether a query is a row, [num_queries] bool.
    """
    size, k = exact.num_rows, int(ranks[-1]) + 1
    rows = generator.choice(size, min(size, max(_LEAST_QUERIES, min(_QUERIES, size // 16))), replace=False)
    queries = exact.vectors[rows]
    found = exact.search(queries, k + 1).rows
    near = np.stack([line[line != row][ranks] for line, row in zip(found, rows, strict=True)])
    apart = np.square(exact.vectors[near] - queries[:, None]).sum(axis=2)
    copied = np.flatnonzero(apart.min(axis=1) <= _SAME * np.square(queries).sum(axis=1))
    if copied.size:
        queries[copied] = queries_beside(exact, rows[copied], generator)
        near[copied] = exact.search(queries[copied], k).rows[:, ranks]
    return queries, near, (queries == exact.vectors[rows]).all(axis=1)
