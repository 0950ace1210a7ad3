"""The queries that were asked last, for what is measured on queries as they are asked."""

from __future__ import annotations

import itertools

import numpy as np

from index.protocols import FloatArray

_KEPT = 160
_LEAST = 32
"""Fewer say too little of all."""


class RecentQueries:
    """One query of each of the newest searches; any thread may add."""

    def __init__(self, dim: int) -> None:
        """Starts empty, for queries of length `dim`."""
        self._vectors = np.empty((_KEPT, dim), dtype=np.float32)
        self._places = itertools.count()
        self._num_asked = 0

    def add(self, queries: FloatArray) -> None:
        """Keeps the first of checked queries, [num_queries, dim] float32."""
        if len(queries):
            place = next(self._places)  # each thread has one of its own
            self._vectors[place % _KEPT] = queries[0]
            self._num_asked = place + 1

    def vectors(self) -> FloatArray | None:
        """Returns a copy of those kept, [at most 160, dim] float32; None while they are fewer than 32."""
        held = min(self._num_asked, _KEPT)
        return self._vectors[:held].copy() if held >= _LEAST else None
