"""64-bit hashes of strings: xxh3_64 (seed 0) of `domain`, the byte 0x1f and `value`, in UTF-8.

This is the one place where a string becomes a number. Every id, category and token is hashed in a domain, so that
equal values of two domains are unrelated and equal values of one domain are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

SEPARATOR = b"\x1f"


def hash_values(domain: str, values: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes strings of one domain.

    Args:
        domain: Name of the domain, for example a column's name.
        values: The strings, in any order, repeated ones included.

    Returns:
        [len(values)] uint64, in the order of `values`.
    """
    return np.fromiter(hashes_of(domain, values), dtype=np.uint64, count=len(values))


def hashes_of(domain: str, values: Sequence[str]) -> list[int]:
    """Returns the same as numbers of Python: for a few strings, which an array takes as long to make as to hash."""
    prefix = domain.encode() + SEPARATOR
    digest = xxhash.xxh3_64_intdigest
    return [digest(prefix + value.encode()) for value in values]
