"""Starts the generator of load (`load_process.py`) on its cores, has it make calls, and sums up what came of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from http2_calls import framed
from recall.errors import RecallError

RECALL_PATH = "/recall.v1.RecallService/Recall"
CONNECTIONS = 4
_PERCENTILES = (50, 90, 99, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What came of one run.

    Attributes:
        microseconds: [n] int64, of the calls that succeeded: in an open loop from the moment each was meant to begin.
        num_failed: Calls that did not succeed.
        seconds: How long it took.
        generator_seconds: Seconds of the processor that the generator took.
    """

    microseconds: NDArray[np.int64]
    num_failed: int
    seconds: float
    generator_seconds: float

    @property
    def per_second(self) -> float:
        """Calls a second that succeeded."""
        return len(self.microseconds) / self.seconds

    def milliseconds(self, percentile: float) -> float:
        """Returns a percentile of the times; NaN without any call."""
        return float(np.percentile(self.microseconds, percentile)) / 1e3 if len(self.microseconds) else float("nan")

    def summary(self) -> dict[str, float]:
        """Returns the numbers that a result holds."""
        times = {f"p{percentile:g}_ms": self.milliseconds(percentile) for percentile in _PERCENTILES}
        share = self.generator_seconds / self.seconds
        counts = {"calls": len(self.microseconds), "failed": self.num_failed}
        return {**counts, "per_second": self.per_second, **times, "generator_busy": share}


class LoadClient:
    """A generator of load in a process of its own, for one list of requests. As a context it is ended at the end."""

    def __init__(self, messages: Sequence[bytes], cores: Sequence[int], *, path: str = RECALL_PATH) -> None:
        """Starts it.

        Args:
            messages: Serialised requests, sent in turn, at least one.
            cores: Where it runs.
            path: `/package.Service/Method`.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="recall-load-")
        self._messages = Path(self._folder.name) / "messages"
        self._messages.write_bytes(framed(messages))
        self._path = path
        script = Path(__file__).with_name("load_process.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), ",".join(map(str, cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> LoadClient:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def closed(self, address: str, *, in_flight: int, seconds: float) -> Calls:
        """Keeps so many calls under way for so long.

        Raises:
            RecallError: Nothing listens at the address, or the process ended.
        """
        return self._run({"address": address, "in_flight": in_flight, "seconds": seconds})

    def opened(self, address: str, *, rate: float, seconds: float, seed: int = 0) -> Calls:
        """Begins so many calls a second, on average, for so long, whatever becomes of them.

        Raises:
            RecallError: Nothing listens at the address, or the process ended.
        """
        return self._run({"address": address, "rate": rate, "seconds": seconds, "seed": seed})

    def _run(self, order: dict[str, object]) -> Calls:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        common = {"path": self._path, "messages": str(self._messages), "connections": CONNECTIONS}
        self._process.stdin.write(json.dumps(common | order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RecallError(f"the generator of load ended with {self._process.wait()}")
        result = json.loads(line)
        if "error" in result:
            raise RecallError(f"no load on {order['address']}: {result['error']}")
        return Calls(
            microseconds=np.array(result["microseconds"], dtype=np.int64),
            num_failed=result["num_failed"],
            seconds=result["seconds"],
            generator_seconds=result["generator_seconds"],
        )
