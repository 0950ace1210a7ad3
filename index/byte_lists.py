"""Rows in inverted lists, a byte a value: what a row is off from the centroid of its list, in steps of the list.

Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011, section IV, with a code of its own for
each dimension in place of products: these are read as fast as memory gives them (`index.byte_list_kernels`). FAISS
finds the centroids; searching and reading do without it.

On disk, in place of a copy of the vectors: `centroids.npy` float32 [lists, dim], `steps.npy` float32 [dim],
`scales.npy` float32 and `sizes.npy` int64 [lists], and of the rows, list by list and ascending within one, `rows.npy`
int32 [n] and `codes.npy` uint8 [n, stride].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import load_array
from index.byte_list_kernels import probe
from index.errors import SnapshotDamagedError
from index.flat import FlatIndex
from index.protocols import FloatArray, RowArray, RowBitmap
from index.quantised import ByteArray, ByteCodes
from index.simd import aligned_zeros, padded
from index.turns import in_turns

_BLOCK_ROWS = 1024
_MOST, _ZERO = 127, 128
_EVERY_ROW: RowBitmap = np.empty(0, dtype=np.uint8)
_POOL = 4
"""Room for candidates, for each one wanted, before the worst are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteLists:
    """Codes in lists.

    Attributes:
        centroids: [lists, dim] float32.
        coarse: Codes of the centroids, to rank them by.
        offsets: [lists + 1] int64, where the rows of each list begin.
        rows: [n] int32, the rows of one list after the other.
        codes: [n, stride] uint8, theirs: row = centroid + steps * scale of the list * (code - 128), rounded; what is
            beyond dim is 0.
        steps: [dim] float32, what one step of a code is worth in each dimension, in the widest list.
        scales: [lists] float32, what of that it is worth in each list, at most 1.
    """

    centroids: FloatArray
    coarse: ByteCodes
    offsets: RowArray
    rows: NDArray[np.int32]
    codes: ByteArray
    steps: FloatArray
    scales: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, centroids: FloatArray, numbers: RowArray) -> ByteLists:
        """Codes rows, [n, dim] float32, read in blocks, of which each belongs to the list of its number."""
        num_rows, dim = vectors.shape
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, num_rows, _BLOCK_ROWS)]

        def off(some: slice) -> FloatArray:
            residuals: FloatArray = vectors[some] - centroids[numbers[some]]
            return residuals

        most = np.zeros(dim, dtype=np.float32)
        for some in blocks:
            np.maximum(most, np.abs(off(some)).max(axis=0), out=most)
        steps = np.where(most > np.finfo(np.float32).tiny, most / _MOST, np.float32(0)).astype(np.float32)
        factors = np.divide(1, steps, out=np.zeros_like(steps), where=steps > 0)
        scales = np.zeros(centroids.shape[0], dtype=np.float32)
        for some in blocks:
            np.maximum.at(scales, numbers[some], np.abs(off(some) * factors).max(axis=1) / _MOST)
        order = np.argsort(numbers, kind="stable").astype(np.int32)
        places = np.empty(num_rows, dtype=np.int64)
        places[order] = np.arange(num_rows)
        codes = aligned_zeros(num_rows, padded(dim))
        for some in blocks:
            worth = np.maximum(scales[numbers[some]], np.finfo(np.float32).tiny)  # rows of scale 0 are centroids
            codes[places[some], :dim] = np.rint(off(some) * factors / worth[:, None]) + _ZERO
        sizes = np.bincount(numbers, minlength=centroids.shape[0])
        return cls._of_parts(centroids, (steps, scales), sizes, order, codes)

    @classmethod
    def _of_parts(
        cls,
        centroids: FloatArray,
        steps: tuple[FloatArray, FloatArray],
        sizes: RowArray,
        rows: NDArray[np.int32],
        codes: ByteArray,
    ) -> ByteLists:
        offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes)))
        coarse = ByteCodes.of(centroids)
        return cls(
            centroids=centroids,
            coarse=coarse,
            offsets=offsets,
            rows=rows,
            codes=codes,
            steps=steps[0],
            scales=steps[1],
        )

    @property
    def num_lists(self) -> int:
        """Lists, empty ones included."""
        return int(self.centroids.shape[0])

    def nearest(self, queries: FloatArray) -> RowArray:
        """Returns all lists, nearest first, [num_queries, lists] int64."""
        order: RowArray = np.argsort(-(queries @ self.centroids.T), axis=1, kind="stable")
        return order

    def numbers(self, rows: RowArray) -> RowArray:
        """Returns the list of each of some rows, int64."""
        numbers = np.empty(self.rows.size, dtype=np.int64)
        numbers[self.rows] = np.repeat(np.arange(self.num_lists), np.diff(self.offsets))
        listed: RowArray = numbers[rows]
        return listed

    def probe(
        self, queries: FloatArray, num_wanted: int, probes: int, *, threads: int, allowed: RowBitmap | None
    ) -> RowArray:
        """Returns what lists hold, [num_queries, num_wanted] int64, -1 where they hold too few; see `Lists.probe`."""
        found = np.empty((queries.shape[0], num_wanted), dtype=np.int64)

        def take(turn: slice) -> None:
            probe(
                queries[turn],
                self.centroids,
                self.coarse.codes,
                self.coarse.steps,
                self.offsets,
                self.rows,
                self.codes,
                self.steps,
                self.scales,
                _EVERY_ROW if allowed is None else allowed,
                probes,
                np.zeros(self.codes.shape[1], dtype=np.int8),
                np.empty(self.num_lists, dtype=np.int64),
                np.empty(_POOL * num_wanted + 1, dtype=np.int64),
                found[turn],
            )

        in_turns(take, queries.shape[0], threads=threads)
        return found

    def resident_bytes(self) -> int:
        """Returns the bytes of codes, rows and centroids."""
        of_lists = (self.centroids, self.coarse.codes, self.coarse.steps, self.offsets, self.scales)
        return sum(part.nbytes for part in (*of_lists, self.rows, self.codes, self.steps))

    def save(self, folder: Path) -> None:
        """Writes the files at the top of this module."""
        sizes = np.diff(self.offsets)
        for name, array in zip(
            _FILES, (self.centroids, self.steps, self.scales, sizes, self.rows, self.codes), strict=True
        ):
            np.save(folder / name, np.asarray(array), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, exact: FlatIndex) -> ByteLists:
        """Reads what `save` wrote of these vectors.

        Raises:
            SnapshotDamagedError: A file is missing, cut, or of other rows.
        """
        paths = [folder / name for name in _FILES]
        centroids = load_array(paths[0], np.float32, num_axes=2)
        steps, scales = (load_array(path, np.float32, num_axes=1) for path in paths[1:3])
        sizes, rows = load_array(paths[3], np.int64, num_axes=1), load_array(paths[4], np.int32, num_axes=1)
        codes = load_array(paths[5], np.uint8, num_axes=2, mapped=True)
        num_rows, dim = exact.num_rows, exact.dim
        shapes = (centroids.shape[1], steps.size, rows.size, *codes.shape)
        wanted = (dim, dim, num_rows, num_rows, padded(dim))
        of_lists = {sizes.size, scales.size, centroids.shape[0]}
        if shapes != wanted or len(of_lists) > 1 or sizes.min(initial=0) < 0 or sizes.sum() != num_rows:
            raise SnapshotDamagedError(
                f"{folder} holds lists of {rows.size} rows x {steps.size}; want {num_rows} x {dim}, each row in one "
                "list; rebuild or restore it"
            )
        if not np.array_equal(np.sort(rows), np.arange(num_rows)):
            raise SnapshotDamagedError(f"{paths[4]} lacks a row or has one twice; rebuild or restore it")
        aligned = aligned_zeros(*codes.shape)
        aligned[:] = codes
        return cls._of_parts(centroids, (steps, scales), sizes, rows, aligned)


_FILES = ("centroids.npy", "steps.npy", "scales.npy", "sizes.npy", "rows.npy", "codes.npy")
