"""Where trees stop working: exact search by a k-d tree and by scanning, over more and more dimensions."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np

from index.factory import IndexConfig, build_index
from index.kinds import BaseIndex
from index.protocols import FloatArray
from index_data import clustered, clustered_queries
from index_measure import limited
from kept import Json

DIMS = (2, 4, 8, 16, 32, 64)
_K = 10
_ROUNDS = 5


def trees(num_rows: int, *, seconds: float, dims: tuple[int, ...] = DIMS) -> list[Json]:
    """Returns one row a dimension: queries a second of the processor of `kd_tree` and `flat`, ten neighbors, in turns.

    Args:
        num_rows: Clustered vectors searched.
        seconds: Of one turn.
        dims: Dimensions.
    """
    return [_row(num_rows, dim, seconds=seconds) for dim in dims]


def _row(num_rows: int, dim: int, *, seconds: float) -> Json:
    vectors, queries = clustered(num_rows, dim), clustered_queries(500, dim)
    start = time.perf_counter()
    tree = build_index(vectors, IndexConfig(kind="kd_tree"))
    build_seconds = time.perf_counter() - start
    flat = build_index(vectors, IndexConfig(kind="flat"))
    with limited(1):
        turns = np.array([[_rate(index, queries, seconds) for index in (tree, flat)] for _ in range(_ROUNDS)])
    medians = np.median(turns, axis=0)
    return {
        "dim": dim,
        "num_rows": num_rows,
        "k": _K,
        "tree_per_second": float(medians[0]),
        "flat_per_second": float(medians[1]),
        "tree_over_flat": float(np.median(turns[:, 0] / turns[:, 1])),
        "tree_build_seconds": build_seconds,
    }


def _rate(index: BaseIndex, queries: FloatArray, seconds: float) -> float:
    start, end, done = time.process_time(), time.perf_counter() + seconds, 0
    for query in _cycled(queries):
        index.search(query, _K)
        done += 1
        if time.perf_counter() >= end:
            break
    return done / (time.process_time() - start)


def _cycled(queries: FloatArray) -> Iterator[FloatArray]:
    return itertools.cycle(np.split(queries, len(queries)))
