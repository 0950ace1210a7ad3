"""Arrays that grow at their end, for one writer beside readers, whose shorter arrays stay as they are."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


def with_room(array: NDArray[_Scalar], size: int) -> NDArray[_Scalar]:
    """Returns the array itself, or one at least twice as long that begins with the same values; one axis."""
    if size <= array.size:
        return array
    longer = np.empty(max(size, 2 * array.size), dtype=array.dtype)
    longer[: array.size] = array
    return longer
