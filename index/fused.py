"""Exact top k by the sum of two inner products: of vectors and of bags.

    score(query, row) = float32(<vector, vector of the row> + <profile, bag of the row>)

The dense part of all rows is a blocked matrix product, whose floats depend on the shape of the block; the sparse part
is final at once. A row is kept while their sum is within the rounding margin of the k-th best, and its dense part is
then scored by `index.rescore`. So the result is exactly the top k by the kernels' scores, ties included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.bags import Bags
from index.flat import product_margins
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_one, score_rows
from index.sparse import SparseRows
from index.sparse_kernels import candidates, score_bags
from index.topk import best, gather_neighbors

_BLOCK_SCORES = 4_194_304
_BLOCK_QUERIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedRows:
    """Rows with both parts.

    Attributes:
        vectors: [num_rows, dim] float32, C-contiguous.
        largest_norm: Greatest length of a vector, which bounds rounding.
        sparse: The bags of the same rows.
    """

    vectors: FloatArray
    largest_norm: float
    sparse: SparseRows


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedQueries:
    """Queries with both parts.

    Attributes:
        vectors: [num_queries, dim] float32, C-contiguous, finite.
        profiles: One a query.
    """

    vectors: FloatArray
    profiles: Bags


def fused_search(rows: FusedRows, queries: FusedQueries, k: int, *, allowed: RowBitmap | None) -> Neighbors:
    """Returns the exact top `k` of checked queries.

    Args:
        rows: What is searched.
        queries: What is asked.
        k: At least 1.
        allowed: Rows that may be returned; None allows every row.
    """
    num_queries, num_rows = queries.vectors.shape[0], rows.vectors.shape[0]
    margins = product_margins(queries.vectors, rows.largest_norm)
    size = min(max(_BLOCK_SCORES // max(num_rows, 1), 1), _BLOCK_QUERIES)
    found: list[tuple[RowArray, FloatArray]] = []
    for start in range(0, num_queries, size):
        for query, line in enumerate(queries.vectors[start : start + size] @ rows.vectors.T, start=start):
            sparse = rows.sparse.scores(queries.profiles.take(np.array([query])))
            line += sparse
            near = candidates(line, k, allowed=allowed, margin=float(margins[query]))
            scores = score_one(queries.vectors[query], rows.vectors, near) + sparse[near]
            found.append(best(near, scores, k))
    return gather_neighbors(found, min(k, num_rows))


def fused_ranking(rows: FusedRows, queries: FusedQueries, k: int, *, parts: Sequence[Neighbors]) -> Neighbors:
    """Returns the best `k` among the rows that any of several searches found.

    Args:
        rows: What was searched.
        queries: What is asked.
        k: At least 1.
        parts: Results of the same queries.
    """
    merged = [
        np.unique(np.concatenate([part.rows[query, : part.counts[query]] for part in parts]))
        for query in range(queries.vectors.shape[0])
    ]
    offsets = np.zeros(len(merged) + 1, dtype=np.int64)
    np.cumsum([found.size for found in merged], out=offsets[1:])
    pairs = np.concatenate([np.empty(0, dtype=np.int64), *merged])
    scores = score_rows(queries.vectors, rows.vectors, pairs, offsets=offsets)
    scores += score_bags(queries.profiles, rows.sparse.bags, pairs, offsets=offsets)
    ends = zip(merged, offsets[:-1], offsets[1:], strict=True)
    return gather_neighbors([best(found, scores[a:b], k) for found, a, b in ends], min(k, rows.vectors.shape[0]))
