"""A thread that repeats one action until it is closed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

LOW_PRIORITY = 10
"""Niceness of work that waits for whatever answers calls."""


class Periodic:
    """Calls an action at a fixed interval, and at once where it is woken. The action deals with its own errors."""

    def __init__(self, action: Callable[[], None], *, interval_seconds: float, name: str, niceness: int = 0) -> None:
        """Starts the thread; `niceness` lowers its priority where threads have one of their own."""
        self._action = action
        self._interval_seconds = interval_seconds
        self._niceness = niceness
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Has the action called now."""
        self._wake.set()

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; waits that long for a call under way to return."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        if self._niceness and sys.platform == "linux":  # elsewhere a thread has no priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while not self._closed:
            self._wake.wait(self._interval_seconds)
            self._wake.clear()
            if not self._closed:
                self._action()
