"""Exact Jaccard similarity of one token set to many, and the lookup of banded keys, as compiled loops.

A set less than t times as large as another cannot have similarity t to it, and is passed over unread; others are read
until too many tokens are missing. A small table says of nearly every token that the query lacks it.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from recall.model.codes import IdArray
from recall.model.token_sets import TokenSets

_TOKENS = types.Array(types.uint64, 1, "C", readonly=True)
_OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
_TABLE = types.Array(types.uint8, 1, "C", readonly=True)
_KEYS = types.Array(types.uint32, 2, "C", readonly=True)
_KEY = types.Array(types.uint32, 1, "C", readonly=True)
_ROWS = types.Array(types.int32, 2, "C", readonly=True)
_OUT_SEEN = types.Array(types.uint8, 1, "C")
_OUT_FOUND = types.Array(types.int64, 1, "C")
_OUT_SCORES = types.Array(types.float32, 1, "C")

_SLOTS_PER_TOKEN = 16


def jaccard(query: IdArray, sets: TokenSets, rows: NDArray[np.int64], *, least: float = 0.0) -> NDArray[np.float32]:
    """Returns the Jaccard similarity of a set to some rows, [len(rows)] float32; 0 where it is below `least`.

    Args:
        query: [num_tokens] uint64, ascending and distinct.
        sets: The others.
        rows: [num_rows] int64, rows of `sets`.
        least: Similarity from which on it is wanted.
    """
    num_slots = 1 << (_SLOTS_PER_TOKEN * max(len(query), 1) - 1).bit_length()
    table = np.zeros(num_slots, dtype=np.uint8)
    table[query & np.uint64(num_slots - 1)] = 1
    scores = np.empty(len(rows), dtype=np.float32)
    _score(query, table, sets.tokens, sets.offsets, rows, least, scores)
    return scores


def rows_with_key(
    keys: NDArray[np.uint32], rows: NDArray[np.int32], query: NDArray[np.uint32], num_rows: int
) -> NDArray[np.int64]:
    """Returns the rows that have the query's key in any band, ascending, [num_found] int64.

    Args:
        keys: [num_bands, n] uint32, ascending within a band.
        rows: [num_bands, n] int32, whose key that is, below `num_rows`.
        query: [num_bands] uint32.
        num_rows: Bound of the rows.
    """
    seen = np.zeros(num_rows, dtype=np.uint8)  # the system hands out zeros page by page, as they are touched
    return np.sort(_collect(keys, rows, query, seen))


# Eager signatures: one compilation each, loaded from the cache afterwards.
@njit(types.void(_TOKENS, _TABLE, _TOKENS, _OFFSETS, _OFFSETS, types.float64, _OUT_SCORES), cache=True, nogil=True)
def _score(query, table, tokens, offsets, rows, least, scores):  # type: ignore[no-untyped-def]  # compiled
    low_bits = np.uint64(table.size - 1)
    for slot in range(rows.size):
        start, stop = offsets[rows[slot]], offsets[rows[slot] + 1]
        smaller, larger = min(query.size, stop - start), max(query.size, stop - start)
        scores[slot] = 0.0
        if smaller == 0 or smaller < least * larger:
            continue
        # c common tokens of a + b give c / (a + b - c), which is at least t where c is at least t (a + b) / (1 + t).
        most_missing = (stop - start) - least * (query.size + (stop - start)) / (1.0 + least) + 1e-6
        common, missing, place = 0, 0, 0
        for at in range(start, stop):
            token = tokens[at]
            if table[token & low_bits]:
                # Both ascend, so the search goes on where the last one ended.
                while place < query.size and query[place] < token:
                    place += 1
                if place < query.size and query[place] == token:
                    common += 1
                    continue
            missing += 1
            if missing > most_missing:
                break
        similarity = common / (query.size + (stop - start) - common)
        if similarity >= least and missing <= most_missing:
            scores[slot] = similarity


@njit(_OUT_FOUND(_KEYS, _ROWS, _KEY, _OUT_SEEN), cache=True, nogil=True)
def _collect(keys, rows, query, seen):  # type: ignore[no-untyped-def]  # compiled
    starts = np.empty(keys.shape[0], dtype=np.int64)
    num_found = 0
    for band in range(keys.shape[0]):
        starts[band] = np.searchsorted(keys[band], query[band])
        at = starts[band]
        while at < keys.shape[1] and keys[band, at] == query[band]:
            at += 1
        num_found += at - starts[band]
    found = np.empty(num_found, dtype=np.int64)
    num_distinct = 0
    for band in range(keys.shape[0]):
        at = starts[band]
        while at < keys.shape[1] and keys[band, at] == query[band]:
            row = rows[band, at]
            if not seen[row]:
                seen[row] = 1
                found[num_distinct] = row
                num_distinct += 1
            at += 1
    return found[:num_distinct]
