"""Compiled products of a query with rows and with their codes of a byte a value (`index.quantised`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.graph_simd import byte_product
from index.protocols import FloatArray
from index.simd import LINE

_Int: TypeAlias = int | np.int64
_Float: TypeAlias = float | np.float32
_Function = TypeVar("_Function", bound=Callable[..., object])


def njit_uncounted(*signature: Any, **options: Any) -> Callable[[_Function], _Function]:
    """Compiles a function that makes no array: references to arrays are not counted, which took half of a walk."""
    return cast(Callable[[_Function], _Function], njit(*signature, **{"nogil": True, "_nrt": False, **options}))


@njit_uncounted(forceinline=True, fastmath={"reassoc", "contract", "nsz"})
def product(queries: FloatArray, query: _Int, vectors: FloatArray, row: _Int) -> _Float:
    """Returns the inner product of a query with a row, in an order of sums of its own."""
    total = np.float32(0)
    for d in range(queries.shape[1]):
        total += queries[query, d] * vectors[row, d]
    return total


@njit_uncounted(forceinline=True)
def encode(query: FloatArray, steps: FloatArray, code: NDArray[np.int8]) -> _Float:
    """Writes a query as signed bytes, to be multiplied with codes of these steps; returns what 1 of a product is worth.

    Up to a sum that all rows share, which the least values of the dimensions make.
    """
    largest = 0.0
    for d in range(query.size):
        largest = max(largest, abs(np.float64(query[d]) * steps[d]))
    scale = 127 / largest if largest > 0 else 0.0
    for d in range(query.size):
        code[d] = np.int8(np.rint(np.float64(query[d]) * steps[d] * scale))
    return np.float32(largest / 127)


@njit_uncounted(forceinline=True)
def coded_product(codes: NDArray[np.uint8], row: _Int, code: NDArray[np.int8]) -> _Int:
    """Returns the product of a row of codes with the code of a query."""
    total = np.int64(0)
    for at in range(0, codes.shape[1], LINE):
        total += byte_product(codes, row * codes.shape[1] + at, code, at)
    return total
