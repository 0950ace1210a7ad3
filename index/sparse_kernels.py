"""Compiled loops of `index.sparse` and `index.fused`: inner products of bags, and the choice of candidates.

The inner product of a profile and a bag is the float32 sum of its products in ascending order of the tokens, rounded
after every step (nothing here may be reordered or contracted). `_score` takes it row by row, `add_postings` token by
token for all rows at once: the same terms in the same order, hence the same floats.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from index.bags import OFFSETS, TOKENS, WEIGHTS, Bags, TokenArray
from index.protocols import FloatArray, RowArray, RowBitmap

PostingRows: TypeAlias = NDArray[np.int32]

_POSTING_ROWS = types.Array(types.int32, 1, "C", readonly=True)
_BITMAP = types.Array(types.uint8, 1, "C", readonly=True)
_OUT_SCORES = types.float32[::1]
_MIX = np.uint64(0x9E3779B97F4A7C15)
ROUNDING = 2.0**-21
"""How far rounding of one sum may set two scores apart that are alike, relative to them; several times too much."""
_NO_ROWS = np.empty(0, dtype=np.uint8)


def score_bags(profiles: Bags, bags: Bags, rows: RowArray, *, offsets: RowArray) -> FloatArray:
    """Returns the inner product of each profile with the bags of its own rows.

    Args:
        profiles: One a query.
        bags: Rows.
        rows: [num_pairs] int64, all in range; those of query i are `rows[offsets[i]:offsets[i + 1]]`.
        offsets: [num_queries + 1] int64, ascending from 0 to num_pairs.

    Returns:
        [num_pairs] float32; 0 where no token is shared.
    """
    assert offsets.size == profiles.offsets.size
    assert int(offsets[-1]) == rows.size
    scores = np.empty(rows.size, dtype=np.float32)
    _score(
        profiles.tokens,
        profiles.weights,
        profiles.offsets,
        bags.tokens,
        bags.weights,
        bags.offsets,
        rows,
        offsets,
        scores,
    )
    return scores


@njit(
    types.void(TOKENS, WEIGHTS, OFFSETS, TOKENS, WEIGHTS, OFFSETS, OFFSETS, OFFSETS, _OUT_SCORES),
    cache=True,
    nogil=True,
)
def _score(
    profile_tokens: TokenArray,
    profile_weights: FloatArray,
    profile_offsets: RowArray,
    tokens: TokenArray,
    weights: FloatArray,
    offsets: RowArray,
    rows: RowArray,
    pair_offsets: RowArray,
    scores: FloatArray,
) -> None:
    # The profile goes into a table of open addresses, at most an eighth full. Whether a row's token is in it is a toss,
    # so nothing is branched on: as many places are looked at as any token of the profile was put away from its own.
    for query in range(profile_offsets.size - 1):
        start, stop = profile_offsets[query], profile_offsets[query + 1]
        bits = 4
        while (1 << bits) < 8 * (stop - start):
            bits += 1
        shift = np.uint64(64 - bits)
        keys = np.zeros((1 << bits) + stop - start, dtype=np.uint64)
        values = np.zeros(keys.size, dtype=np.float32)  # 0 marks an empty place
        depth = 0
        for slot in range(start, stop):
            place, step = np.int64((profile_tokens[slot] * _MIX) >> shift), 0
            while values[place + step] != 0:
                step += 1
            keys[place + step], values[place + step] = profile_tokens[slot], profile_weights[slot]
            depth = max(depth, step + 1)
        for pair in range(pair_offsets[query], pair_offsets[query + 1]):
            row = rows[pair]
            total = np.float32(0)
            for slot in range(offsets[row], offsets[row + 1]):
                first = (tokens[slot] * _MIX) >> shift
                weight = np.float32(0)
                for step in range(depth):
                    seen = first + np.uint64(step)
                    weight += np.float32(keys[seen] == tokens[slot]) * values[seen]
                total += weight * weights[slot]
            scores[pair] = total


@njit(
    types.void(OFFSETS, WEIGHTS, OFFSETS, _POSTING_ROWS, WEIGHTS, _OUT_SCORES),
    cache=True,
    nogil=True,
)
def add_postings(
    lists: RowArray,
    list_weights: FloatArray,
    starts: RowArray,
    rows: PostingRows,
    weights: FloatArray,
    scores: FloatArray,
) -> None:
    """Adds the inner product of one profile with every row to `scores`.

    Args:
        lists: [n] int64, posting lists of the profile's tokens, in ascending order of the tokens.
        list_weights: [n] float32, the profile's weights.
        starts: [num_lists + 1] int64; list l is `starts[l]` to `starts[l + 1]`.
        rows: [num_postings] int32, ascending within a list.
        weights: [num_postings] float32.
        scores: [num_rows] float32, zeros.
    """
    for i in range(lists.size):
        weight = list_weights[i]
        for place in range(starts[lists[i]], starts[lists[i] + 1]):
            scores[np.uint32(rows[place])] += weight * weights[place]


def candidates(scores: FloatArray, k: int, *, allowed: RowBitmap | None, margin: float) -> RowArray:
    """Returns every row that may be in the top `k`, ascending int64.

    Args:
        scores: [num_rows] float32, finite; nearly final, or final.
        k: At least 1.
        allowed: Rows that may be returned; None allows every row.
        margin: How far the dense part may set two rows apart that are alike, to which rounding of the sum of both parts
            is added; 0 where scores are final: fewer than 2 k rows are returned then, however many are alike.
    """
    rows = np.empty(scores.size, dtype=np.int64)
    k = min(k, scores.size)
    if k == 0:
        return rows
    bits, restricted = (_NO_ROWS, False) if allowed is None else (allowed, True)
    floor = float(_kth_best(scores, bits, restricted, k))
    cut = floor - margin - ROUNDING * abs(floor) if margin > 0 and floor > -np.inf else floor
    return rows[: _at_least(scores, bits, restricted, cut, k, rows)].copy()


def rows_from(scores: FloatArray, cut: float, *, allowed: RowBitmap | None) -> RowArray:
    """Returns every row whose score, [num_rows] float32, is at least `cut`, ascending int64."""
    rows = np.empty(scores.size, dtype=np.int64)
    bits, restricted = (_NO_ROWS, False) if allowed is None else (allowed, True)
    return rows[: _at_least(scores, bits, restricted, cut, scores.size, rows)].copy()


@njit(types.float32(WEIGHTS, _BITMAP, types.boolean, types.int64), cache=True, nogil=True)
def _kth_best(scores: FloatArray, allowed: RowBitmap, restricted: bool, k: int) -> np.float32:
    """Returns the k-th greatest score of the allowed rows, -inf where there are fewer."""
    heap: FloatArray = np.full(k, -np.inf, dtype=np.float32)  # the k best so far, the worst of them at the root
    for row in range(scores.size):
        score = scores[row]
        if score > heap[0] and (not restricted or allowed[row >> 3] >> (row & 7) & 1):
            hole, child = 0, 1
            while child < k:
                if child + 1 < k and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= score:
                    break
                heap[hole] = heap[child]
                hole, child = child, 2 * child + 1
            heap[hole] = score
    worst: np.float32 = heap[0]
    return worst


@njit(
    types.int64(WEIGHTS, _BITMAP, types.boolean, types.float64, types.int64, types.int64[::1]), cache=True, nogil=True
)
def _at_least(scores: FloatArray, allowed: RowBitmap, restricted: bool, cut: float, k: int, out_rows: RowArray) -> int:
    """Writes the allowed rows with a score above `cut`, and the first k of those at it; returns how many they are.

    With a margin no row at the cut itself is near the top; without one scores are final, and lower rows go first.
    """
    count, num_equal = 0, 0
    for row in range(scores.size):
        score = np.float64(scores[row])
        if score >= cut and (not restricted or allowed[row >> 3] >> (row & 7) & 1):
            num_equal += score == cut
            if score > cut or num_equal <= k:
                out_rows[count] = row
                count += 1
    return count
