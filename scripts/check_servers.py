"""Whether several servers on one catalogue answer as one would, while some of them are killed.

Three server processes share a catalogue. Writers upsert, replace and delete items through whichever answers, with a
request id that they repeat until one acknowledges; readers ask any of them, most of the time with `min_sequence` set to
the last write that anybody knows of. Two of the servers are ended with SIGKILL at random moments, alone or together,
and started again. Everything written and seen is recorded with its time and checked (scripts/consistency.py): no answer
is older than it must be, no acknowledged write is lost, nothing deleted comes back. At the end each server is compared
with all that was acknowledged. Exit 1 on any difference.

    python scripts/check_servers.py --seconds 120
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import typer

from consistency import Kind, problems
from deployment import Data, Model, Seed, deployed
from history import History
from job import fail_on, run
from latency import Latencies
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recorded import RecordedReads, RecordedWrites
from servers import Servers
from traffic import Findings, compare
from workload import Workload, workload

_NUM_SERVERS = 3
_VICTIMS = ((1,), (2,), (1, 2))
_NUM_WRITERS = 3
_NUM_READERS = 4
_LONGEST_UP_SECONDS = 3.0
_LONGEST_DOWN_SECONDS = 1.0


@dataclass(slots=True)
class _Summary:
    kills: int = 0
    findings: Findings = field(default_factory=Findings)
    starts: Latencies = field(default_factory=Latencies)


class _Traffic:
    """Writers and readers of all servers, and what they record."""

    def __init__(self, servers: Servers, load: Workload, *, seed: int) -> None:
        settled = load.ledger.settled(load.written)
        self.history = History({item_id: entry.features for item_id, entry in settled.items()})
        self.writes = [RecordedWrites(servers, self.history, seed=seed + n) for n in range(len(load.writers))]
        seeds = range(seed + _NUM_WRITERS, seed + _NUM_WRITERS + _NUM_READERS)
        self.reads = [RecordedReads(servers, self.history, probe=load.probe, seed=one) for one in seeds]
        self._load = load

    @contextmanager
    def running(self) -> Iterator[Sequence[Future[None]]]:
        """Writes and reads to the end of the context; an error of either ends up there."""
        stop = threading.Event()
        with ThreadPoolExecutor(len(self.writes) + len(self.reads)) as pool:
            pairs = zip(self._load.writers, self.writes, strict=True)
            tasks = [pool.submit(writer.write_until, stop, client) for writer, client in pairs]
            tasks += [pool.submit(reads.read_until, stop) for reads in self.reads]
            try:
                yield tasks
            finally:
                stop.set()
        for task in tasks:
            task.result()


def main(
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="How long servers are killed.")] = 120.0,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that several servers on one catalogue neither go back nor lose anything when some are killed."""
    summary = _Summary()
    with deployed(data, model) as deployment, Servers(deployment, _NUM_SERVERS) as servers:
        load = workload(deployment, num_writers=_NUM_WRITERS, seed=seed)
        for number in range(_NUM_SERVERS):
            _start(servers, number, summary)
        traffic = _Traffic(servers, load, seed=seed)
        with traffic.running() as tasks:
            _kill_until(time.perf_counter() + seconds, servers, tasks, summary, np.random.default_rng(seed))
        _ask_everything(servers, traffic.reads[0], load)
        for number in range(_NUM_SERVERS):
            compare(servers.client(number), load, summary.findings)
    _report(summary, traffic, json)


def _start(servers: Servers, number: int, summary: _Summary) -> None:
    with summary.starts.measured():
        servers.start(number)


def _kill_until(
    end: float, servers: Servers, tasks: Sequence[Future[None]], summary: _Summary, rng: np.random.Generator
) -> None:
    """Kills and starts servers, at least once, until the time is over or a task has failed."""
    while not any(task.done() for task in tasks):
        time.sleep(rng.uniform(0, _LONGEST_UP_SECONDS))
        victims = _VICTIMS[rng.integers(len(_VICTIMS))]
        for number in victims:
            servers.kill(number)
        time.sleep(rng.uniform(0, _LONGEST_DOWN_SECONDS))
        for number in victims:
            _start(servers, number, summary)
        summary.kills += len(victims)
        say(f"{summary.kills} kills so far")
        if time.perf_counter() >= end:
            return


def _ask_everything(servers: Servers, reads: RecordedReads, load: Workload) -> None:
    """Records what each server shows of every item in the end."""
    for number in range(_NUM_SERVERS):
        reads.recall(number, load.written, fresh=True)
        for item_id in load.written:
            reads.get(number, item_id, fresh=True)


def _report(summary: _Summary, traffic: _Traffic, json: str | None) -> None:
    history, wrong = traffic.history, problems(traffic.history)
    kinds = Counter(problem.kind for problem in wrong)
    counts = {
        "kills": summary.kills,
        "acknowledged_writes": len(history.writes),
        "repeated_writes": sum(writes.num_repeats for writes in traffic.writes),
        "reads": len(history.reads),
        "reads_with_min_sequence": sum(read.min_sequence > 0 for read in history.reads),
        "items_seen": sum(len(read.seen) for read in history.reads),
        "unanswered_reads": sum(reads.num_unanswered for reads in traffic.reads),
        "late_reads": sum(reads.num_late for reads in traffic.reads),
        "item_checks": summary.findings.item_checks,
        **{kind.name.lower(): kinds[kind] for kind in Kind},
    }
    texts = [f"{problem.kind}: {problem.message}" for problem in wrong] + summary.findings.differences
    lines = pair_lines(counts | {"differences": len(texts), "start": summary.starts.line()})
    report(lines, counts | {"differences": texts, "start": summary.starts.summary()}, json)
    fail_on(texts)


if __name__ == "__main__":
    run(main)
