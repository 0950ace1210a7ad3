"""One search of an LSH index: probe, collect, score exactly, order; widen where too little was found.

A query tries its probes; where they hold fewer rows than wanted it tries eight and then 64 times as many, taking rows
of a single hit, and then searches exactly. Under a row bitmap the neighbors wanted lie further off, so probes grow with
the rank that the last of them has among all rows, and where that reads more rows than are allowed the search is exact.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from index.flat import exact_search
from index.lsh_candidates import Limits, candidates
from index.lsh_families import of_length
from index.lsh_parameters import MAX_PROBES, LshParameters, default_rerank
from index.lsh_probing import probed_slots
from index.lsh_rows import LshRows, Published
from index.ordering import ordered
from index.protocols import FloatArray, Neighbors, RowBitmap
from index.rescore import score_rows

_AT_ONCE = 16
_LEAST_PER_THREAD = 32
_WIDENING = (8, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one search may return, and how far it looks.

    Attributes:
        k: Rows wanted.
        wanted: Rows that there are of these: min(k, allowed rows).
        num_rows: Rows from here on do not exist.
        allowed: Rows that may be returned; None allows every row.
        probes: Buckets tried over all tables.
        most_probes: As many as there are to try, or as one search may take.
        min_hits: Buckets a row must lie in.
        rerank: Rows scored exactly, at most.
    """

    k: int
    wanted: int
    num_rows: int
    allowed: RowBitmap | None
    probes: int
    most_probes: int
    min_hits: int
    rerank: int

    @classmethod
    def of(
        cls, parameters: LshParameters, k: int, *, num_rows: int, num_allowed: int, allowed: RowBitmap | None
    ) -> Request:
        """Looks as far as the parameters say, and further where the rows wanted are more or rarer than they assume."""
        wanted = min(k, num_allowed)
        rank = default_rerank(math.ceil(wanted * num_rows / max(num_allowed, 1)))
        probes = math.ceil(parameters.probes * max(1.0, rank / parameters.rerank))
        most_probes = min(parameters.tables << parameters.bits, MAX_PROBES)
        return cls(
            k=k,
            wanted=wanted,
            num_rows=num_rows,
            allowed=allowed,
            probes=min(probes, most_probes),
            most_probes=most_probes,
            min_hits=parameters.min_hits,
            rerank=max(parameters.rerank, default_rerank(wanted)),
        )

    def widened(self) -> list[Request]:
        """Returns what to try where too little was found, rows of a single hit included; each tries more buckets."""
        widths = dict.fromkeys(min(factor * self.probes, self.most_probes) for factor in _WIDENING)
        return [replace(self, probes=probes, min_hits=1) for probes in widths]

    @property
    def width(self) -> int:
        """Slots of a result."""
        return min(self.k, self.num_rows)

    @property
    def limits(self) -> Limits:
        """Which rows are candidates."""
        return Limits(num_rows=self.num_rows, allowed=self.allowed, min_hits=self.min_hits, rerank=self.rerank)


class Searcher:
    """Searches one published state of rows."""

    def __init__(self, rows: LshRows, published: Published, request: Request) -> None:
        """Takes rows, what of them is seen, and what is wanted."""
        self._rows = rows
        self._published = published
        self._request = request
        self._vectors = published.vectors[: request.num_rows]

    def search(self, queries: FloatArray, *, threads: int) -> Neighbors:
        """Returns the neighbors of checked queries, each found as if it were alone."""
        starts = range(0, queries.shape[0], _AT_ONCE)
        threads = min(threads or os.cpu_count() or 1, queries.shape[0] // _LEAST_PER_THREAD)
        if len(starts) == 1:
            return self._some(queries)
        if threads <= 1:
            return Neighbors.joined([self._some(queries[start : start + _AT_ONCE]) for start in starts])
        with ThreadPoolExecutor(threads) as pool:
            return Neighbors.joined(list(pool.map(lambda start: self._some(queries[start : start + _AT_ONCE]), starts)))

    def exact(self, queries: FloatArray) -> Neighbors:
        """Returns the neighbors of checked queries by exact search."""
        norm = self._published.largest_norm
        return exact_search(self._vectors, queries, self._request.k, allowed=self._request.allowed, largest_norm=norm)

    def _some(self, queries: FloatArray) -> Neighbors:
        found = self._probed(queries, self._request)
        for i in np.flatnonzero(found.counts < self._request.wanted):
            found.put(np.array([i]), self._widened(queries[i : i + 1]))
        return found

    def _widened(self, query: FloatArray) -> Neighbors:
        for request in self._request.widened():
            found = self._probed(query, request)
            if found.counts[0] == self._request.wanted:
                return found
        return self.exact(query)

    def _probed(self, queries: FloatArray, request: Request) -> Neighbors:
        family = self._rows.family
        hashed = of_length(queries, self._published.largest_norm) if family.by_distance else queries
        perturbations = family.perturbations(hashed, request.probes)
        slots, counts = probed_slots(perturbations, request.probes, factor=family.factor, bits=family.bits)
        with self._rows.room(self._published) as memory:
            rows, offsets = candidates(memory, queries, slots, counts, request.limits)
        scores = score_rows(queries, self._vectors, rows, offsets=offsets)
        return ordered(rows, scores, offsets, k=request.k, width=request.width)
