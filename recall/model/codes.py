"""Dense codes of hashed ids: the encoding of Deep Hash Embedding (Kang et al., KDD 2021, section 3.2).

`k` seeded hash functions map a 64-bit id into `[0, m)`; the values are scaled to a dense code, uniform in [-1, 1]
(equation 2) or Gaussian by Box-Muller on pairs (section 3.2.2). We differ from the paper in the hash family: instead of
`((a s + b) mod p) mod m` each pair of functions is the two halves of one 64-bit mix (the finaliser of splitmix64,
Steele et al., OOPSLA 2014) of the id plus a seed, reduced to `[0, m)` by multiply-shift (Lemire, 2019). A linear family
gives consecutive ids a common offset and shares periods between functions; a mixing one does not. All arithmetic is
modulo 2^64, so nothing overflows and no remainder is negative.

Format, fixed for ever by golden vectors: seed j = mix(seed + (j + 1) * 0x9E3779B97F4A7C15); h = mix(id + seed_j);
value 2j = ((h mod 2^32) * m) >> 32, value 2j + 1 = ((h >> 32) * m) >> 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recall.model.bags import Bags

IdArray: TypeAlias = NDArray[np.uint64]
Distribution: TypeAlias = Literal["uniform", "gaussian"]

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HashFamily:
    """`k` seeded hash functions into `[0, m)` and the scaling of their values.

    Attributes:
        k: Number of functions and length of a code; even.
        m: Number of values of a function, 2 to 2^31.
        seed: Chooses the functions.
        distribution: `uniform` in [-1, 1] or standard `gaussian`.
    """

    k: int = 1024
    m: int = 1_000_000
    seed: int = 0
    distribution: Distribution = "uniform"

    def __post_init__(self) -> None:
        """Checks the sizes.

        Raises:
            ValueError: `k` is odd or below 2, or `m` is out of range.
        """
        if self.k < 2 or self.k % 2:
            raise ValueError(f"k = {self.k}; the hash functions come in pairs, choose an even k of at least 2")
        if not 2 <= self.m <= 1 << 31:
            raise ValueError(f"m = {self.m}; choose a value from 2 to 2^31")

    def seeds(self) -> IdArray:
        """Returns the seed of each pair of functions, [k / 2] uint64."""
        return _seeds(self.seed, self.k // 2)

    def hashes(self, ids: IdArray) -> NDArray[np.int64]:
        """Returns the hash values of `ids`, [num_ids, k] int64 in [0, m)."""
        out = np.empty((len(ids), self.k), dtype=np.int64)
        _hash_all(ids, self.seeds(), np.uint64(self.m), out)
        return out

    def codes(self, ids: IdArray) -> NDArray[np.float32]:
        """Returns the codes of `ids`, [num_ids, k] float32, in one compiled pass."""
        offsets = np.arange(len(ids) + 1, dtype=np.int64)
        return self.pooled_codes(Bags(tokens=ids, weights=np.ones(len(ids), dtype=np.float32), offsets=offsets))

    def pooled_codes(self, bags: Bags) -> NDArray[np.float32]:
        """Returns the weighted sum of codes of each bag, without an array of all codes.

        Returns:
            [num_bags, k] float32; zeros for an empty bag.
        """
        out = np.zeros((len(bags), self.k), dtype=np.float32)
        kernel = _pool_uniform if self.distribution == "uniform" else _pool_gaussian
        kernel(bags.tokens, bags.weights, bags.offsets, self.seeds(), np.uint64(self.m), out)
        return out


@cache  # of the few families of a process; anew they take longer than the codes of a hundred ids
def _seeds(seed: int, num_pairs: int) -> IdArray:
    seeds = np.array([mix64(seed + (pair + 1) * _GOLDEN_GAMMA) for pair in range(num_pairs)], dtype=np.uint64)
    seeds.setflags(write=False)
    return seeds


def mix64(value: int) -> int:
    """Returns the splitmix64 finaliser of `value` modulo 2^64; the reference of the compiled one."""
    value &= _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def mixed(values: IdArray) -> IdArray:
    """Returns `mix64` of each value, uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: IdArray = values ^ (values >> np.uint64(31))
    return out


@njit(cache=True, nogil=True, inline="always")
def _mix(value):  # type: ignore[no-untyped-def]  # compiled
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def _hash_all(ids, seeds, m, out):  # type: ignore[no-untyped-def]
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    for row in range(ids.shape[0]):
        for pair in range(seeds.shape[0]):
            mixed = _mix(ids[row] + seeds[pair])
            out[row, 2 * pair] = ((mixed & low) * m) >> shift
            out[row, 2 * pair + 1] = ((mixed >> shift) * m) >> shift


@njit(cache=True, nogil=True)
def _pool_uniform(ids, weights, offsets, seeds, m, out):  # type: ignore[no-untyped-def]
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    scale = np.float32(2.0 / (float(m) - 1.0))
    one = np.float32(1.0)
    for bag in range(offsets.shape[0] - 1):
        for token in range(offsets[bag], offsets[bag + 1]):
            weight = weights[token]
            for pair in range(seeds.shape[0]):
                mixed = _mix(ids[token] + seeds[pair])
                first = np.int32(((mixed & low) * m) >> shift)
                second = np.int32(((mixed >> shift) * m) >> shift)
                out[bag, 2 * pair] += weight * (np.float32(first) * scale - one)
                out[bag, 2 * pair + 1] += weight * (np.float32(second) * scale - one)


@njit(cache=True, nogil=True)
def _pool_gaussian(ids, weights, offsets, seeds, m, out):  # type: ignore[no-untyped-def]
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    for bag in range(offsets.shape[0] - 1):
        for token in range(offsets[bag], offsets[bag + 1]):
            for pair in range(seeds.shape[0]):
                mixed = _mix(ids[token] + seeds[pair])
                # (v + 1) / m lies in (0, 1], where the logarithm is finite.
                first = float(np.int64(((mixed & low) * m) >> shift) + 1) / float(m)
                second = float(np.int64(((mixed >> shift) * m) >> shift) + 1) / float(m)
                radius = np.sqrt(-2.0 * np.log(first))
                angle = 2.0 * np.pi * second
                out[bag, 2 * pair] += weights[token] * np.float32(radius * np.cos(angle))
                out[bag, 2 * pair + 1] += weights[token] * np.float32(radius * np.sin(angle))
