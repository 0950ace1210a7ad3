"""The file of an LSH index: in which bucket of each table a row lies, so that reading it saves hashing.

`lsh_buckets.npy`: uint32 [n, tables], below 2^bits. Folders written before there was one are read by hashing. So are
those whose functions have become others: they are drawn from the seed by NumPy, which may draw otherwise one day. That
shows in the first rows, which are hashed to see.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.errors import SnapshotDamagedError
from index.lsh_families import Family
from index.lsh_tables import BucketArray
from index.protocols import FloatArray

BUCKETS = "lsh_buckets.npy"
_COMPARED = 64
_LEAST_ALIKE = 0.9
"""Share of the buckets of the first rows; on another processor a row at the rim of a bucket may fall into the next."""


def write_buckets(folder: Path, buckets: BucketArray) -> None:
    """Writes buckets, [n, tables] uint32."""
    np.save(folder / BUCKETS, buckets, allow_pickle=False)


def read_buckets(folder: Path, vectors: FloatArray, family: Family, *, tables: int) -> BucketArray | None:
    """Reads what `write_buckets` wrote for the same vectors; None where they have to be hashed.

    Args:
        folder: Where it was written.
        vectors: [n, dim] float32, of which the first few are read.
        family: Functions of the tables.
        tables: Number of tables.

    Returns:
        [n, tables] uint32, mapped.

    Raises:
        SnapshotDamagedError: The file is of other rows, tables or buckets, or no whole `.npy` file.
    """
    path = folder / BUCKETS
    if not path.exists():
        return None
    buckets = np.ascontiguousarray(load_array(path, np.uint32, num_axes=2, mapped=True))
    if buckets.shape != (vectors.shape[0], tables) or int(buckets.max(initial=0)) >> family.bits:
        raise SnapshotDamagedError(
            f"{path} holds {list(buckets.shape)} buckets up to {buckets.max(initial=0)}; want "
            f"[{vectors.shape[0]}, {tables}] below {1 << family.bits}; rebuild or restore it"
        )
    alike = buckets[:_COMPARED] == family.buckets(vectors[:_COMPARED])
    return buckets if not alike.size or float(alike.mean()) >= _LEAST_ALIKE else None
