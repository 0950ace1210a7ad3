"""A k-d tree through SciPy: exact, and faster than scanning in a few dimensions only.

Bentley, Multidimensional binary search trees used for associative searching, 1975. Past some six dimensions a search
visits so much of the tree that scanning every row is faster; the kind is here to show where that begins.

Inner products become distances by one more coordinate (Bachrach et al., Speeding up the Xbox recommender system using
a Euclidean transformation for inner-product spaces, 2014, theorem 1): a row v is kept as (v, sqrt(M^2 - |v|^2)) with M
the greatest length, and a query q, scaled to length M, is asked as (q, 0), so that |q - v|^2 = 2 M^2 - 2 q.v.
The nearest k rows give a radius, wider by what rounding may do to a score; all rows within are scored by
`index.rescore`. So the result is exactly the top k by the kernel's scores, ties included.

Nothing is written to disk: a tree is made again as quickly as it would be read.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from index import bitmap, checks
from index.flat import FlatIndex, product_margins
from index.parameter_values import check_bounds, retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowArray, RowBitmap
from index.rescore import score_one
from index.topk import best, gather_neighbors

LEAF_SIZE = 16
_NODE_BYTES = 72
_SELECTIVE = 8
"""Of more rows than one in this many, a bitmap is walked by the tree; of fewer, the rows are scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KdTreeParameters:
    """How the tree is built.

    Attributes:
        leaf_size: Most rows of a leaf; 0 takes 16.
    """

    leaf_size: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        check_bounds(self.as_dict(), {"leaf_size": (0, 2**31 - 1)})

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name."""
        return asdict(self)


class KdTreeIndex:
    """Exact search through a tree over rows that never change."""

    kind = "kd_tree"

    def __init__(self, exact: FlatIndex, parameters: KdTreeParameters) -> None:
        """Builds the tree over the rows of `exact`; use `build` or `load`."""
        self._exact = exact
        self._leaf_size = parameters.leaf_size or LEAF_SIZE
        self._tree = cKDTree(_lifted(exact.vectors, exact.largest_norm), leafsize=self._leaf_size)

    @classmethod
    def build(cls, vectors: FloatArray, parameters: KdTreeParameters | None = None) -> KdTreeIndex:
        """Builds a tree.

        Args:
            vectors: [num_rows, dim] float32 of any length.
            parameters: None takes the rule.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
        """
        return cls(FlatIndex(vectors), parameters or KdTreeParameters())

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: KdTreeParameters | None = None) -> KdTreeIndex:
        """Builds the tree again."""
        return cls.build(vectors, parameters)

    def save(self, folder: Path) -> None:
        """Writes nothing: see `load`."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._exact.dim

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return self._exact.num_rows

    def parameters(self) -> Parameters:
        """Returns what the tree was built with."""
        return {"leaf_size": self._leaf_size}

    def retuned(self, **search_parameters: Any) -> KdTreeIndex:
        """Returns the index itself: a search has no parameters.

        Raises:
            InvalidIndexConfigError: One is given.
        """
        retuned_values(KdTreeParameters(), search_parameters, kind=self.kind, names=())
        return self

    def resident_bytes(self) -> int:
        """Returns the bytes of the tree's own float64 rows, their numbers and its nodes."""
        return int(self._tree.data.nbytes + self._tree.indices.nbytes + self._tree.size * _NODE_BYTES)

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns the exact top `k`; see `VectorIndex.search`."""
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed, num_allowed = checks.count_allowed(allowed, self.num_rows)
        wanted = min(k, num_allowed)
        if wanted == num_allowed or _SELECTIVE * num_allowed <= self.num_rows:
            return self._exact.search(queries, k, allowed=allowed)
        mask = None if allowed is None else bitmap.to_mask(allowed, 0, self.num_rows)
        first = math.ceil(wanted * self.num_rows / num_allowed)
        found = []
        for query, point in zip(queries, self._points(queries), strict=True):
            rows = self._candidates(point, wanted, first, mask)
            found.append(best(rows, score_one(query, self._exact.vectors, rows), k))
        return gather_neighbors(found, min(k, self.num_rows))

    def _points(self, queries: FloatArray) -> NDArray[np.float64]:
        """Returns queries as points of the tree, [num_queries, dim + 1] float64, scaled to the greatest length."""
        points = np.zeros((queries.shape[0], self.dim + 1))
        points[:, :-1] = queries
        lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
        points *= (self._exact.largest_norm / np.where(lengths > 0, lengths, 1))[:, None]
        return points

    def _candidates(
        self, point: NDArray[np.float64], wanted: int, first: int, mask: NDArray[np.bool_] | None
    ) -> RowArray:
        """Returns every allowed row that may be in the top `wanted`, asking for `first` rows and then for more."""
        num_asked = first
        while True:
            distances, rows = self._tree.query(point, k=np.arange(1, num_asked + 1))
            kept = np.arange(rows.size) if mask is None else np.flatnonzero(mask[rows])
            if kept.size >= wanted:
                break
            num_asked = min(2 * num_asked, self.num_rows)
        # |q - v|^2 grows by twice what a score loses. A query of length 0 scores every row alike, within the margin
        # of one of full length.
        norm = self._exact.largest_norm
        margin = float(product_margins(np.full((1, self.dim), norm / math.sqrt(self.dim), dtype=np.float32), norm)[0])
        radius = math.sqrt(float(distances[kept[wanted - 1]]) ** 2 + 2 * margin)
        near = np.array(self._tree.query_ball_point(point, radius), dtype=np.int64)
        return near if mask is None else near[mask[near]]


def _lifted(vectors: FloatArray, largest_norm: float) -> NDArray[np.float64]:
    """Returns rows with the coordinate that makes all of them about as long as the longest, [n, dim + 1] float64."""
    lifted = np.empty((vectors.shape[0], vectors.shape[1] + 1))
    lifted[:, :-1] = vectors
    squares = np.einsum("ij,ij->i", lifted[:, :-1], lifted[:, :-1])
    lifted[:, -1] = np.sqrt(np.maximum(max(largest_norm**2, float(squares.max(initial=0))) - squares, 0))
    return lifted
