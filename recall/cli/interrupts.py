"""What SIGTERM does to a command: the same as Ctrl-C, an end that still puts things in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""As a shell names a command that SIGTERM ended."""


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the putting in order
    sys.exit(EXIT_CODE)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Has SIGTERM leave the context by `SystemExit`, so that half-written files are removed; for the main thread."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
