"""Ids with a row of their own: the lookup of an id table, which Deep Hash Embedding does without.

With `towers.id_encoder = "table"`, which is there to be measured against, the table holds one trained row for each id
that was seen in training, so the model grows with the catalogue, by 8 + 4 x dim bytes an id. With `"hybrid"` it holds
those of the most frequent ids alone, as many as `towers.hybrid_rows`, which bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recall.model.codes import IdArray


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTable:
    """The known ids.

    Attributes:
        hashes: [num_ids] uint64, ascending, each once; the place of an id's hash plus 1 is its row.
    """

    hashes: IdArray

    @classmethod
    def of(cls, hashes: IdArray) -> IdTable:
        """Takes the hashes of the known ids in any order."""
        return cls(hashes=np.unique(hashes))

    @classmethod
    def of_most_frequent(cls, hashes: IdArray, counts: NDArray[np.int64], *, num_ids: int) -> IdTable:
        """Takes the `num_ids` ids that are counted most, all where there are fewer; of equal counts the lower hash.

        Args:
            hashes: [n] uint64, each once.
            counts: [n] int64.
            num_ids: Most ids taken.
        """
        return cls.of(hashes[np.lexsort((hashes, -counts))[:num_ids]])

    def __len__(self) -> int:
        """Returns the number of known ids."""
        return len(self.hashes)

    def rows(self, hashes: IdArray) -> NDArray[np.int64]:
        """Returns the row of each id, [n] int64 from 1; 0 for an unknown one."""
        places = np.searchsorted(self.hashes, hashes)
        is_known = np.zeros(len(hashes), dtype=np.bool_)
        inside = places < len(self.hashes)
        is_known[inside] = self.hashes[places[inside]] == hashes[inside]
        return np.where(is_known, places + 1, 0).astype(np.int64)
