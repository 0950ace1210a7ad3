"""Writers and readers of one server at once, and its comparison with all that it acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from reader import Reader
from recall.cli.output import say
from recall.client import RecallClient
from workload import Workload

_LOOKED_AT = 5


@dataclass(slots=True)
class Findings:
    """What was looked at, and what differed from what was acknowledged."""

    item_checks: int = 0
    differences: list[str] = field(default_factory=list)

    def take(self, reader: Reader, differences: list[str]) -> None:
        """Adds what one reader, which asks no more, has looked at and found."""
        self.item_checks += reader.num_checks
        self.differences += differences


@contextmanager
def traffic(client: RecallClient, load: Workload, findings: Findings, *, num_readers: int = 1) -> Iterator[None]:
    """Writes and reads until the end of the context; an error in either ends up there."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(load.writers) + num_readers) as pool:
        writing = [pool.submit(writer.write_until, stop, client) for writer in load.writers]
        reading = [pool.submit(_read_until, stop, client, load, seed=seed) for seed in range(num_readers)]
        try:
            yield
            if any(task.done() for task in writing) or any(task.done() for task in reading):
                say("a writer or a reader ended early")
        finally:
            stop.set()
    for task in writing:
        task.result()
    for found in reading:
        findings.take(*found.result())


def compare(client: RecallClient, load: Workload, findings: Findings) -> None:
    """Compares all items with what was acknowledged, once nobody writes."""
    reader = Reader(client, load.ledger, probe=load.probe)
    differences = reader.recall(list(load.ledger.settled()))
    for item_id in load.written:
        differences += reader.closely(item_id)
    num_items = client.status().num_items
    if num_items != load.num_items():
        differences.append(f"the server holds {num_items} items instead of {load.num_items()}")
    findings.take(reader, differences)


def _read_until(stop: threading.Event, client: RecallClient, load: Workload, *, seed: int) -> tuple[Reader, list[str]]:
    reader = Reader(client, load.ledger, probe=load.probe)
    rng = np.random.default_rng(seed)
    everything, differences = list(load.ledger.settled()), list[str]()
    while not stop.is_set():
        differences += reader.recall(everything)
        for item_id in rng.choice(load.written, _LOOKED_AT, replace=False):
            differences += reader.closely(str(item_id))
    return reader, differences
