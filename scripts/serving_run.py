"""The steps of the serving benchmark: servers on cores of their own, rounds of calls, and the parts of a call alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from index.protocols import SearchOptions
from load_client import Calls
from recall.live.catalog import Catalog
from recall.live.generation import load_model
from recall.live.query import DEFAULT_LIMIT, RecallQuery
from recall.live.questions import questions_of
from recall.live.search_input import of_users
from recall.live.snapshot import load_generation

Cores: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long is measured.

    Attributes:
        rounds: Of which medians are taken; each gives every contender its turn.
        seconds: Of one turn.
        open_seconds: Of one turn of an open loop.
        in_flight: Calls under way in a closed loop.
        batch: Questions of one call of the parts: as many as a server has handler threads.
    """

    rounds: int
    seconds: float
    open_seconds: float
    in_flight: int = 32
    batch: int = 16


FULL = Effort(rounds=9, seconds=3.0, open_seconds=8.0)
QUICK = Effort(rounds=1, seconds=0.4, open_seconds=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a contender.

    Attributes:
        per_second: Calls a second of the clock.
        microseconds: Of the processor, a call.
        calls: What came of each; None of parts, which are no calls.
    """

    per_second: float
    microseconds: float
    calls: Calls | None = None


def divided_cores() -> tuple[Cores, Cores]:
    """Returns the cores of servers and those of the generator of load: the last one, where there are several."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return (cores[:-1] or cores), cores[-1:]


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keeps this thread, and every process that it starts within, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_seconds(pid: int) -> float:
    """Returns what a process has taken of the processors so far, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(pid: int, call: Callable[[], Calls]) -> Turn:
    """Returns what a turn of calls gives, with what it takes of the processors in the process of the server."""
    before = processor_seconds(pid)
    calls = call()
    used = processor_seconds(pid) - before
    return Turn(per_second=calls.per_second, microseconds=1e6 * used / max(len(calls.microseconds), 1), calls=calls)


class Parts:
    """User tower and batched search, each by itself, over the snapshot that a server serves."""

    def __init__(self, snapshot: Path, catalog: Path, user_ids: Sequence[str], *, batch: int) -> None:
        """Loads the snapshot and draws batches of users."""
        with Catalog.open(catalog) as opened:
            self._generation = load_generation(snapshot, lineage=opened.lineage, load_model=load_model)
            drawn = np.random.default_rng(1).permutation(len(user_ids))[: 8 * batch].reshape(-1, batch).tolist()
            queries = [[RecallQuery(user_id=user_ids[row]) for row in rows] for rows in drawn]
            questions = [questions_of(self._generation, some, opened, available=None) for some in queries]
        self._users = [[question.user for question in some] for some in questions]
        self._vectors = [of_users(self._generation, some).vectors for some in questions]
        self._batch = batch

    def tower(self, seconds: float) -> Turn:
        """Embeds users."""
        model = self._generation.model
        return self._timed([partial(model.embed_users, users) for users in self._users], seconds)

    def search(self, seconds: float) -> Turn:
        """Searches with their vectors, nothing excluded."""
        index = self._generation.index
        return self._timed([partial(index.search, some, DEFAULT_LIMIT) for some in self._vectors], seconds)

    def recall(self) -> float:
        """Returns the share of what exact search finds that the search finds, of one batch."""
        vectors, exact = self._vectors[0], [SearchOptions(exact=True)] * self._batch
        index = self._generation.index
        found, wanted = index.search(vectors, DEFAULT_LIMIT), index.search(vectors, DEFAULT_LIMIT, exact)
        shared = [len(set(one.item_ids) & set(all_.item_ids)) for one, all_ in zip(found, wanted, strict=True)]
        return float(np.mean(shared)) / DEFAULT_LIMIT

    def _timed(self, steps: Sequence[Callable[[], object]], seconds: float) -> Turn:
        for step in steps:
            step()
        start, used, count = time.perf_counter(), time.process_time(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            steps[count % len(steps)]()
            count += 1
        users = count * self._batch
        return Turn(per_second=users / elapsed, microseconds=1e6 * (time.process_time() - used) / users)
