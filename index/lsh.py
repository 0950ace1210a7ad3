"""Locality-sensitive hashing: constant-time inserts, no training, exact scores.

Tables of K functions each (AND), L of them (OR), of three families (`index.lsh_families`). A query tries buckets in
order of their likelihood over all tables (`index.lsh_probing`), keeps rows that lie in several of them, ranks these by
quantised vectors (`index.lsh_candidates`) and scores the best exactly (`index.rescore`). How many bits, tables and
probes that takes for a target recall is measured on the data (`index.lsh_rules`).

Rows are appended by one writer while readers search up to a published row count (`index.lsh_rows`); deletion is the
bitmap's business.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from index import checks
from index.flat import checked_bound
from index.lsh_expectation import expected_recall
from index.lsh_families import draw
from index.lsh_file import read_buckets, write_buckets
from index.lsh_parameters import LshParameters
from index.lsh_rows import LshRows
from index.lsh_rules import for_data, measured
from index.lsh_search import Request, Searcher
from index.protocols import FloatArray, Neighbors, Parameters, RowBitmap


class LshIndex:
    """Approximate search over rows that grow at the end; implements `AppendableIndex`."""

    kind = "lsh"

    def __init__(self, rows: LshRows, parameters: LshParameters) -> None:
        """Takes rows and the parameters they were hashed with; use `build`, `empty` or `load`."""
        self._rows = rows
        self._parameters = parameters

    @classmethod
    def build(
        cls, vectors: FloatArray, parameters: LshParameters | None = None, *, queries: FloatArray | None = None
    ) -> LshIndex:
        """Puts vectors into tables.

        Args:
            vectors: [n, dim] float32 of about equal length; kept, and may be a memory map.
            parameters: What is 0 in them is left to the rule.
            queries: [num_queries, dim] float32, as they will be asked, for the rule to measure with; None takes rows.
                Queries that lie elsewhere than rows, such as vectors of users, need more probes.

        Raises:
            InvalidVectorError: A vector is not finite or is zero, or a query is not finite or of another length.
            InvalidIndexConfigError: Parameters do not fit each other.
        """
        vectors = checks.as_matrix(vectors, dim=None, what="vectors")
        checks.largest_norm(vectors, what="vectors")
        queries = None if queries is None else checks.check_queries(queries, 1, dim=vectors.shape[1])
        chosen, sample = measured(vectors, parameters or LshParameters(), queries=queries)
        index = cls._over(vectors, chosen)
        if sample is None:
            return index
        return cls(index._rows, replace(chosen, expected_recall=expected_recall(index, sample, chosen)))

    @classmethod
    def empty(cls, dim: int, parameters: LshParameters | None = None, *, capacity: int = 1024) -> LshIndex:
        """Returns an index without rows; what is left to the rule follows from the closed forms for `capacity` rows."""
        parameters = (parameters or LshParameters()).for_rows(capacity, dim)
        return cls._over(np.empty((0, dim), dtype=np.float32), parameters)

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: LshParameters | None = None) -> LshIndex:
        """Reads what `save` wrote, and joins it with the vectors it was built from; functions follow from the seed.

        Raises:
            SnapshotDamagedError: The file is unreadable, or of other rows or tables.
        """
        vectors = checks.as_matrix(vectors, dim=None, what="vectors")
        checks.largest_norm(vectors, what="vectors")
        return cls._over(vectors, for_data(vectors, parameters or LshParameters()), folder)

    @classmethod
    def _over(cls, vectors: FloatArray, parameters: LshParameters, folder: Path | None = None) -> LshIndex:
        family = draw(parameters.family, parameters.shape(vectors.shape[1]))
        known = None if folder is None else read_buckets(folder, vectors, family, tables=parameters.tables)
        return cls(LshRows(family, vectors, threads=parameters.threads, known=known), parameters)

    def save(self, folder: Path) -> None:
        """Writes in which buckets the rows lie, see `index.lsh_file`; vectors and functions are had without."""
        write_buckets(folder, self._rows.buckets())

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._rows.dim

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""
        return self._rows.published.num_rows

    def parameters(self) -> Parameters:
        """Returns the values in use; none of them is left to a rule, whose `expected_recall` is among them."""
        return self._parameters.as_dict()

    def retuned(self, **search_parameters: Any) -> LshIndex:
        """Returns an index over the same rows, shared, that is searched with other parameters.

        Args:
            search_parameters: Of probes, min_hits, rerank and threads.

        Raises:
            InvalidIndexConfigError: Another parameter, or one of another type or out of range.
        """
        return LshIndex(self._rows, self._parameters.retuned(search_parameters))

    def resident_bytes(self) -> int:
        """Returns the bytes of tables, quantised rows and functions; of the vectors few are read, at random."""
        return self._rows.resident_bytes()

    def append(self, vectors: FloatArray) -> None:
        """Adds rows at the end; see `AppendableIndex.append`."""
        self._rows.append(vectors)

    def search(
        self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None, num_rows: int | None = None
    ) -> Neighbors:
        """Returns up to `k` of the first `num_rows` rows, as many as exact search; see `AppendableIndex.search`."""
        published = self._rows.published
        num_rows = checked_bound(num_rows, published.num_rows)
        queries = checks.check_queries(queries, k, dim=self.dim)
        allowed, num_allowed = checks.count_allowed(allowed, num_rows)
        if num_allowed == 0 or queries.shape[0] == 0:
            return Neighbors.none(queries.shape[0], min(k, num_rows))
        request = Request.of(self._parameters, k, num_rows=num_rows, num_allowed=num_allowed, allowed=allowed)
        searcher = Searcher(self._rows, published, request)
        reads = request.probes * num_rows >> self._parameters.bits
        if request.wanted == num_allowed or (num_allowed < num_rows and reads >= num_allowed):
            return searcher.exact(queries)
        return searcher.search(queries, threads=self._parameters.threads)
