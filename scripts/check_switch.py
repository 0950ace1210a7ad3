"""Whether anything acknowledged is missing while a server moves to another snapshot, or to another model.

Writers upsert, replace and delete items without a pause, and readers compare what the server returns with what it
acknowledged, while `recall rebuild` makes one snapshot after another from two models in turn and the server switches.
Then the server is stopped and started again, and everything is compared once more. Exit 1 on any difference.

    python scripts/check_switch.py --switches 6
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from deployment import Data, Deployment, Model, Seed, deployed, train
from job import run
from latency import Latencies
from reader import Reader
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient
from server_process import ProcessError
from workload import Workload, workload

_NUM_WRITERS = 2
_SETTLE_SECONDS = 0.5
_SWITCH_SECONDS = 120.0
_TIMEOUT_SECONDS = 60.0


@dataclass(slots=True)
class _Summary:
    switches: int = 0
    acknowledged_writes: int = 0
    item_checks: int = 0
    differences: list[str] = field(default_factory=list)


def main(
    switches: Annotated[int, typer.Option("--switches", min=1, help="How many snapshots to build.")] = 6,
    data: Data = None,
    model: Model = None,
    other_model: Annotated[
        Path | None, typer.Option("--other-model", help="Second model; by default one epoch is trained.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that nothing acknowledged is missing before, during and after a switch."""
    summary, moves = _Summary(), Latencies()
    with deployed(data, model) as deployment:
        models = [other_model or train(deployment.data, deployment.folder / "other-model", seed=1), deployment.model]
        load = workload(deployment, num_writers=_NUM_WRITERS, seed=seed)
        with deployment.serve() as server:
            with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
                with _traffic(client, load, summary):
                    for number in range(switches):
                        _switch(client, deployment, models[number % 2], moves)
                        summary.switches += 1
                        say(f"switch {number + 1} of {switches}: {len(summary.differences)} differences so far")
                _compare(client, load, summary)
            server.stop()
        with deployment.serve() as server:
            with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
                _compare(client, load, summary)
            server.stop()
    summary.acknowledged_writes = sum(writer.num_acknowledged for writer in load.writers)
    _report(summary, moves, json)


def _switch(client: RecallClient, deployment: Deployment, model: Path, moves: Latencies) -> None:
    with moves.measured():
        name = deployment.rebuild(model)
        deadline = time.perf_counter() + _SWITCH_SECONDS
        while (status := client.status()).snapshot != name:
            if time.perf_counter() > deadline:
                reason = status.last_switch_error or "no reason is given"
                raise ProcessError(f"the server still serves {status.snapshot} instead of {name}: {reason}")
            time.sleep(0.02)
    time.sleep(_SETTLE_SECONDS)


@contextmanager
def _traffic(client: RecallClient, load: Workload, summary: _Summary) -> Iterator[None]:
    """Writes and reads until the end of the context; an error in either ends up there."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(load.writers) + 1) as pool:
        tasks: list[Future[None]] = [pool.submit(writer.write_until, stop, client) for writer in load.writers]
        tasks.append(pool.submit(_read_until, stop, client, load, summary))
        try:
            yield
            if any(task.done() for task in tasks):
                say("a writer or the reader ended early")
        finally:
            stop.set()
    for task in tasks:
        task.result()


def _read_until(stop: threading.Event, client: RecallClient, load: Workload, summary: _Summary) -> None:
    reader = Reader(client, load.ledger, probe=load.probe)
    rng = np.random.default_rng(0)
    everything = list(load.ledger.settled())
    while not stop.is_set():
        summary.differences += reader.recall(everything)
        for item_id in rng.choice(load.written, 5, replace=False):
            summary.differences += reader.closely(str(item_id))
    summary.item_checks += reader.num_checks


def _compare(client: RecallClient, load: Workload, summary: _Summary) -> None:
    reader = Reader(client, load.ledger, probe=load.probe)
    summary.differences += reader.recall(list(load.ledger.settled()))
    for item_id in load.written:
        summary.differences += reader.closely(item_id)
    num_items = client.status().num_items
    if num_items != load.num_items():
        summary.differences.append(f"the server holds {num_items} items instead of {load.num_items()}")
    summary.item_checks += reader.num_checks


def _report(summary: _Summary, moves: Latencies, json: str | None) -> None:
    value = asdict(summary)
    lines = pair_lines(value | {"differences": len(summary.differences), "rebuild and switch": moves.line()})
    report(lines, value | {"rebuild_and_switch": moves.summary()}, json)
    for difference in summary.differences[:20]:
        say(difference)
    if summary.differences:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
