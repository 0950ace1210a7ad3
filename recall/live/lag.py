"""How far the searches of a server are behind the catalogue, in time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

_MAX_NOTES = 4095


class Lag:
    """For how long the oldest write that searches lack has been in the catalogue, as far as that was looked at.

    The catalogue does not say when a write was made, so what counts is the first look that saw it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Starts without any lag; `clock` counts seconds."""
        self._clock = clock
        self._lock = Lock()
        self._seen: deque[tuple[int, float]] = deque()  # last writes that searches lacked, ascending, and when seen
        self._committed = 0

    @property
    def committed(self) -> int:
        """Last write in the catalogue at the last look; 0 before the first."""
        return self._committed

    def note(self, *, committed: int, visible: int) -> float:
        """Takes what was seen at this moment.

        Args:
            committed: Last write in the catalogue.
            visible: Last write that searches reflect, read after `committed`.

        Returns:
            The lag in seconds; 0 where searches reflect every write.
        """
        with self._lock:
            now, self._committed = self._clock(), committed
            if committed > visible and (not self._seen or committed > self._seen[-1][0]):
                self._seen.append((committed, now))
            while self._seen and self._seen[0][0] <= visible:
                self._seen.popleft()
            if len(self._seen) > _MAX_NOTES:  # two as one, from the time of the first: never less than the lag
                notes = [*self._seen]
                self._seen = deque(
                    (last, first_at) for (_, first_at), (last, _) in zip(notes[::2], notes[1::2], strict=True)
                )
            return now - self._seen[0][1] if self._seen else 0.0
