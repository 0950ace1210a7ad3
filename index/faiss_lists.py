"""Inverted lists in FAISS, on the CPU or with a copy on a GPU.

FAISS pads short results with -1; `index.inverted_lists` lets none of those out. It knows no bitmaps on a GPU, so
searches under one stay on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from index.faiss_library import load_faiss, openmp_threads
from index.gpu import MOST, DeviceCopy
from index.list_building import assign
from index.protocols import FloatArray, RowArray, RowBitmap

if TYPE_CHECKING:
    import faiss

_ID_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FaissLists:
    """`Lists` of a FAISS index.

    Attributes:
        index: Trained and filled.
        vectors: [n, dim] float32, of its rows; may be a memory map.
        on_gpu: A copy of the index on a GPU, for searches of every row.
    """

    index: faiss.IndexIVF
    vectors: FloatArray
    on_gpu: DeviceCopy | None = None

    @property
    def num_lists(self) -> int:
        """Lists, empty ones included."""
        return int(self.index.nlist)

    def nearest(self, queries: FloatArray) -> RowArray:
        """Returns all lists, nearest first; see `Lists.nearest`."""
        order: RowArray = self.index.quantizer.search(queries, self.num_lists)[1]
        return order

    def numbers(self, rows: RowArray) -> RowArray:
        """Returns the list of each of some rows, int64."""
        return assign(self.index, self.vectors[rows])

    def probe(
        self, queries: FloatArray, num_wanted: int, probes: int, *, threads: int, allowed: RowBitmap | None
    ) -> RowArray:
        """Returns what lists hold; see `Lists.probe`."""
        if self.on_gpu is not None and allowed is None and max(num_wanted, probes) <= MOST:
            return self.on_gpu.search(queries, num_wanted, probes=probes)[1]
        library = load_faiss("ivf")
        selector = None if allowed is None else library.IDSelectorBitmap(allowed)
        parameters = library.IVFSearchParameters(nprobe=probes, sel=selector)
        # More threads than there are queries would only wait for each other, each taking a core.
        with openmp_threads(library, min(threads, queries.shape[0])):
            rows: RowArray = self.index.search(queries, num_wanted, params=parameters)[1]
        return rows

    def resident_bytes(self) -> int:
        """Returns the bytes of codes, rows and centroids; of the vectors a search reads few."""
        library = load_faiss("ivf")
        held = library.downcast_InvertedLists(self.index.invlists)
        sizes = np.array([held.list_size(number) for number in range(self.num_lists)], dtype=np.int64)
        if isinstance(held, library.BlockInvertedLists):
            codes = sum(_aligned_bytes(int(-(-size // held.n_per_block)) * held.block_size) for size in sizes)
        else:
            codes = int(sizes.sum()) * int(self.index.code_size)
        return int(codes + sizes.sum() * _ID_BYTES + self.num_lists * self.index.d * 4)


def _aligned_bytes(size: int) -> int:
    # FAISS rounds the room of a list of blocks up to a power of two, from 256 on.
    return 0 if size == 0 else max(256, 1 << (size - 1).bit_length())
