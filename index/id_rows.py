"""Rows by id, for many ids at a time: a sorted array of hashes of the ids, 12 bytes a row.

A list of ids that ascend can be bisected, but each step of that reads an id that lies anywhere in memory: some
microseconds an id of 500,000, and a history has many. Hashes are Python's own, of this process alone; ids whose hashes
are equal stand side by side and are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.protocols import RowArray


class IdRows:
    """Finds the rows of distinct ids."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        """Takes the ids by row, which nobody may change; fewer than 2^31."""
        hashes = _hashes(item_ids)
        order = np.argsort(hashes, kind="stable")
        self._item_ids = item_ids
        self._hashes = hashes[order]
        self._rows = order.astype(np.int32)

    def find(self, item_ids: Sequence[str]) -> RowArray:
        """Returns the row of each id, [len(item_ids)] int64; -1 for one that is not there."""
        rows = np.full(len(item_ids), -1, dtype=np.int64)
        if not len(self._item_ids):
            return rows
        hashes = _hashes(item_ids)
        places = np.searchsorted(self._hashes, hashes)
        there = self._hashes.take(places, mode="clip") == hashes
        rows[there] = self._rows[places[there]]
        known = self._item_ids
        for place in np.flatnonzero(there).tolist():
            if known[rows[place]] != item_ids[place]:
                rows[place] = self._among_equal(item_ids[place], int(places[place]))
        return rows

    def _among_equal(self, item_id: str, place: int) -> int:
        """Returns the row of an id whose hash stands at `place` and on, or -1."""
        hashed = self._hashes[place]
        while place < self._hashes.size and self._hashes[place] == hashed:
            row = int(self._rows[place])
            if self._item_ids[row] == item_id:
                return row
            place += 1
        return -1


def _hashes(item_ids: Sequence[str]) -> RowArray:
    return np.fromiter(map(hash, item_ids), dtype=np.int64, count=len(item_ids))
