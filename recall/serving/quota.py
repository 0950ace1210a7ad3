"""How many requests a second one name may make: a bucket that fills evenly and holds one second's worth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from recall.errors import QuotaError


class Quota:
    """Requests of all tokens of one name; threads may share it.

    The bucket holds `requests_per_second`, at least 1, and starts full. A call is taken while it holds a whole request.
    A batch is known to be one only once it was read: its further entries are then taken too, below zero where need be,
    and have to be refilled before the next call.
    """

    def __init__(
        self, name: str, requests_per_second: float, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Starts full; `name` is what refusals call it."""
        self._name = name
        self.requests_per_second = requests_per_second
        self._most = max(requests_per_second, 1.0)
        self._clock = clock
        self._level = self._most
        self._filled = clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Takes one request.

        Raises:
            QuotaError: There is none; it says when there will be.
        """
        with self._lock:
            self._fill()
            if self._level >= 1.0:
                self._level -= 1.0
                return
            seconds = (1.0 - self._level) / self.requests_per_second
        raise QuotaError(
            f"{self._name!r} has used up its {self.requests_per_second:g} requests per second; "
            f"send the next one in {seconds:.3g} s, or have the quota of its token raised",
            retry_seconds=seconds,
        )

    def charge(self, num_requests: int) -> None:
        """Takes further requests, whatever there is."""
        with self._lock:
            self._fill()
            self._level -= num_requests

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._filled) * self.requests_per_second)
        self._filled = now
