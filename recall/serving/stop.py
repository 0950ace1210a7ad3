"""How a server process is asked to stop: SIGTERM and SIGINT, from its first moment to its last.

Before it serves, SIGTERM ends the process with exit code 0 and SIGINT interrupts; then either is a wish to stop, which
`Stop.wait` returns.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True, slots=True)
class Stop:
    """Whether a stop was asked for, and whether somebody waits for that."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _expected: threading.Event = field(default_factory=threading.Event)

    def expect(self) -> None:
        """Makes the next signal end `wait` instead of what the process is doing."""
        self._expected.set()

    def wait(self) -> None:
        """Returns once a stop was asked for."""
        self._asked.wait()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Takes a signal."""
        self._asked.set()
        if self._expected.is_set():
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(0)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Takes SIGTERM and SIGINT to the end of the context; enter it in the main thread."""
    stop = Stop()
    before = {number: signal.signal(number, stop.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
