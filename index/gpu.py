"""Copies of FAISS indexes on a GPU, searched by one thread at a time.

A GPU gives other floats than the CPU, within float32 rounding (FAISS multiplies in whole float32 there), so what it
finds are candidates; who asked ranks them by `index.rescore`. FAISS's GPU indexes know no row bitmaps, take at most
`MOST` rows and lists a query, and share their working memory between calls, which therefore take turns.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from index.faiss_library import load_faiss, load_gpu_faiss
from index.protocols import FloatArray, RowArray

if TYPE_CHECKING:
    import faiss

MOST = 2048
"""Rows that FAISS selects, and lists that it reads, for one query on a GPU."""
_BLOCK_ROWS = 65_536


class DeviceCopy:
    """A FAISS index that one thread searches at a time."""

    def __init__(self, index: faiss.Index) -> None:
        """Takes an index on a device; use `flat_on_gpu` or `lists_on_gpu`."""
        self._index = index
        self._turn = Lock()

    def search(self, queries: FloatArray, num_wanted: int, *, probes: int | None = None) -> tuple[FloatArray, RowArray]:
        """Returns scores and rows, [num_queries, num_wanted] each, scores descending and -1 for rows that are missing.

        Args:
            queries: [num_queries, dim] float32.
            num_wanted: At most `MOST`.
            probes: Lists read, at most `MOST`; None where the index has none.
        """
        assert max(num_wanted, probes or 0) <= MOST
        library = load_faiss("gpu_flat")
        parameters = None if probes is None else library.IVFSearchParameters(nprobe=probes)
        with self._turn:
            scores, rows = self._index.search(queries, num_wanted, params=parameters)
        return scores, rows


def flat_on_gpu(vectors: FloatArray, *, kind: str) -> DeviceCopy:
    """Copies vectors, [num_rows, dim] float32, to the first GPU in blocks.

    Raises:
        MissingBackendError: FAISS is not installed or sees no GPU.
    """
    library = load_gpu_faiss(kind)
    config = library.GpuIndexFlatConfig()
    config.use_cuvs = False
    index = library.GpuIndexFlatIP(library.StandardGpuResources(), vectors.shape[1], config)
    for start in range(0, vectors.shape[0], _BLOCK_ROWS):
        index.add(np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS]))
    return DeviceCopy(index)


def lists_on_gpu(lists: faiss.IndexIVF, *, kind: str) -> DeviceCopy:
    """Copies inverted lists to the first GPU.

    Raises:
        MissingBackendError: FAISS is not installed or sees no GPU.
    """
    library = load_gpu_faiss(kind)
    options = library.GpuClonerOptions()
    options.use_cuvs = False
    return DeviceCopy(library.index_cpu_to_gpu(library.StandardGpuResources(), 0, lists, options))
