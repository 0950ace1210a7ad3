"""FAISS, which comes as an extra: imported on first use, its files read with damage named as such."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from index.errors import MissingBackendError, SnapshotDamagedError

if TYPE_CHECKING:
    import faiss


def load_faiss(kind: str) -> ModuleType:
    """Returns the module `faiss`.

    Args:
        kind: Name of the kind of index that needs it, for the message.

    Raises:
        MissingBackendError: FAISS is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingBackendError(
            f"the kind {kind} needs FAISS, which cannot be imported ({error}); pip install 'dhe-recall[cpu]' "
            "(or [gpu]), or choose the kind flat or lsh"
        ) from error
    return faiss


def load_gpu_faiss(kind: str) -> ModuleType:
    """Returns the module `faiss` where it was built for GPUs and sees one.

    Raises:
        MissingBackendError: FAISS is not installed, is built for the CPU alone, or sees no GPU.
    """
    faiss = load_faiss(kind)
    # FAISS of every build has this function; in one for the CPU alone it returns 0.
    if faiss.get_num_gpus() == 0:
        raise MissingBackendError(
            f"the kind {kind} on a GPU needs one that FAISS sees, but FAISS {faiss.__version__} sees 0; "
            "pip install 'dhe-recall[gpu]' on a machine with a CUDA device, or search on the CPU"
        )
    return faiss


def read_index(path: Path, *, kind: str) -> faiss.Index:
    """Reads an index in FAISS's format.

    Raises:
        SnapshotDamagedError: The file is missing, cut short or of another format.
        MissingBackendError: FAISS is not installed.
    """
    library = load_faiss(kind)
    try:
        index: faiss.Index = library.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise SnapshotDamagedError(f"{path} is no whole FAISS index: {error}; rebuild or restore it") from None
    return index


def num_threads(threads: int) -> int:
    """Returns `threads`, or the number of cores for 0."""
    return threads or _num_cores()


@cache  # asked anew it takes longer than a search of one query spends outside of FAISS
def _num_cores() -> int:
    return os.cpu_count() or 1


@contextmanager
def openmp_threads(library: ModuleType, threads: int) -> Iterator[None]:
    """Lets FAISS take some threads until the end of the block, and leaves the number as it was.

    The number is OpenMP's, held by calling thread and shared with every other library that uses OpenMP. PyTorch does:
    with another number it splits products otherwise, so that after a search a model made other last bits of the same
    vector, and the same query got other scores than before.

    Args:
        library: FAISS.
        threads: How many, at least 1.
    """
    before = library.omp_get_max_threads()
    library.omp_set_num_threads(threads)
    try:
        yield
    finally:
        library.omp_set_num_threads(before)
