"""The bounded queue in front of the handlers: how many calls run and wait, and whether one more is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BoundedExecutor(ThreadPoolExecutor):
    """Threads that handle calls, and a count of the calls that run or wait for one.

    It takes everything: whoever submits asks `is_full` before. The server submits from one thread, right after it has
    asked, so the bound holds; and a call leaves the count however it ends, also where its handler never runs.
    """

    def __init__(self, num_threads: int, max_in_flight: int) -> None:
        """Starts without a call; `max_in_flight` is how many may run and wait together."""
        super().__init__(num_threads, "recall-rpc")
        self._max_in_flight = max_in_flight
        self._num_in_flight = 0
        self._lock = threading.Lock()

    @property
    def num_in_flight(self) -> int:
        """Calls that run or wait."""
        return self._num_in_flight

    @property
    def is_full(self) -> bool:
        """Whether no further call should be taken."""
        return self._num_in_flight >= self._max_in_flight

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Takes a call."""
        self._count(1)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:  # it was shut down
            self._count(-1)
            raise
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, change: int) -> None:
        with self._lock:
            self._num_in_flight += change
