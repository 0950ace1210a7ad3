"""Whether a server that is killed while it writes loses anything that it acknowledged.

Each round starts a server, compares what it holds with all that was ever acknowledged, lets writers upsert, replace and
delete items, and ends the server with SIGKILL in the middle of that. A write that was not acknowledged may be stored or
not, but never in part. Exit 1 on any difference.

    python scripts/check_kill.py --rounds 50
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Annotated

import numpy as np
import typer

from deployment import Data, Deployment, Model, Seed, deployed
from job import run
from latency import Latencies
from reader import Reader
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient
from recall.errors import UnavailableError
from server_process import ProcessError, ServerProcess
from workload import Workload, workload

_NUM_WRITERS = 3
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 1.0
_TIMEOUT_SECONDS = 60.0


@dataclass(slots=True)
class _Summary:
    rounds: int = 0
    acknowledged_writes: int = 0
    unacknowledged_stored: int = 0
    unacknowledged_lost: int = 0
    item_checks: int = 0
    differences: list[str] = field(default_factory=list)


def main(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often the server is killed.")] = 50,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that nothing acknowledged is lost by kill -9."""
    summary, starts = _Summary(), Latencies()
    rng = np.random.default_rng(seed)
    with deployed(data, model) as deployment:
        load = workload(deployment, num_writers=_NUM_WRITERS, seed=seed)
        for number in range(1, rounds + 1):
            with _started(deployment, starts) as server:
                _compare(server, load, summary)
                _kill_while_writing(server, load, after_seconds=rng.uniform(_SHORTEST_SECONDS, _LONGEST_SECONDS))
            summary.rounds = number
            say(
                f"round {number} of {rounds}: {sum(writer.num_acknowledged for writer in load.writers):,} writes so far"
            )
        with _started(deployment, starts) as server:
            _compare(server, load, summary)
            server.stop()
        summary.acknowledged_writes = sum(writer.num_acknowledged for writer in load.writers)
    _report(summary, starts, json)


def _started(deployment: Deployment, starts: Latencies) -> ServerProcess:
    with starts.measured():
        return deployment.serve()


def _compare(server: ServerProcess, load: Workload, summary: _Summary) -> None:
    with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
        reader = Reader(client, load.ledger, probe=load.probe)
        num_stored, num_lost, differences = reader.resolve()
        differences += reader.recall(list(load.ledger.settled()))
        for item_id in load.written:
            differences += reader.closely(item_id)
        num_items = client.status().num_items
    if num_items != load.num_items():
        differences.append(f"the server holds {num_items} items instead of {load.num_items()}")
    summary.unacknowledged_stored += num_stored
    summary.unacknowledged_lost += num_lost
    summary.item_checks += reader.num_checks
    summary.differences += [f"after {summary.rounds} kills: {difference}" for difference in differences]


def _kill_while_writing(server: ServerProcess, load: Workload, *, after_seconds: float) -> None:
    for_ever = threading.Event()
    with (
        RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client,
        ThreadPoolExecutor(len(load.writers)) as pool,
    ):
        try:
            writing = [pool.submit(writer.write_until, for_ever, client) for writer in load.writers]
            time.sleep(after_seconds)
            early = [task for task in writing if task.done()]
        finally:
            server.kill()  # ends the writers
    for task in writing:
        error = task.exception()
        if task in early or not isinstance(error, UnavailableError):
            raise ProcessError(f"a writer ended before the kill, or not by it: {error}") from error


def _report(summary: _Summary, starts: Latencies, json: str | None) -> None:
    value = asdict(summary)
    lines = pair_lines(value | {"differences": len(summary.differences), "start": starts.line()})
    report(lines, value | {"start": starts.summary()}, json)
    for difference in summary.differences[:20]:
        say(difference)
    if summary.differences:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
