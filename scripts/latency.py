"""Times of single calls, seen from the client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Latencies:
    """Times of many calls of one kind."""

    def __init__(self) -> None:
        """Starts without any."""
        self._seconds: list[float] = []

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures what is done within."""
        start = time.perf_counter()
        yield
        self._seconds.append(time.perf_counter() - start)

    def milliseconds(self, percentile: float) -> float:
        """Returns a percentile; NaN without any call."""
        return float(np.percentile(self._seconds, percentile)) * 1e3 if self._seconds else float("nan")

    def summary(self) -> dict[str, float]:
        """Returns count, median and 99th percentile."""
        return {"calls": len(self._seconds), "p50_ms": self.milliseconds(50), "p99_ms": self.milliseconds(99)}

    def line(self) -> str:
        """Returns the summary for people."""
        return f"p50 {self.milliseconds(50):.1f} ms, p99 {self.milliseconds(99):.1f} ms ({len(self._seconds)} calls)"
