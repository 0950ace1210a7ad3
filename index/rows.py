"""The row table of a snapshot: what row r of every space is.

Files below one folder, all NumPy `.npy` format 1.0, little-endian, C order:

- `ids.npy`: uint8 [num_bytes], the item ids in UTF-8, joined without separator, strictly ascending in byte order.
- `id_offsets.npy`: int64 [n + 1], id r is bytes `id_offsets[r]` to `id_offsets[r + 1]`.
- `popularity.npy`: int64 [n], training and recorded interactions of each item.
- the files of `index.attribute_files`, where the items have attributes; older row tables have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import load_array
from index.attribute_files import load_attributes, save_attributes
from index.attributes import Attributes
from index.errors import InvalidQueryError, SnapshotDamagedError
from index.protocols import RowArray

_IDS, _OFFSETS, _POPULARITY = "ids.npy", "id_offsets.npy", "popularity.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTable:
    """Ids, counts and attributes by row.

    Attributes:
        id_bytes: [num_bytes] uint8.
        id_offsets: [n + 1] int64.
        popularity: [n] int64.
        attributes: n rows of them; None where there are none, not even columns.
    """

    id_bytes: NDArray[np.uint8]
    id_offsets: RowArray
    popularity: RowArray
    attributes: Attributes | None = None

    @classmethod
    def from_items(
        cls, item_ids: Sequence[str], popularity: RowArray, *, attributes: Attributes | None = None
    ) -> RowTable:
        """Packs ids that strictly ascend, [n], with their counts, [n] int64, and n rows of attributes.

        Raises:
            InvalidQueryError: Ids do not ascend, one is empty, or the lengths differ.
        """
        if attributes is not None and attributes.num_rows != len(item_ids):
            raise InvalidQueryError(f"{len(item_ids)} item_ids and {attributes.num_rows} attributes; want one row each")
        if len(item_ids) != len(popularity):
            raise InvalidQueryError(f"{len(item_ids)} item_ids and {len(popularity)} popularity counts; want one each")
        encoded = [item_id.encode("utf-8") for item_id in item_ids]
        for row, name in enumerate(encoded):
            if name <= (encoded[row - 1] if row else b""):
                raise InvalidQueryError(f"item_ids[{row}] {item_ids[row]!r} is empty or out of order; sort ids first")
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(name) for name in encoded], out=offsets[1:])
        return cls(
            id_bytes=np.frombuffer(b"".join(encoded), dtype=np.uint8),
            id_offsets=offsets,
            popularity=np.asarray(popularity, dtype=np.int64),
            attributes=attributes,
        )

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return int(self.popularity.size)

    def item_ids(self) -> list[str]:
        """Returns the ids by row, decoded."""
        joined, offsets = self.id_bytes.tobytes(), self.id_offsets.tolist()
        return [joined[start:stop].decode("utf-8") for start, stop in pairwise(offsets)]

    def save(self, folder: Path) -> None:
        """Writes the files below `folder`, which exists."""
        np.save(folder / _IDS, self.id_bytes, allow_pickle=False)
        np.save(folder / _OFFSETS, self.id_offsets, allow_pickle=False)
        np.save(folder / _POPULARITY, self.popularity, allow_pickle=False)
        if self.attributes is not None:
            save_attributes(folder, self.attributes)

    @classmethod
    def load(cls, folder: Path) -> RowTable:
        """Reads what `save` wrote.

        Raises:
            SnapshotDamagedError: A file is missing, unreadable or does not fit the others.
            SnapshotMismatchError: The attributes are of another format version.
        """
        id_bytes = load_array(folder / _IDS, np.uint8, num_axes=1)
        offsets = load_array(folder / _OFFSETS, np.int64, num_axes=1)
        popularity = load_array(folder / _POPULARITY, np.int64, num_axes=1)
        if offsets.size != popularity.size + 1 or offsets[0] != 0 or offsets[-1] != id_bytes.size:
            raise SnapshotDamagedError(
                f"{folder / _OFFSETS} has {offsets.size} offsets up to {offsets[-1:].tolist()} for "
                f"{popularity.size} rows and {id_bytes.size} bytes of ids; rebuild or restore it"
            )
        attributes = load_attributes(folder, popularity.size)
        return cls(id_bytes=id_bytes, id_offsets=offsets, popularity=popularity, attributes=attributes)
