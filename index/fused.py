"""Exact top k by the sum of two inner products: of vectors and of bags.

    score(query, row) = float32(<vector, vector of the row> + <profile, bag of the row>)

The dense part of all rows is a blocked matrix product, whose floats depend on the shape of the block; the sparse part
is final at once. A row is kept while their sum is within the rounding margin of the k-th best, and its dense part is
then scored by `index.rescore`. So the result is exactly the top k by the kernels' scores, ties included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.bags import Bags
from index.flat import product_margins
from index.protocols import FloatArray, Neighbors, RowArray, RowBitmap
from index.rescore import score_one
from index.sparse import SparseRows
from index.sparse_kernels import ROUNDING, candidates, rows_from
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
        for query, line in enumerate(_products(queries.vectors[start : start + size], rows.vectors), start=start):
            sparse = rows.sparse.scores(queries.profiles.take(np.array([query])))
            line += sparse
            near = candidates(line, k, allowed=allowed, margin=float(margins[query]))
            scores = score_one(queries.vectors[query], rows.vectors, near) + sparse[near]
            found.append(best(near, scores, k))
    return gather_neighbors(found, min(k, num_rows))


def _products(vectors: FloatArray, rows: FloatArray) -> FloatArray:
    if not vectors.any():  # asked by bags alone: the rows' vectors need not be read
        return np.zeros((vectors.shape[0], rows.shape[0]), dtype=np.float32)
    products: FloatArray = vectors @ rows.T
    return products


def fused_ranking(
    rows: FusedRows, queries: FusedQueries, k: int, *, dense: Neighbors, allowed: RowBitmap | None
) -> Neighbors:
    """Returns the best `k` by both parts, given the best by vectors alone.

    A row that an index did not list scores at most as much by its vector as the last row that it did (the threshold
    algorithm of Fagin, Lotem and Naor, Optimal aggregation algorithms for middleware, 2003, section 4). So beside the
    listed rows only those can enter the top k whose bags make up for that, and as all sparse scores are at hand, these
    are known. The result is exact where the list is.

    Args:
        rows: What is searched.
        queries: What is asked.
        k: At least 1, at most the number of allowed rows.
        dense: Rows listed for each query, at least k.
        allowed: Rows that may be returned; None allows every row.
    """
    found: list[tuple[RowArray, FloatArray]] = []
    for query in range(queries.vectors.shape[0]):
        listed = dense.rows[query, : dense.counts[query]]
        least = float(dense.scores[query, listed.size - 1])
        sparse = rows.sparse.scores(queries.profiles.take(np.array([query])))
        near = np.union1d(listed, candidates(sparse, k, allowed=allowed, margin=0.0))
        scores = score_one(queries.vectors[query], rows.vectors, near) + sparse[near]
        floor = float(np.partition(scores, scores.size - k)[scores.size - k])
        cut = floor - least - ROUNDING * (abs(floor) + abs(least))
        others = np.setdiff1d(rows_from(sparse, cut, allowed=allowed), near, assume_unique=True)
        more = score_one(queries.vectors[query], rows.vectors, others) + sparse[others]
        found.append(best(np.concatenate((near, others)), np.concatenate((scores, more)), k))
    return gather_neighbors(found, min(k, rows.vectors.shape[0]))
