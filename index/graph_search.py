"""Search along a graph: walks for all queries, exact scores for what they find, and the one order.

Queries are independent of each other, so results do not depend on how many come together or on how many threads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from index.graph import Graph
from index.graph_kernels import walk
from index.ordering import order
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.quantised import ByteArray, ByteCodes
from index.rescore import score_rows
from index.turns import in_turns

_SAMPLED_QUERIES, _SAMPLED_NEIGHBORS = 128, 100
_EVERY_ROW = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How far the walks of one search go.

    Attributes:
        capacity: Entries that the list of candidates holds.
        kept: Allowed rows among them, at most; these are scored exactly.
        breadth: Entries whose links are followed.
        wanted: Rows to return for each query, at most `kept`.
        allowed: Rows that may be returned; None allows every row.
        threads: Threads of a batch.
    """

    capacity: int
    kept: int
    breadth: int
    wanted: int
    allowed: RowBitmap | None
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkedRows:
    """Rows that can be searched along a graph.

    Attributes:
        vectors: [n, dim] float32, n at least 1.
        codes: Codes of them, or of no row: then the vectors are read wherever a walk comes by.
        graph: Links between them.
    """

    vectors: FloatArray
    codes: ByteCodes
    graph: Graph
    _visited: deque[ByteArray] = field(default_factory=deque)

    def search(self, queries: FloatArray, plan: Walk, result: Neighbors) -> int:
        """Writes the best rows of checked queries into a blank result; returns how many found less than wanted.

        Args:
            queries: [num_queries, dim] float32, C-contiguous, finite.
            plan: How far to go.
            result: Of num_queries queries and at least `plan.wanted` slots.
        """

        def take(turn: slice) -> int:
            part = Neighbors(rows=result.rows[turn], scores=result.scores[turn], counts=result.counts[turn])
            return self._search_some(queries[turn], plan, part)

        return sum(in_turns(take, queries.shape[0], threads=plan.threads))

    def _search_some(self, queries: FloatArray, plan: Walk, result: Neighbors) -> int:
        rows = np.empty(queries.shape[0] * plan.kept, dtype=np.int64)
        offsets = np.zeros(queries.shape[0] + 1, dtype=np.int64)
        graph, visited = self.graph, self._take_visited()
        walk(
            queries,
            self.vectors,
            self.codes.codes,
            self.codes.steps,
            graph.links,
            graph.upper_rows,
            graph.upper_starts,
            graph.upper_links,
            graph.entry,
            graph.top,
            _EVERY_ROW if plan.allowed is None else plan.allowed,
            plan.capacity,
            plan.kept,
            plan.breadth,
            visited,
            np.empty(plan.capacity + 1, dtype=np.int64),
            np.empty(graph.links.shape[1], dtype=np.int32),
            np.zeros(self.codes.codes.shape[1], dtype=np.int8),
            rows,
            offsets,
        )
        self._visited.append(visited)
        rows = rows[: offsets[-1]]
        scores = score_rows(queries, self.vectors, rows, offsets=offsets)
        return int(order(rows, offsets, scores, plan.wanted, result.rows, result.scores, result.counts))

    def _take_visited(self) -> ByteArray:
        """Returns a bit for each row that no other search uses meanwhile; there are as many as ever ran at once."""
        try:
            return self._visited.pop()
        except IndexError:
            return np.empty((self.vectors.shape[0] + 7) // 8, dtype=np.uint8)


def lost_recall(rows: WalkedRows, coded: WalkedRows) -> float:
    """Returns the recall that walks along codes lose against walks along vectors, on a sample of rows as queries.

    Recall is that of the nearest 100 rows (or, of few, a quarter) when the links of as many are followed, against a
    walk four times as broad. Negative where codes happen to find more.
    """
    num_rows = int(rows.vectors.shape[0])
    wanted = min(_SAMPLED_NEIGHBORS, -(-num_rows // 4))
    places = np.unique(np.linspace(0, num_rows - 1, _SAMPLED_QUERIES).astype(np.int64))
    queries = np.ascontiguousarray(rows.vectors[places])
    truth = _found(rows, queries, wanted, breadth=4 * wanted)
    whole, blurred = (_found(some, queries, wanted, breadth=wanted) for some in (rows, coded))
    lost = [
        np.intersect1d(line, exact).size - np.intersect1d(other, exact).size
        for line, other, exact in zip(whole, blurred, truth, strict=True)
    ]
    return float(sum(lost)) / (wanted * places.size)


def _found(rows: WalkedRows, queries: FloatArray, wanted: int, *, breadth: int) -> RowArray:
    kept = max(breadth, wanted + wanted // 8)
    plan = Walk(capacity=kept, kept=kept, breadth=breadth, wanted=wanted, allowed=None, threads=1)
    result = Neighbors.none(queries.shape[0], wanted)
    rows.search(queries, plan, result)
    return result.rows
