"""Weighted bags of hashed tokens, many side by side: what the sparse part of an index holds and is asked with.

Within a bag tokens ascend and are distinct, so the inner product of two bags has one order of its terms. Weights are
never zero: a token that is there counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numba import njit, types
from numpy.typing import ArrayLike, NDArray

from index.errors import InvalidVectorError
from index.protocols import FloatArray, RowArray

TokenArray: TypeAlias = NDArray[np.uint64]

_Scalar = TypeVar("_Scalar", bound=np.generic)

TOKENS = types.Array(types.uint64, 1, "C", readonly=True)
WEIGHTS = types.Array(types.float32, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
_OUT_TOKENS, _OUT_WEIGHTS, _OUT_OFFSETS = types.uint64[::1], types.float32[::1], types.int64[::1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bags:
    """Weighted tokens of some rows, one bag a row; make it with `Bags.of`, which checks.

    Attributes:
        tokens: [num_tokens] uint64, ascending and distinct within a row.
        weights: [num_tokens] float32, finite and not zero.
        offsets: [num_rows + 1] int64; row r holds `tokens[offsets[r]:offsets[r + 1]]`, may be empty. The arrays
            may hold more than the last offset.
    """

    tokens: TokenArray
    weights: FloatArray
    offsets: RowArray

    @classmethod
    def of(cls, tokens: ArrayLike, weights: ArrayLike, offsets: ArrayLike) -> Bags:
        """Sorts each row by token, adds up equal tokens and drops those of weight zero.

        Args:
            tokens: [num_tokens] uint64, in any order within a row.
            weights: [num_tokens] numbers.
            offsets: [num_rows + 1], ascending from 0 to num_tokens.

        Raises:
            InvalidVectorError: Shapes or offsets do not fit, or a row has a weight or a length that is not finite.
        """
        given = _as_array(tokens, np.uint64, what="tokens")
        values = _as_array(weights, np.float32, what="weights")
        bounds = _as_array(offsets, np.int64, what="offsets")
        if given.size != values.size:
            raise InvalidVectorError(f"{given.size} tokens and {values.size} weights; want one weight a token")
        _check_offsets(bounds, given.size)
        bags = cls(tokens=given, weights=values, offsets=bounds)
        if bags.is_ordered():
            return bags
        return cls._ordered(given, values, bounds)

    @classmethod
    def _ordered(cls, tokens: TokenArray, weights: FloatArray, offsets: RowArray) -> Bags:
        out = cls(tokens=np.empty_like(tokens), weights=np.empty_like(weights), offsets=np.zeros_like(offsets))
        bad = _order(tokens, weights, offsets, out.tokens, out.weights, out.offsets)
        if bad >= 0:
            raise InvalidVectorError(
                f"bag of row {bad} has a weight that is not finite, or weights too large for float32 scores; "
                "want finite weights"
            )
        used = int(out.offsets[-1])
        return cls(tokens=out.tokens[:used].copy(), weights=out.weights[:used].copy(), offsets=out.offsets)

    @classmethod
    def none(cls, num_rows: int) -> Bags:
        """Returns `num_rows` empty bags."""
        return cls(
            tokens=np.empty(0, dtype=np.uint64),
            weights=np.empty(0, dtype=np.float32),
            offsets=np.zeros(num_rows + 1, dtype=np.int64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Bags]) -> Bags:
        """Returns the rows of all parts, one part after another."""
        sizes = [int(part.offsets[-1]) for part in parts]
        starts = np.cumsum([0, *sizes])
        offsets = [part.offsets[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls(
            tokens=np.concatenate([np.empty(0, np.uint64), *(p.tokens[:n] for p, n in zip(parts, sizes, strict=True))]),
            weights=np.concatenate(
                [np.empty(0, np.float32), *(p.weights[:n] for p, n in zip(parts, sizes, strict=True))]
            ),
            offsets=np.concatenate([np.zeros(1, np.int64), *offsets]),
        )

    def __len__(self) -> int:
        """Returns the number of rows."""
        return self.offsets.size - 1

    @property
    def num_tokens(self) -> int:
        """Tokens of all rows together."""
        return int(self.offsets[-1])

    def is_ordered(self) -> bool:
        """Returns whether every row is as `Bags.of` makes it: ascending, distinct, finite and without zero."""
        return bool(_is_ordered(self.tokens, self.weights, self.offsets))

    def take(self, rows: RowArray) -> Bags:
        """Returns the bags of `rows`, [n] int64 in range, in that order."""
        starts, stops = self.offsets[rows], self.offsets[1:][rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(stops - starts, out=offsets[1:])
        tokens = np.empty(offsets[-1], dtype=np.uint64)
        weights = np.empty(offsets[-1], dtype=np.float32)
        _take(self.tokens, self.weights, np.ascontiguousarray(starts), offsets, tokens, weights)
        return Bags(tokens=tokens, weights=weights, offsets=offsets)


def _as_array(values: ArrayLike, dtype: type[_Scalar], *, what: str) -> NDArray[_Scalar]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.can_cast(array.dtype, dtype, casting="same_kind")):
        raise InvalidVectorError(f"{what} is {array.dtype} of shape {list(array.shape)}; want [n] {np.dtype(dtype)}")
    return np.ascontiguousarray(array, dtype=dtype)


def _check_offsets(offsets: RowArray, num_tokens: int) -> None:
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != num_tokens:
        ends = offsets[[0, -1]].tolist() if offsets.size else []
        raise InvalidVectorError(f"offsets go from and to {ends}; want 0 to the {num_tokens} tokens")
    falling = np.flatnonzero(offsets[1:] < offsets[:-1])  # a difference could overflow
    if falling.size:
        row = int(falling[0])
        raise InvalidVectorError(f"offsets of row {row} go from {offsets[row]} to {offsets[row + 1]}; want ascending")


@njit(types.boolean(TOKENS, WEIGHTS, OFFSETS), cache=True, nogil=True)
def _is_ordered(tokens: TokenArray, weights: FloatArray, offsets: RowArray) -> bool:
    for row in range(offsets.size - 1):
        squares = np.float32(0)
        for slot in range(offsets[row], offsets[row + 1]):
            if weights[slot] == 0 or (slot > offsets[row] and tokens[slot] <= tokens[slot - 1]):
                return False
            squares += weights[slot] * weights[slot]
        if not np.isfinite(squares):
            return False
    return True


@njit(types.int64(TOKENS, WEIGHTS, OFFSETS, _OUT_TOKENS, _OUT_WEIGHTS, _OUT_OFFSETS), cache=True, nogil=True)
def _order(
    tokens: TokenArray,
    weights: FloatArray,
    offsets: RowArray,
    out_tokens: TokenArray,
    out_weights: FloatArray,
    out_offsets: RowArray,
) -> int:
    """Writes the rows in order and returns the first row that is not finite, or -1."""
    end = 0
    for row in range(offsets.size - 1):
        start, stop = offsets[row], offsets[row + 1]
        first = end
        squares = np.float32(0)
        order = np.argsort(tokens[start:stop], kind="mergesort")  # stable: equal tokens add up in the order given
        slot = 0
        while slot < stop - start:
            token = tokens[start + order[slot]]
            total = np.float32(0)
            while slot < stop - start and tokens[start + order[slot]] == token:
                total += weights[start + order[slot]]
                slot += 1
            squares += total * total
            if total != 0:
                out_tokens[end], out_weights[end] = token, total
                end += 1
        if not np.isfinite(squares):
            return row
        out_offsets[row] = first
    out_offsets[offsets.size - 1] = end
    return -1


@njit(types.void(TOKENS, WEIGHTS, OFFSETS, OFFSETS, _OUT_TOKENS, _OUT_WEIGHTS), cache=True, nogil=True)
def _take(
    tokens: TokenArray,
    weights: FloatArray,
    starts: RowArray,
    offsets: RowArray,
    out_tokens: TokenArray,
    out_weights: FloatArray,
) -> None:
    for row in range(starts.size):
        for slot in range(offsets[row], offsets[row + 1]):
            place = starts[row] + slot - offsets[row]
            out_tokens[slot], out_weights[slot] = tokens[place], weights[place]
