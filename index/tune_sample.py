"""Queries to measure with, and what an index finds of their true neighbors.

Where no queries are given they are made beside rows (`index.made_queries`). What remained of the gap to vectors that an
index does not hold was a sixth of the misses, hence `MADE_QUERY_MISSES`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.flat import FlatIndex
from index.made_queries import made_queries
from index.protocols import FloatArray, VectorIndex

NUM_QUERIES = 256
MADE_QUERY_MISSES = 1.2
"""True misses per measured one, where queries are made from rows."""
_NUM_TIMED = 32
_STANDARD_ERRORS = 2.0
_LEAST_MISSES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Queries with what exact search says of them.

    Attributes:
        queries: [num_queries, dim] float32.
        floors: [num_queries] float32, score of the k-th neighbor: whatever scores as much is one of them.
        k: Neighbors wanted.
        misses_per_miss: True misses per measured one.
    """

    queries: FloatArray
    floors: FloatArray
    k: int
    misses_per_miss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one setting gives.

    Attributes:
        recall: Mean share of the k true neighbors found; ties with the k-th count as found.
        sure_recall: What the recall of other queries of this kind will be at least, but for bad luck.
        microseconds: Time of a search of one query: the mean without the slowest tenth.
    """

    recall: float
    sure_recall: float
    microseconds: float


def given_sample(exact: FlatIndex, queries: FloatArray, *, k: int, seed: int) -> Sample:
    """Returns a sample of `queries`, [n, dim] float32, at most `NUM_QUERIES` of them."""
    if len(queries) > NUM_QUERIES:
        chosen = np.random.default_rng(seed).choice(len(queries), NUM_QUERIES, replace=False)
        queries = np.ascontiguousarray(queries[np.sort(chosen)])
    return _sample(exact, queries, k=k, misses_per_miss=1.0)


def made_sample(exact: FlatIndex, *, k: int, seed: int) -> Sample:
    """Returns a sample of queries made beside rows."""
    made = made_queries(exact, NUM_QUERIES, np.random.default_rng(seed))
    return _sample(exact, made, k=k, misses_per_miss=MADE_QUERY_MISSES)


def measure(index: VectorIndex, sample: Sample) -> Measured:
    """Searches each query by itself, as a server does, and returns recall and time."""
    found, seconds = np.empty(len(sample.queries)), np.empty(len(sample.queries))
    index.search(sample.queries[:1], sample.k)  # what the first search of all prepares
    for i, query in enumerate(sample.queries):
        started = time.perf_counter()
        scores = index.search(query[None], sample.k).scores[0]
        seconds[i] = time.perf_counter() - started
        found[i] = np.count_nonzero(scores >= sample.floors[i]) / sample.k
    misses = 1.0 - float(found.mean())
    # With no miss at all among n neighbors up to 3 / n may still be missed (the rule of three, 95%).
    unsure = max(_STANDARD_ERRORS * float(found.std()) / math.sqrt(found.size), _LEAST_MISSES / (found.size * sample.k))
    sure = 1.0 - sample.misses_per_miss * misses - unsure
    return Measured(recall=1.0 - misses, sure_recall=sure, microseconds=_typical(seconds))


def measure_exact(exact: FlatIndex, sample: Sample) -> Measured:
    """Returns recall 1 and the time of exact search."""
    queries = sample.queries[:_NUM_TIMED]
    exact.search(queries[:1], sample.k)
    seconds = np.array([_seconds(exact, query, sample.k) for query in queries])
    return Measured(recall=1.0, sure_recall=1.0, microseconds=_typical(seconds))


def time_over(one: VectorIndex, other: VectorIndex, sample: Sample) -> float:
    """Returns the time of a search of `one` over that of `other`, which are asked in turns."""
    seconds = np.empty((2, min(2 * _NUM_TIMED, len(sample.queries))))
    for i in range(seconds.shape[1]):
        for which in (0, 1) if i % 2 else (1, 0):
            seconds[which, i] = _seconds(one if which == 0 else other, sample.queries[i], sample.k)
    return _typical(seconds[0]) / _typical(seconds[1])


def _seconds(index: VectorIndex, query: FloatArray, k: int) -> float:
    started = time.perf_counter()
    index.search(query[None], k)
    return time.perf_counter() - started


def _typical(seconds: NDArray[np.float64]) -> float:
    """Returns the mean in microseconds without the slowest tenth, in which other processes show."""
    fastest = np.sort(seconds)[: max(1, math.ceil(0.9 * seconds.size))]
    return 1e6 * float(fastest.mean())


def _sample(exact: FlatIndex, queries: FloatArray, *, k: int, misses_per_miss: float) -> Sample:
    found = exact.search(queries, k)
    return Sample(queries=queries, floors=found.scores[:, -1], k=k, misses_per_miss=misses_per_miss)
