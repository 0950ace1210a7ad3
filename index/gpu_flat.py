"""Exact search on a GPU through FAISS, with the rows and floats of exact search on the CPU.

The GPU finds some rows more than are wanted. Its products are off by no more than the rounding margin of
`index.flat.product_margins`; so where the last row found scores below the k-th by more than that, every row of the
exact top k was found, and `index.rescore` puts them in order. Otherwise, as among thousands of equal rows, the query is
searched on the CPU.

Under a row bitmap the GPU finds so many more that enough are allowed; where that is more than it can, the allowed rows
are scanned on the CPU. Nothing is written to disk: the vectors are copied to the GPU again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import bitmap, checks
from index.flat import FlatIndex, product_margins
from index.gpu import MOST, DeviceCopy, flat_on_gpu
from index.mapped import ranked
from index.parameter_values import retuned_values
from index.protocols import FloatArray, Neighbors, Parameters, RowArray, RowBitmap

_SPARE = 32
_SPARE_SHARE = 1.25
"""Rows fetched beyond those expected to be needed: so many more, and this many times as many under a bitmap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFlatParameters:
    """Exact search has no parameters."""

    def as_dict(self) -> Mapping[str, int]:
        """Returns nothing."""
        return {}


class GpuFlatIndex:
    """Exact search over rows that never change, on a GPU."""

    kind = "gpu_flat"

    def __init__(self, exact: FlatIndex, copy: DeviceCopy) -> None:
        """Takes the rows and a copy of them on a device; use `build` or `load`."""
        self._exact = exact
        self._copy = copy

    @classmethod
    def build(cls, vectors: FloatArray, parameters: GpuFlatParameters | None = None) -> GpuFlatIndex:
        """Copies vectors to the GPU.

        Args:
            vectors: [num_rows, dim] float32; kept, may be a memory map.
            parameters: There are none.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
            MissingBackendError: FAISS is not installed or sees no GPU.
        """
        exact = FlatIndex(vectors)
        return cls(exact, flat_on_gpu(exact.vectors, kind=cls.kind))

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: GpuFlatParameters | None = None) -> GpuFlatIndex:
        """Copies vectors to the GPU again; see `build`."""
        return cls.build(vectors, parameters)

    def save(self, folder: Path) -> None:
        """Writes nothing: the vectors are all there is."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._exact.dim

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return self._exact.num_rows

    def parameters(self) -> Parameters:
        """Returns nothing: exact search has no parameters."""
        return {}

    def retuned(self, **search_parameters: Any) -> GpuFlatIndex:
        """Returns the index itself: a search has no parameters.

        Raises:
            InvalidIndexConfigError: One is given.
        """
        retuned_values(GpuFlatParameters(), search_parameters, kind=self.kind, names=())
        return self

    def resident_bytes(self) -> int:
        """Returns the bytes of the vectors, which lie on the GPU."""
        return int(self._exact.vectors.nbytes)

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns the exact top `k`; see `VectorIndex.search`."""
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed, num_allowed = checks.count_allowed(allowed, self.num_rows)
        wanted = min(k, num_allowed)
        num_fetched = self._num_fetched(wanted, num_allowed)
        if wanted == num_allowed or num_fetched > MOST:
            return self._exact.search(queries, k, allowed=allowed)
        scores, rows = self._copy.search(queries, num_fetched)
        if allowed is not None:
            rows = np.where(bitmap.to_mask(allowed, 0, self.num_rows)[rows], rows, -1)
        found = ranked(queries, self._exact.vectors, rows, min(k, self.num_rows))
        doubtful = np.flatnonzero(~self._proven(queries, scores, rows, wanted))
        if doubtful.size:
            found.put(doubtful, self._exact.search(queries[doubtful], k, allowed=allowed))
        return found

    def _num_fetched(self, wanted: int, num_allowed: int) -> int:
        if num_allowed == self.num_rows:
            return min(wanted + _SPARE, self.num_rows)
        expected = math.ceil(_SPARE_SHARE * wanted * self.num_rows / max(num_allowed, 1))
        return min(expected + _SPARE, self.num_rows)

    def _proven(self, queries: FloatArray, scores: FloatArray, rows: RowArray, wanted: int) -> NDArray[np.bool_]:
        """Returns for which queries no row that was left out can belong to the result, [num_queries] bool."""
        if rows.shape[1] == self.num_rows:
            return np.ones(rows.shape[0], dtype=np.bool_)
        held = rows >= 0
        last_wanted = held & (np.cumsum(held, axis=1) == wanted)
        least = np.where(last_wanted, scores, -np.inf).max(axis=1).astype(np.float64)
        margins = product_margins(queries, self._exact.largest_norm)
        proven: NDArray[np.bool_] = scores[:, -1] < least - margins
        return proven
