"""Queries to measure with, and what an index finds of their true neighbors.

Where no queries are given they are drawn near rows. A row itself would be too easy a query for a graph, in which it is
a node with links to its own neighbors: on 50,000 vectors spread evenly over the sphere in 64 dimensions a graph found
.978 of the neighbors of its own rows and .949 of those of vectors that it did not hold. So a query is put as far from
its row as the row's nearest neighbor is, in a direction drawn from the differences to its nearest neighbors, which
keeps to the shape of the data. Duplicates of a row are passed over, for else the query would be the row after all;
where none but duplicates are near, it is. What remained of the gap on such vectors was a sixth of the misses, hence
`MADE_QUERY_MISSES`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.flat import FlatIndex
from index.protocols import FloatArray, RowArray, VectorIndex

NUM_QUERIES = 256
MADE_QUERY_MISSES = 1.2
"""True misses per measured one, where queries are made from rows."""
_NUM_NEAR = 10
_NUM_TIMED = 32
_STANDARD_ERRORS = 2.0
_LEAST_MISSES = 3.0
_SAME = 1e-9
"""Rows are duplicates where their cosine is off 1 by no more."""


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
    """Returns a sample of queries made near rows."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(exact.num_rows, min(NUM_QUERIES, exact.num_rows), replace=False))
    near = exact.search(np.ascontiguousarray(exact.vectors[rows]), _NUM_NEAR + 1).rows
    made = [_beside(exact.vectors, int(row), line[line != row], rng) for row, line in zip(rows, near, strict=True)]
    return _sample(exact, np.array(made, dtype=np.float32), k=k, misses_per_miss=MADE_QUERY_MISSES)


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


def _beside(vectors: FloatArray, row: int, near: RowArray, rng: np.random.Generator) -> FloatArray:
    """Returns a vector as far from a row as its nearest neighbor that is no duplicate, and as long as it."""
    here = vectors[row].astype(np.float64)
    length = float(np.linalg.norm(here))
    here /= length
    others = vectors[near].astype(np.float64)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    others = others[others @ here < 1.0 - _SAME]
    differences = others - here
    away = rng.standard_normal(len(others)) @ differences
    away -= (away @ here) * here
    across = float(np.linalg.norm(away))
    cosine = float(np.clip(others @ here, -1.0, 1.0).max(initial=-1.0))
    made: FloatArray = vectors[row]
    if across > 1e-6:
        made = (length * (cosine * here + math.sqrt(1.0 - cosine * cosine) * away / across)).astype(np.float32)
    return made
