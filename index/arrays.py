"""Reading of `.npy` files, with damage named as such."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotDamagedError

_Scalar = TypeVar("_Scalar", bound=np.generic)


def load_array(path: Path, dtype: type[_Scalar], *, num_axes: int, mapped: bool = False) -> NDArray[_Scalar]:
    """Reads one `.npy` file, without pickle.

    Args:
        path: File to read.
        dtype: Type wanted of the values.
        num_axes: Axes wanted.
        mapped: Whether to map the file read-only instead of reading it.

    Raises:
        SnapshotDamagedError: It is missing, cut short or holds something else.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise SnapshotDamagedError(f"{path} is missing; rebuild or restore it") from None
    except (ValueError, EOFError, TokenError) as error:  # NumPy reads the header as Python
        raise SnapshotDamagedError(f"{path} is not a whole .npy file: {error}; rebuild or restore it") from None
    if array.dtype != dtype or array.ndim != num_axes:
        raise SnapshotDamagedError(
            f"{path} holds {array.dtype} {list(array.shape)}; want {np.dtype(dtype)} of {num_axes} axes; rebuild it"
        )
    return np.asarray(array)
