"""The generator of load as a process of its own, with its cores fixed: one run a line of JSON, one result a line.

    python scripts/load_process.py 1        # on core 1; `load_client.py` starts it and writes the lines

A run is `{"address", "path", "messages", "connections", "seconds"}` and `"in_flight"` for a closed loop, in which a new
call begins when one ends, or `"rate"` and `"seed"` for an open one, whose calls begin at moments drawn beforehand, a
second having `rate` of them on average (exponential gaps), whatever the server does. A call of an open loop is timed
from the moment it was meant to begin, so that a server that stands still is charged for all who came meanwhile.

It imports the standard library alone, so that it starts at once and stays small.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from http2_calls import CallConnection, unframed

_DRAIN_SECONDS = 20.0
_IDLE_SECONDS = 0.1


class Run:
    """Calls under way on some connections, and the times of those that ended."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Connects."""
        self._connections = [CallConnection(order["address"], order["path"]) for _ in range(order["connections"])]
        self._messages = cycle(unframed(Path(order["messages"]).read_bytes()))
        self._next = cycle(self._connections)
        self._begun: dict[tuple[int, int], float] = {}
        self.microseconds: list[int] = []
        self.num_failed = self.num_bytes = 0
        self.ended = 0.0

    @property
    def num_under_way(self) -> int:
        """Calls that did not end yet."""
        return len(self._begun)

    def begin(self, moment: float) -> None:
        """Begins a call that is timed from a moment on; `send` sends it."""
        connection = next((one for one in islice(self._next, len(self._connections)) if one.is_open), None)
        if connection is None:
            self.num_failed += 1
            return
        self._begun[connection.fileno(), connection.begin(next(self._messages))] = moment

    def send(self) -> None:
        """Sends what was begun."""
        for connection in self._connections:
            connection.flush()

    def wait(self, seconds: float) -> int:
        """Waits until calls end, no longer than some seconds; returns how many did."""
        waiting = [connection for connection in self._connections if connection.is_connected]
        if not waiting:
            time.sleep(max(seconds, 0.0))
            return 0
        unsent = [connection for connection in waiting if connection.has_unsent]
        ready, writable, _ = select.select(waiting, unsent, [], max(seconds, 0.0))
        for connection in writable:
            connection.flush()
        num_ended = 0
        for connection in ready:
            finished = connection.receive()
            now = self.ended = time.perf_counter()
            for one in finished:
                moment = self._begun.pop((connection.fileno(), one.stream))
                self.num_bytes += one.size_bytes
                if one.succeeded:
                    self.microseconds.append(round((now - moment) * 1e6))
                else:
                    self.num_failed += 1
            num_ended += len(finished)
        return num_ended

    def drain(self) -> None:
        """Waits for what is under way; what does not end in time failed."""
        deadline = time.perf_counter() + _DRAIN_SECONDS
        while self._begun and time.perf_counter() < deadline:
            self.wait(_IDLE_SECONDS)
        self.num_failed += len(self._begun)
        for connection in self._connections:
            connection.close()


def closed_loop(run: Run, order: dict[str, Any]) -> float:
    """Keeps calls under way; returns the seconds until the last of those counted ended."""
    start = time.perf_counter()
    end, missing = start + order["seconds"], order["in_flight"]
    while (now := time.perf_counter()) < end:
        for _ in range(missing):
            run.begin(now)
        run.send()
        missing = run.wait(_IDLE_SECONDS)
    run.drain()
    return max(run.ended - start, 1e-9)


def open_loop(run: Run, order: dict[str, Any]) -> float:
    """Begins calls at their moments; returns the seconds of the schedule."""
    start = time.perf_counter()
    due = deque(start + moment for moment in moments(order["rate"], order["seconds"], order["seed"]))
    while due:
        now = time.perf_counter()
        while due and due[0] <= now:
            run.begin(due.popleft())
        run.send()
        run.wait(min(due[0] - time.perf_counter(), _IDLE_SECONDS) if due else 0.0)
    run.drain()
    return float(order["seconds"])


def moments(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Yields the moments of calls, ascending, in seconds from the start."""
    drawn, moment = random.Random(seed), 0.0
    while (moment := moment + drawn.expovariate(rate)) < seconds:
        yield moment


def _done(order: dict[str, Any]) -> dict[str, Any]:
    run, used = Run(order), time.process_time()
    seconds = closed_loop(run, order) if "in_flight" in order else open_loop(run, order)
    return {
        "microseconds": run.microseconds,
        "num_failed": run.num_failed,
        "num_bytes": run.num_bytes,
        "seconds": seconds,
        "generator_seconds": time.process_time() - used,
    }


def main() -> None:
    """Does what each line of stdin says."""
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    for line in sys.stdin:
        try:
            result = _done(json.loads(line))
        except OSError as error:
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
