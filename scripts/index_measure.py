"""How searches are timed: settings of equal recall, then in turns, round after round, in one process.

A machine that others use is slow for a while now and then; what is compared is timed within seconds of each other, and
the median over the rounds counts. One query a call on one thread is *single*, in seconds of the processor: those that
others took meanwhile do not count, and a contender that used a second thread would pay for it. All queries in one call
on every core is *batched*, in seconds of the clock; an entrant that would take too long for all of them has fewer.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import faiss
import numba
import numpy as np
from threadpoolctl import threadpool_limits

from index.protocols import FloatArray, RowArray
from index_contenders import Opened
from index_data import K, VectorSet
from index_rivals import Search, Setting

CORES = os.cpu_count() or 1
LEAST_QUERIES = 100
"""Of which recall is always measured, and which a batched call always holds, however long they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A contender with a setting.

    Attributes:
        opened: The contender over the set.
        setting: Its search parameters.
        recall_at_10: Of the first ten of a search of 100, against exact search.
        recall_at_100: Against exact search.
        num_queries: Queries, from the first one, that recall is of and that a batched call holds.
    """

    opened: Opened
    setting: Setting
    recall_at_10: float
    recall_at_100: float
    num_queries: int

    @property
    def name(self) -> str:
        """Name of the contender."""
        return self.opened.contender.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to time.

    Attributes:
        rounds: Turns of each entrant; the median counts.
        seconds: Of one turn, about.
    """

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Speeds of one entrant.

    Attributes:
        per_second: [rounds] queries a second.
        cores: Cores kept busy, on average; fewer than there should be where others took them.
    """

    per_second: tuple[float, ...]
    cores: float

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return float(np.median(self.per_second))


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Limits every library to some threads; those that take the number with a call get it there."""
    before = faiss.omp_get_max_threads(), numba.get_num_threads()
    with threadpool_limits(threads):
        _set(threads, threads)
        yield
    _set(*before)


def _set(faiss_threads: int, numba_threads: int) -> None:
    faiss.omp_set_num_threads(faiss_threads)
    numba.set_num_threads(min(numba_threads, CORES))


def entrant(opened: Opened, data: VectorSet, setting: Setting, *, call_seconds: float = math.inf) -> Entrant:
    """Returns a contender with a setting and its recall.

    Args:
        opened: The contender over the set.
        data: The set.
        setting: Its search parameters.
        call_seconds: About how long one call may take: where all queries would take longer, only as many of them count
            as are answered meanwhile, `LEAST_QUERIES` or more.
    """
    with limited(CORES):
        found = _first_found(opened.built.at(setting, threads=CORES), data.queries, call_seconds)
    return Entrant(
        opened=opened,
        setting=setting,
        recall_at_10=data.recall(found, 10),
        recall_at_100=data.recall(found, K),
        num_queries=len(found),
    )


def least(opened: Opened, data: VectorSet, target: float) -> list[Entrant]:
    """Returns the cheapest settings that reach a recall@100: for each of the coarse values, the least of the finest.

    Recall is taken to grow with the finest parameter, which is halved.
    """
    axes = opened.built.axes()
    if not axes:
        return [entrant(opened, data, {})]
    *coarse, fine = axes
    found = []
    for values in itertools.product(*(axes[name] for name in coarse)):
        fixed = dict(zip(coarse, values, strict=True))
        best = _halved(opened, data, [{**fixed, fine: value} for value in axes[fine]], target)
        found += [best] if best is not None else []
    return found


def cheapest(entrants: Sequence[Entrant], data: VectorSet, effort: Effort) -> Entrant:
    """Returns the one that answers most single queries a second."""
    if len(entrants) == 1:
        return entrants[0]
    rates = single_rates(entrants, data, effort)
    return entrants[int(np.argmax([rate.median for rate in rates]))]


def curve(axes: Mapping[str, Sequence[int]], setting: Setting, *, points: int) -> list[Setting]:
    """Returns a setting with its finest parameter, the last of `axes`, spread over some of its values."""
    if not axes:
        return [{}]
    name, values = list(axes.items())[-1]
    chosen = np.unique(np.linspace(0, len(values) - 1, points).round().astype(int))
    return [{**setting, name: values[place]} for place in chosen]


def single_rates(entrants: Sequence[Entrant], data: VectorSet, effort: Effort) -> list[Rates]:
    """Times one query a call on one thread, all entrants in turns."""
    one_by_one = np.split(data.queries, len(data.queries))
    return _in_turns(entrants, [one_by_one for _ in entrants], effort, threads=1)


def batched_rates(entrants: Sequence[Entrant], data: VectorSet, effort: Effort) -> list[Rates]:
    """Times all queries of an entrant in one call on every core, all entrants in turns."""
    return _in_turns(entrants, [[data.queries[: one.num_queries]] for one in entrants], effort, threads=CORES)


def _in_turns(
    entrants: Sequence[Entrant], calls: Sequence[Sequence[FloatArray]], effort: Effort, *, threads: int
) -> list[Rates]:
    """Times the calls of each entrant, over and over."""
    shape = (len(entrants), effort.rounds)
    done, clock, processor = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    with limited(threads):
        for turn in range(-1, effort.rounds):  # the first warms up
            for place, one in enumerate(entrants):
                _set(threads, threads)  # again: a search of the one before may have set another number
                search = one.opened.built.at(one.setting, threads=threads)
                if turn < 0:
                    _turn(search, calls[place], 0.0)
                    continue
                start = time.perf_counter(), time.process_time()
                done[place, turn] = _turn(search, calls[place], effort.seconds)
                clock[place, turn] = time.perf_counter() - start[0]
                processor[place, turn] = time.process_time() - start[1]
    rates = done / (processor if threads == 1 else clock)
    cores = processor.sum(axis=1) / clock.sum(axis=1)
    return [Rates(per_second=tuple(map(float, row)), cores=float(used)) for row, used in zip(rates, cores, strict=True)]


def _turn(search: Search, calls: Sequence[FloatArray], seconds: float) -> int:
    """Makes one call after the other until the time is over, one at least; returns the queries answered."""
    done, end = 0, time.perf_counter() + seconds
    for queries in itertools.cycle(calls):
        search(queries, K)
        done += len(queries)
        if time.perf_counter() >= end:
            break
    return done


def _first_found(search: Search, queries: FloatArray, call_seconds: float) -> RowArray:
    """Returns what is found for all queries, or for as many of the first as a call of about so many seconds answers."""
    if call_seconds == math.inf:
        return search(queries, K)
    start = time.perf_counter()
    found = search(queries[:LEAST_QUERIES], K)
    count = min(int(len(found) * call_seconds / (time.perf_counter() - start)), len(queries))
    return search(queries[:count], K) if count > len(found) else found


def _halved(opened: Opened, data: VectorSet, settings: Sequence[Setting], target: float) -> Entrant | None:
    low, high, best = 0, len(settings), None
    while low < high:
        middle = (low + high) // 2
        one = entrant(opened, data, settings[middle])
        if one.recall_at_100 >= target:
            high, best = middle, one
        else:
            low = middle + 1
    return best
