"""The three protocols of this package: `VectorIndex`, `AppendableIndex` and `ItemIndex`.

Rows are dense numbers from 0; item ids are what clients send. Scores are inner products, greater is better.
Every result is ordered by score descending, then row (or item id in UTF-8 byte order) ascending.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.conditions import Condition

FloatArray: TypeAlias = NDArray[np.float32]
RowArray: TypeAlias = NDArray[np.int64]
RowBitmap: TypeAlias = NDArray[np.uint8]
"""One bit a row, little bit order within a byte: row r is bit `r & 7` of byte `r >> 3`."""

Parameters: TypeAlias = dict[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Rows found for each query.

    Attributes:
        rows: [num_queries, width] int64, width = min(k, rows held); slots from `counts[i]` on hold -1 and never
            leave this package.
        scores: [num_queries, width] float32, descending; unused slots hold -inf.
        counts: [num_queries] int64, how many slots of a query are used.
    """

    rows: RowArray
    scores: FloatArray
    counts: RowArray

    @classmethod
    def none(cls, num_queries: int, width: int) -> Neighbors:
        """Returns slots of which none is used yet, to be filled by the search that makes them."""
        return cls(
            rows=np.full((num_queries, width), -1, dtype=np.int64),
            scores=np.full((num_queries, width), -np.inf, dtype=np.float32),
            counts=np.zeros(num_queries, dtype=np.int64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Neighbors]) -> Neighbors:
        """Returns the results of one part of the queries after the other, all of one width; at least one part."""
        return cls(
            rows=np.concatenate([part.rows for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            counts=np.concatenate([part.counts for part in parts]),
        )

    def put(self, places: RowArray, found: Neighbors) -> None:
        """Writes what was found for a few queries over their results; for the search that made both.

        Args:
            places: [len(found.counts)] int64, which queries these are.
            found: Their results, of the same width.
        """
        self.rows[places], self.scores[places], self.counts[places] = found.rows, found.scores, found.counts


@dataclass(frozen=True, slots=True)
class Hits:
    """Items found for one query, best first.

    Attributes:
        item_ids: At most k ids.
        scores: [len(item_ids)] float32, descending.
    """

    item_ids: list[str]
    scores: FloatArray


class VectorIndex(Protocol):
    """Immutable rows of vectors that can be searched."""

    @property
    def kind(self) -> str:
        """Name of the kind, for example `flat` or `hnsw`."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def num_rows(self) -> int:
        """Rows held."""

    def parameters(self) -> Parameters:
        """Returns what the index was built with, readable and serialisable."""

    def search(self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None) -> Neighbors:
        """Returns up to `k` rows a query among the allowed ones.

        Args:
            queries: [num_queries, dim] float32.
            k: Rows wanted, at least 1.
            allowed: Rows that may be returned; None allows every row.

        Raises:
            InvalidVectorError: A query is not finite or has another dimension.
            InvalidQueryError: `k` is below 1.
        """


class AppendableIndex(Protocol):
    """A `VectorIndex` that also takes rows at its end while readers search up to a published row count."""

    @property
    def kind(self) -> str:
        """Name of the kind."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""

    def parameters(self) -> Parameters:
        """Returns what the index was built with."""

    def append(self, vectors: FloatArray) -> None:
        """Adds rows at the end. One writer at a time; readers go on.

        Args:
            vectors: [num_new, dim] float32.

        Raises:
            InvalidVectorError: A vector is not finite or has another dimension.
        """

    def search(
        self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None, num_rows: int | None = None
    ) -> Neighbors:
        """Searches like `VectorIndex.search`, among the first `num_rows` rows only (None: all published)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What one query may return.

    Attributes:
        exclude: Item ids never returned.
        candidates: The only item ids that may be returned; None means all. Unknown ids are ignored.
        exact: Whether to search exhaustively instead of through the approximate base.
        filter: What must hold for an item to be returned; None means nothing.
    """

    exclude: Collection[str] = ()
    candidates: Sequence[str] | None = None
    exact: bool = False
    filter: Condition | None = None


class ItemIndex(Protocol):
    """Vectors by item id, written and searched at the same time."""

    @property
    def sequence(self) -> int:
        """Number of the last write that every search from now on reflects."""

    def apply(
        self, item_ids: Sequence[str], vectors: FloatArray, *, deleted: Sequence[str] = (), sequence: int
    ) -> None:
        """Upserts and deletes as one step; searches see all of it or nothing.

        Args:
            item_ids: Items to insert or replace, each once.
            vectors: [len(item_ids), dim] float32.
            deleted: Items to remove; unknown ids are ignored.
            sequence: Number of the last write in this step; becomes `sequence`.
        """

    def search(self, queries: FloatArray, k: int, options: Sequence[SearchOptions] | None = None) -> list[Hits]:
        """Returns up to `k` items a query; fewer only where fewer are eligible.

        Args:
            queries: [num_queries, dim] float32.
            k: Items wanted, at least 1.
            options: One a query; None means no restriction.
        """

    def gather(self, item_ids: Sequence[str]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns the vectors of those ids that are held, [num_found, dim], and a [len(item_ids)] mask of which."""
