"""Sparse kinds: rows are bags of weighted tokens, scores inner products with a profile, all of it exact.

`SparseIndex` never changes. It holds an inverted index: for each token the rows that have it, ascending, with their
weights, found by binary search among the sorted distinct tokens. A search adds up the lists of the profile's tokens.

`AppendableSparse` grows at its end. It keeps the bags alone and looks each of their tokens up in the profile: a new row
costs its own length whatever is there, no list is ever half linked under a reader, and as the dense part of fresh rows
is scanned too, this scan costs no more.

Both score by `index.sparse_kernels`, which give the same floats whichever way they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index import checks
from index.bags import Bags, TokenArray
from index.flat import checked_bound
from index.growing_arrays import with_room
from index.protocols import FloatArray, Neighbors, Parameters, RowArray, RowBitmap
from index.sparse_kernels import add_postings, candidates, score_bags
from index.topk import best, gather_neighbors


class SparseRows(Protocol):
    """Rows of bags that can be scored all at once."""

    @property
    def num_rows(self) -> int:
        """Rows held."""

    @property
    def bags(self) -> Bags:
        """The bags by row."""

    def scores(self, profile: Bags) -> FloatArray:
        """Returns the inner product of one profile with every row, [num_rows] float32, a new array."""


class SparseIndex:
    """Exact search over bags that never change."""

    kind = "sparse"

    def __init__(self, bags: Bags) -> None:
        """Makes the posting lists; keeps the bags, which may be memory maps and to which nobody may write."""
        self._bags = bags
        used = bags.num_tokens
        order = np.argsort(bags.tokens[:used], kind="stable")
        owners = np.repeat(np.arange(len(bags), dtype=np.int32), np.diff(bags.offsets))
        tokens = bags.tokens[:used][order]
        firsts = np.flatnonzero(np.concatenate((np.ones(min(used, 1), np.bool_), tokens[1:] != tokens[:-1])))
        self._tokens: TokenArray = tokens[firsts]
        self._starts: RowArray = np.append(firsts, used).astype(np.int64, copy=False)
        self._rows = owners[order]
        self._weights: FloatArray = bags.weights[:used][order]

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return len(self._bags)

    @property
    def bags(self) -> Bags:
        """The bags by row; not to be written."""
        return self._bags

    def parameters(self) -> Parameters:
        """Returns nothing: exact search has no parameters."""
        return {}

    def scores(self, profile: Bags) -> FloatArray:
        """Returns the inner product of one profile with every row, [num_rows] float32."""
        scores = np.zeros(self.num_rows, dtype=np.float32)
        wanted, weights = profile.tokens[: profile.num_tokens], profile.weights[: profile.num_tokens]
        places = np.searchsorted(self._tokens, wanted)
        places[places == self._tokens.size] = 0
        known = self._tokens[places] == wanted if self._tokens.size else np.zeros(wanted.size, np.bool_)
        add_postings(places[known], weights[known], self._starts, self._rows, self._weights, scores)
        return scores

    def search(self, queries: Bags, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns the exact top `k` rows a query; a row that shares no token with it scores 0.

        Args:
            queries: One profile a query.
            k: Rows wanted, at least 1.
            allowed: Rows that may be returned; None allows every row.

        Raises:
            InvalidQueryError: `k` is below 1, or `allowed` is too short.
        """
        return _search(self, queries, k, allowed)


@dataclass(frozen=True, slots=True)
class ScannedBags:
    """Bags without an inverted index: every token of every row is looked up in the profile."""

    bags: Bags

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return len(self.bags)

    def scores(self, profile: Bags) -> FloatArray:
        """Returns the inner product of one profile with every row, [num_rows] float32."""
        rows = np.arange(len(self.bags), dtype=np.int64)
        return score_bags(profile, self.bags, rows, offsets=np.array([0, rows.size], dtype=np.int64))


class AppendableSparse:
    """Exact search over bags that grow at the end.

    Full buffers are replaced by ones of twice the size; readers that hold the old ones go on with them. What is before
    a published end never changes.
    """

    kind = "sparse"

    def __init__(self, *, capacity: int = 1024) -> None:
        """Starts empty, with room for `capacity` rows."""
        self._tokens: TokenArray = np.empty(16 * capacity, dtype=np.uint64)
        self._weights: FloatArray = np.empty(16 * capacity, dtype=np.float32)
        self._offsets: RowArray = np.zeros(capacity + 1, dtype=np.int64)
        self._bags = Bags.none(0)

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""
        return len(self._bags)

    @property
    def bags(self) -> Bags:
        """The bags by row, as of now; not to be written."""
        return self._bags

    def parameters(self) -> Parameters:
        """Returns nothing: exact search has no parameters."""
        return {}

    def append(self, bags: Bags) -> None:
        """Adds rows at the end. One writer at a time; readers go on."""
        self.make_room(bags)
        start, first = self._bags.num_tokens, self.num_rows
        stop, num_rows = start + bags.num_tokens, first + len(bags)
        self._tokens[start:stop] = bags.tokens[: bags.num_tokens]
        self._weights[start:stop] = bags.weights[: bags.num_tokens]
        self._offsets[first + 1 : num_rows + 1] = bags.offsets[1:] + start
        self._bags = Bags(tokens=self._tokens, weights=self._weights, offsets=self._offsets[: num_rows + 1])

    def make_room(self, bags: Bags) -> None:
        """Takes the memory that `append` needs for these rows, so that it cannot fail halfway."""
        self._tokens = with_room(self._tokens, self._bags.num_tokens + bags.num_tokens)
        self._weights = with_room(self._weights, self._bags.num_tokens + bags.num_tokens)
        self._offsets = with_room(self._offsets, self.num_rows + len(bags) + 1)

    def rows(self, num_rows: int) -> ScannedBags:
        """Returns the first `num_rows` rows, at most those appended so far, to be scored."""
        bags = self._bags
        return ScannedBags(Bags(tokens=bags.tokens, weights=bags.weights, offsets=bags.offsets[: num_rows + 1]))

    def search(
        self, queries: Bags, k: int, *, allowed: RowBitmap | None = None, num_rows: int | None = None
    ) -> Neighbors:
        """Searches like `SparseIndex.search`, among the first `num_rows` rows only (None: all published).

        Raises:
            InvalidQueryError: `k` is below 1, `allowed` is too short, or `num_rows` above what is published.
        """
        return _search(self.rows(checked_bound(num_rows, self.num_rows)), queries, k, allowed)


def _search(rows: SparseRows, queries: Bags, k: int, allowed: RowBitmap | None) -> Neighbors:
    checks.check_k(k)
    allowed = checks.check_allowed(allowed, rows.num_rows)
    found = []
    for query in range(len(queries)):
        scores = rows.scores(queries.take(np.array([query])))
        near = candidates(scores, k, allowed=allowed, margin=0.0)
        found.append(best(near, scores[near], k))
    return gather_neighbors(found, min(k, rows.num_rows))
