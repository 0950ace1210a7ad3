"""Queries to measure with where none are given: vectors beside rows, never rows themselves.

A row itself would be too easy a query for a graph, in which it is a node with links to its own neighbors: on 50,000
vectors spread evenly over the sphere in 64 dimensions a graph found .978 of the neighbors of its own rows and .949 of
those of vectors that it did not hold. So a query is put as far from its row as the row's nearest neighbor is, in a
direction drawn from the differences to its nearest neighbors, which keeps to the shape of the data.

Copies are passed over, in drawing as among neighbors: of 200 rows with 120 copies each the nearest hundred of a row are
its own copies, which any index finds, while a vector beside it is not among them.
"""

from __future__ import annotations

import math

import numpy as np

from index import bitmap
from index.flat import FlatIndex
from index.protocols import FloatArray, RowArray

_NUM_NEAR = 10
_SAME = 1e-9
"""Rows are copies where their cosine is off 1 by no more."""
_FINE, _COARSE = 2**15, 2**10
"""Cells a unit of a coordinate: copies share one, but for those that rounding puts on both sides of a border."""
_BLOCK_ROWS = 65_536


def distinct_rows(vectors: FloatArray, *, cells: int = _FINE) -> RowArray:
    """Returns the first row of each direction, ascending, int64; directions are told apart by cells of a grid.

    Args:
        vectors: [n, dim] float32, none of them zero; read in blocks.
        cells: Of the grid, a unit of a coordinate.
    """
    weights = np.random.default_rng(0).integers(1, 2**62, vectors.shape[1], dtype=np.int64)
    names = np.empty(vectors.shape[0], dtype=np.int64)
    for start in range(0, vectors.shape[0], _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        names[start : start + _BLOCK_ROWS] = np.rint(block * (cells / lengths)[:, None]).astype(np.int64) @ weights
    return np.sort(np.unique(names, return_index=True)[1])


def made_queries(exact: FlatIndex, num_queries: int, rng: np.random.Generator) -> FloatArray:
    """Returns vectors beside rows no two of which are copies, [at most num_queries, dim] float32."""
    distinct = distinct_rows(exact.vectors)
    rows = np.sort(rng.choice(distinct, min(num_queries, distinct.size), replace=False))
    return queries_beside(exact, rows, rng)


def queries_beside(exact: FlatIndex, rows: RowArray, rng: np.random.Generator) -> FloatArray:
    """Returns a vector beside each of some rows, [len(rows), dim] float32; the row where all rows are its copies.

    Args:
        exact: All rows.
        rows: [n] int64.
        rng: Of the directions.
    """
    made = np.array(exact.vectors[rows])
    left = np.arange(rows.size)
    for cells in (_FINE, _COARSE):
        distinct = distinct_rows(exact.vectors, cells=cells)
        allowed = None if distinct.size == exact.num_rows else bitmap.from_rows(distinct, exact.num_rows)
        near = exact.search(np.ascontiguousarray(exact.vectors[rows[left]]), _NUM_NEAR + 1, allowed=allowed)
        alone = []
        for place, line, count in zip(left, near.rows, near.counts, strict=True):
            others = line[:count][line[:count] != rows[place]]
            vector = _beside(exact.vectors, int(rows[place]), others, rng)
            if vector is None:
                alone.append(place)
            else:
                made[place] = vector
        left = np.array(alone, dtype=np.int64)
        if not left.size:
            break
    return made


def _beside(vectors: FloatArray, row: int, near: RowArray, rng: np.random.Generator) -> FloatArray | None:
    """Returns a vector as far from a row as its nearest neighbor that is no copy, and as long as it; None without."""
    here = vectors[row].astype(np.float64)
    length = float(np.linalg.norm(here))
    here /= length
    others = vectors[near].astype(np.float64)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    others = others[others @ here < 1.0 - _SAME]
    differences = others - here
    away = rng.standard_normal(len(others)) @ differences
    away -= (away @ here) * here
    across = float(np.linalg.norm(away))
    if across <= 1e-6:
        return None
    cosine = float(np.clip(others @ here, -1.0, 1.0).max(initial=-1.0))
    made: FloatArray = (length * (cosine * here + math.sqrt(1.0 - cosine * cosine) * away / across)).astype(np.float32)
    return made
