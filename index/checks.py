"""What comes into an index is checked here, once: vectors, queries, `k` and row bitmaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from index import bitmap
from index.errors import InvalidQueryError, InvalidVectorError
from index.protocols import FloatArray, RowBitmap

_BLOCK_ROWS = 65_536


def as_matrix(vectors: ArrayLike, *, dim: int | None, what: str) -> FloatArray:
    """Returns `vectors` as C-contiguous float32 [n, dim], without a copy where it already is.

    Args:
        vectors: Array of two axes.
        dim: Length wanted of each vector; None takes any.
        what: Name of the argument, for the message.

    Raises:
        InvalidVectorError: The shape is another, or there are no numbers in it.
    """
    try:
        matrix: FloatArray = np.ascontiguousarray(np.asarray(vectors), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidVectorError(f"{what} cannot be read as float32: {error}; want rows of numbers") from None
    if matrix.ndim != 2 or matrix.shape[1] == 0 or (dim is not None and matrix.shape[1] != dim):
        wanted = f"[n, {dim}]" if dim is not None else "[n, dim] with dim >= 1"
        raise InvalidVectorError(f"{what} has shape {list(matrix.shape)}; want {wanted}: use the model of this index")
    return matrix


def largest_norm(vectors: FloatArray, *, what: str, names: Sequence[str] | None = None) -> float:
    """Checks that every vector is finite and not zero, and returns the greatest length.

    Args:
        vectors: [n, dim] float32.
        what: Name of the argument, for the message.
        names: [n] item ids, for the message.

    Raises:
        InvalidVectorError: A vector is NaN, infinite, zero, or too large or too small for float32 scores.
    """
    largest = 0.0
    for start in range(0, vectors.shape[0], _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        squares = np.einsum("ij,ij->i", block, block)
        bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
        if bad.size:
            row = start + int(bad[0])
            place = f"{what}[{row}]" if names is None else f"{what}[{row}] (item {names[row]!r})"
            raise InvalidVectorError(f"{place} {_fault(vectors[row])}; want a finite vector that is not zero")
        largest = max(largest, float(squares.max()))
    return float(np.sqrt(largest))


def check_k(k: int) -> None:
    """Checks how many neighbors are wanted.

    Raises:
        InvalidQueryError: `k` is below 1, or no whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise InvalidQueryError(f"k is {k!r}; want a whole number, at least 1")
    if k < 1:
        raise InvalidQueryError(f"k is {k}; want at least 1")


def check_queries(queries: ArrayLike, k: int, *, dim: int) -> FloatArray:
    """Returns queries as C-contiguous float32 [num_queries, dim].

    Raises:
        InvalidVectorError: A query is not finite, is too large for float32 scores, or has another dimension.
        InvalidQueryError: `k` is below 1, or no whole number.
    """
    check_k(k)
    matrix = as_matrix(queries, dim=dim, what="queries")
    # Rows are checked alike, so no score, nor any part of its sum, is beyond float32: |q.v| <= |q| |v|.
    if matrix.shape[0] == 1 and math.isfinite(np.dot(matrix[0], matrix[0])):
        return matrix  # for one query the arrays below take several times as long
    finite = np.isfinite(np.einsum("ij,ij->i", matrix, matrix))
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise InvalidVectorError(f"queries[{row}] {_fault(matrix[row])}; want finite values")
    return matrix


def check_allowed(allowed: RowBitmap | None, num_rows: int) -> RowBitmap | None:
    """Returns a bitmap that covers `num_rows` rows as contiguous bytes, without a copy where it already is.

    Raises:
        InvalidQueryError: It is too short or not of bytes.
    """
    if allowed is None:
        return None
    wanted = f"want uint8 of at least {bitmap.num_bytes(num_rows)} bytes for {num_rows} rows"
    if not isinstance(allowed, np.ndarray):
        raise InvalidQueryError(f"allowed is a {type(allowed).__name__}; {wanted}, as index.bitmap makes it")
    if allowed.dtype != np.uint8 or allowed.ndim != 1 or allowed.size < bitmap.num_bytes(num_rows):
        raise InvalidQueryError(f"allowed is {allowed.dtype} of shape {list(allowed.shape)}; {wanted}")
    return np.ascontiguousarray(allowed)


def count_allowed(allowed: RowBitmap | None, num_rows: int) -> tuple[RowBitmap | None, int]:
    """Returns what `check_allowed` does, and how many of `num_rows` rows it allows; raises as that does."""
    allowed = check_allowed(allowed, num_rows)
    return allowed, num_rows if allowed is None else bitmap.count(allowed, num_rows)


def _fault(vector: FloatArray) -> str:
    for name, where in (("NaN", np.isnan(vector)), ("infinite", np.isinf(vector))):
        if where.any():
            return f"is {name} at position {int(np.flatnonzero(where)[0])}"
    if not vector.any():
        return "is zero"
    return f"has values too far from 1 for float32 (largest magnitude {float(np.abs(vector).max()):g})"
