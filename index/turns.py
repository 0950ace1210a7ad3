"""Batches of queries, shared out among threads in turns of a few milliseconds of work each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")

QUERIES_AT_ONCE = 32
"""Queries of one turn: few enough to share a batch out evenly."""


def in_turns(take: Callable[[slice], _Result], num_queries: int, *, threads: int) -> list[_Result]:
    """Returns what `take` gives for each turn of the queries, in order.

    Args:
        take: Searches the queries of a slice; called from several threads at once.
        num_queries: How many there are.
        threads: Threads at most; 1 takes turn by turn in the thread of the caller, as does a single turn.
    """
    turns = [slice(start, start + QUERIES_AT_ONCE) for start in range(0, num_queries, QUERIES_AT_ONCE)]
    if threads == 1 or len(turns) <= 1:
        return [take(turn) for turn in turns]
    with ThreadPoolExecutor(min(threads, len(turns))) as pool:
        return list(pool.map(take, turns))
