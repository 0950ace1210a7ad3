"""Exact search: the oracle that every other kind is measured against, and the first home of fresh rows.

Candidates come from blocked matrix products, whose floats depend on the shape of the block; so those within the
rounding margin of the k-th best are kept (`index.line_scan`) and scored by `index.rescore`: the result is exactly the
top k by the kernel's scores, ties included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import bitmap, checks
from index.errors import InvalidQueryError
from index.line_scan import LineScan
from index.parameter_values import retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap

_BLOCK_SCORES = 4_194_304
_BLOCK_QUERIES = 256
_MANY_QUERIES = 16
_UNIT_ROUNDOFF = 2.0**-24


def exact_search(
    vectors: FloatArray, queries: FloatArray, k: int, *, allowed: RowBitmap | None, largest_norm: float
) -> Neighbors:
    """Returns the exact top `k` of checked queries over `vectors`.

    Args:
        vectors: [num_rows, dim] float32, C-contiguous.
        queries: [num_queries, dim] float32, C-contiguous, finite.
        k: At least 1.
        allowed: Rows that may be returned; None allows every row.
        largest_norm: Greatest length of a vector, which bounds rounding.
    """
    found = []
    width = min(k, vectors.shape[0])
    for start in range(0, queries.shape[0], _BLOCK_QUERIES):
        some = queries[start : start + _BLOCK_QUERIES]
        scan = _scanned(vectors, some, max(width, 1), allowed=allowed, norm=largest_norm)
        found.append(scan.neighbors(vectors, some, width=width))
    return found[0] if len(found) == 1 else Neighbors.joined(found or [Neighbors.none(0, width)])


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatParameters:
    """Exact search has no parameters."""

    def as_dict(self) -> Mapping[str, int]:
        """Returns nothing."""
        return {}


class FlatIndex:
    """Exact search over rows that never change."""

    kind = "flat"

    def __init__(self, vectors: FloatArray) -> None:
        """Keeps the array, which may be a memory map; nobody may write to it.

        Args:
            vectors: [num_rows, dim] float32.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
        """
        self._vectors = checks.as_matrix(vectors, dim=None, what="vectors")
        self._largest_norm = checks.largest_norm(self._vectors, what="vectors")

    @classmethod
    def build(cls, vectors: FloatArray, parameters: FlatParameters | None = None) -> FlatIndex:
        """Returns `FlatIndex(vectors)`: there is nothing to build."""
        return cls(vectors)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: FlatParameters | None = None) -> FlatIndex:
        """Returns `FlatIndex(vectors)`: there is nothing to read."""
        return cls(vectors)

    def save(self, folder: Path) -> None:
        """Writes nothing: the vectors are all there is."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return int(self._vectors.shape[0])

    @property
    def vectors(self) -> FloatArray:
        """[num_rows, dim] float32; not to be written."""
        return self._vectors

    @property
    def largest_norm(self) -> float:
        """Greatest length of a vector, 0 without rows."""
        return self._largest_norm

    def parameters(self) -> Parameters:
        """Returns nothing: exact search has no parameters."""
        return {}

    def retuned(self, **search_parameters: Any) -> FlatIndex:
        """Returns the index itself: a search has no parameters.

        Raises:
            InvalidIndexConfigError: One is given.
        """
        retuned_values(FlatParameters(), search_parameters, kind=self.kind, names=())
        return self

    def resident_bytes(self) -> int:
        """Returns the bytes of the vectors: a search reads all of them."""
        return self._vectors.nbytes

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns the exact top `k`; see `VectorIndex.search`."""
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed = checks.check_allowed(allowed, self.num_rows)
        return exact_search(self._vectors, queries, k, allowed=allowed, largest_norm=self._largest_norm)


@dataclass(frozen=True, slots=True)
class _Published:
    """What readers of an `AppendableFlat` see: a buffer whose first `num_rows` rows never change."""

    buffer: FloatArray
    num_rows: int
    largest_norm: float


class AppendableFlat:
    """Exact search over rows that grow at the end.

    A full buffer is replaced by one of twice the size; readers that hold the old one go on with it.
    """

    kind = "flat"

    def __init__(self, dim: int, *, capacity: int = 1024) -> None:
        """Starts empty, with room for `capacity` rows of `dim` values."""
        self._published = _Published(np.empty((capacity, dim), dtype=np.float32), 0, 0.0)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._published.buffer.shape[1])

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""
        return self._published.num_rows

    @property
    def vectors(self) -> FloatArray:
        """[num_rows, dim] float32, as of now; not to be written."""
        published = self._published
        return published.buffer[: published.num_rows]

    @property
    def largest_norm(self) -> float:
        """Greatest length of a vector, 0 without rows."""
        return self._published.largest_norm

    def parameters(self) -> Parameters:
        """Returns nothing: exact search has no parameters."""
        return {}

    def append(self, vectors: FloatArray) -> None:
        """Adds rows at the end; see `AppendableIndex.append`."""
        vectors = checks.as_matrix(vectors, dim=self.dim, what="vectors")
        norm = checks.largest_norm(vectors, what="vectors")
        old = self._published
        num_rows = old.num_rows + vectors.shape[0]
        buffer = old.buffer
        if num_rows > buffer.shape[0]:
            buffer = np.empty((max(num_rows, 2 * buffer.shape[0]), self.dim), dtype=np.float32)
            buffer[: old.num_rows] = old.buffer[: old.num_rows]
        buffer[old.num_rows : num_rows] = vectors
        self._published = _Published(buffer, num_rows, max(old.largest_norm, norm))

    def search(
        self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None, num_rows: int | None = None
    ) -> Neighbors:
        """Returns the exact top `k` of the first `num_rows` rows; see `AppendableIndex.search`."""
        published = self._published
        num_rows = checked_bound(num_rows, published.num_rows)
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed = checks.check_allowed(allowed, num_rows)
        vectors = published.buffer[:num_rows]
        return exact_search(vectors, queries, k, allowed=allowed, largest_norm=published.largest_norm)


def checked_bound(num_rows: int | None, published: int) -> int:
    """Returns the row count a search is bounded by.

    Raises:
        InvalidQueryError: It is negative or above the published count.
    """
    if num_rows is None:
        return published
    if not 0 <= num_rows <= published:
        raise InvalidQueryError(f"num_rows is {num_rows}; want 0 to the {published} rows published")
    return num_rows


def margin_per_length(dim: int, largest_norm: float) -> float:
    """Returns the margin of a query of length 1; see `product_margins`."""
    # Two ways to sum dim products differ by at most 2 * dim * unit roundoff * |q||v|. The k-th score and a row's own
    # may each be off by that, hence twice; the rest of the factor covers second order terms.
    return 6.0 * dim * _UNIT_ROUNDOFF * largest_norm


def product_margins(queries: FloatArray, largest_norm: float) -> NDArray[np.float64]:
    """Returns how far a matrix product may set two rows apart that the kernel scores alike, [num_queries] float64.

    Args:
        queries: [num_queries, dim] float32.
        largest_norm: Greatest length of a vector.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    margins: NDArray[np.float64] = margin_per_length(queries.shape[1], largest_norm) * lengths
    return margins


def product_lines(vectors: FloatArray, queries: FloatArray) -> FloatArray:
    """Returns the products of each query with all vectors, [num_queries, num_rows] float32."""
    # One line is a product with a vector: faster than one with a matrix of one row.
    lines: FloatArray = np.dot(vectors, queries[0]).reshape(1, -1) if len(queries) == 1 else queries @ vectors.T
    return lines


def _scanned(vectors: FloatArray, queries: FloatArray, k: int, *, allowed: RowBitmap | None, norm: float) -> LineScan:
    """Returns every row that may be in the top k of each query by the kernel's scores."""
    scan = LineScan(k, product_margins(queries, norm))
    size = max(4096, _BLOCK_SCORES // queries.shape[0])
    for start in range(0, vectors.shape[0], size):
        stop = min(start + size, vectors.shape[0])
        if allowed is None:
            scan.add(product_lines(vectors[start:stop], queries), first=start)
            continue
        part = bitmap.to_mask(allowed, start, stop)
        num_allowed = np.count_nonzero(part)
        if _share(queries.shape[0]) * num_allowed >= part.size:
            scan.add(product_lines(vectors[start:stop], queries), first=start, allowed=bitmap.from_mask(part))
        elif num_allowed:  # only these are copied and read
            rows = start + np.flatnonzero(part)
            scan.add(product_lines(vectors[rows], queries), rows=rows)
    return scan


def _share(num_queries: int) -> int:
    """Returns of which share of the rows a copy takes about as long as products with all; rounded from 64 dimensions.

    A single query does little more than read rows, which is much faster in order; many queries share one copy.
    """
    if num_queries == 1:
        return 8
    return 4 if num_queries < _MANY_QUERIES else 2
