"""Keeps a live index quick while it is written: hashes a large fresh part, and merges it into a new base.

Both happen in one background thread of low priority, beside reads and writes (`LiveIndex.merge`). What is made is in
memory only: the catalogue and the snapshot on disk stay the truth, and a start begins from them again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from index.errors import VectorIndexError
from index.live import IndexCounts, LiveIndex
from recall.live.config import ServeConfig
from recall.live.periodic import LOW_PRIORITY, Periodic

_logger = logging.getLogger(__name__)
_FAILURES = (VectorIndexError, OSError, ValueError, RuntimeError, MemoryError)
"""What files and FAISS raise; none may end the thread."""
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepState:
    """What was done for the index that is served.

    Attributes:
        merges: New bases made of it in memory.
        merged_rows: Rows that these took from its fresh parts, and rows of old bases that they left out.
        last_merge_seconds: Time of the last one; 0 without any.
        last_error: Why the last merge, or the last hashing, failed; empty where it did not.
        is_merging: Whether one is under way.
    """

    merges: int = 0
    merged_rows: int = 0
    last_merge_seconds: float = 0.0
    last_error: str = ""
    is_merging: bool = False


def is_due(counts: IndexCounts, config: ServeConfig) -> bool:
    """Returns whether so much was written since the base was built that a merge is worth its time."""
    if counts.fresh + counts.deleted < config.merge_least_rows:
        return False
    if counts.fresh > config.merge_fresh_share * counts.items:
        return True
    return counts.deleted > config.merge_deleted_share * counts.base


class Upkeep:
    """Looks after the index that is served, in a thread of its own once `start` is called."""

    def __init__(self, index: Callable[[], LiveIndex], config: ServeConfig) -> None:
        """Takes where to find the index that is served now, and when to do what."""
        self._index = index
        self._config = config
        self._of: LiveIndex | None = None
        self._state = UpkeepState()
        self._resting_until = 0.0
        self._closed = False
        self._thread: Periodic | None = None

    @property
    def state(self) -> UpkeepState:
        """What was done for the index that is served now; nothing yet where it has just been switched to."""
        return self._state if self._of is self._index() else UpkeepState()

    def start(self) -> None:
        """Begins to look, at the configured interval."""
        seconds = self._config.upkeep_interval_seconds
        self._thread = Periodic(self.look, interval_seconds=seconds, name="recall-upkeep", niceness=LOW_PRIORITY)

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; what a merge under way makes is dropped, also where it takes longer than the timeout."""
        self._closed = True
        if self._thread is not None:
            self._thread.close(timeout_seconds=timeout_seconds)

    def look(self) -> None:
        """Does what is due; a failure leaves the index as it is and stands in the state."""
        index = self._index()
        if self._of is not index:
            self._of, self._state, self._resting_until = index, UpkeepState(), 0.0
        counts = index.counts()
        try:
            if self._config.merge and is_due(counts, self._config) and time.perf_counter() >= self._resting_until:
                self._merge(index, counts)
            elif 0 < self._config.hash_fresh_rows <= counts.fresh:
                index.hash_fresh()
        except _FAILURES as error:
            self._fail(f"{type(error).__name__}: {error}")

    def _merge(self, index: LiveIndex, counts: IndexCounts) -> None:
        start = time.perf_counter()
        self._state = replace(self._state, is_merging=True)
        try:
            in_place = index.merge(lambda: not self._closed and self._index() is index)
        finally:
            seconds = time.perf_counter() - start
            self._state = replace(self._state, is_merging=False)
        if in_place:
            self._resting_until = time.perf_counter() + seconds * (1 / self._config.merge_time_share - 1)
            self._state = replace(
                self._state,
                merges=self._state.merges + 1,
                merged_rows=self._state.merged_rows + counts.fresh + counts.deleted,
                last_merge_seconds=seconds,
                last_error="",
            )
            _logger.info("merged %d fresh and %d deleted rows in %.1f s", counts.fresh, counts.deleted, seconds)

    def _fail(self, error: str) -> None:
        if error != self._state.last_error:
            _logger.error("the index cannot be merged, trying again: %s; the old base goes on", error)
        self._resting_until = time.perf_counter() + _RETRY_SECONDS
        self._state = replace(self._state, last_error=error)
