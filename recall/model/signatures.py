"""MinHash signatures of token sets (Broder, 1997), and their bands as keys of hash tables.

A signature holds the least value of a set's tokens under each of `num_permutations` permutations. Two sets agree in one
with probability J, their Jaccard similarity: the share in which they agree estimates J with the standard error
sqrt(J (1 - J) / num_permutations). Cut into b bands of r values, two sets have a band in common with probability
1 - (1 - J^r)^b (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.2).

Format, fixed for ever by a test: permutations and values are those of datasketch's MinHash in its scheme `affine32`, of
the lower halves of the tokens, seeded with `seed`; the key of values v1 ... vr is the upper half of h, where h is 0 at
first and becomes mix(h + v + 1) with each, and mix is that of `codes.py`.

datasketch draws the permutations; its values are computed by a compiled loop over all sets, as an object of its own for
each set takes most of the time of a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from recall.model.codes import IdArray, mixed
from recall.model.token_sets import TokenSets

Signature: TypeAlias = NDArray[np.uint32]
Permutations: TypeAlias = NDArray[np.uint32]
"""[2, num_permutations]: factors and summands."""

_SCHEME = "affine32"
_GREATEST = np.uint32(0xFFFFFFFF)

_TOKENS = types.Array(types.uint64, 1, "C", readonly=True)
_OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
_PERMUTATIONS = types.Array(types.uint32, 2, "C", readonly=True)
_OUT = types.Array(types.uint32, 2, "C")


@dataclass(frozen=True, slots=True, kw_only=True)
class Banding:
    """Signatures cut into bands.

    Attributes:
        num_permutations: Values of a signature; those beyond the last whole band are not used.
        rows_per_band: r, values of a band.
        seed: Chooses the permutations, below 2^32.
    """

    num_permutations: int
    rows_per_band: int
    seed: int = 1

    @classmethod
    def for_threshold(cls, threshold: float, probability: float, *, num_permutations: int = 96) -> Banding:
        """Returns the most selective bands that find a pair of sets of similarity `threshold` with this probability.

        Of all r whose num_permutations // r bands do so, that is the greatest: the fewer unlike sets share a band.

        Args:
            threshold: Jaccard similarity, above 0 and at most 1.
            probability: Below 1. More similar pairs are found with a greater one.
            num_permutations: Values of a signature.

        Raises:
            ValueError: Not even bands of one value do.
        """
        for rows in range(num_permutations, 0, -1):
            banding = cls(num_permutations=num_permutations, rows_per_band=rows)
            if banding.probability(threshold) >= probability:
                return banding
        raise ValueError(
            f"{num_permutations} permutations cannot find pairs of similarity {threshold} with probability "
            f"{probability}; take more, or lower one of the two"
        )

    @property
    def num_bands(self) -> int:
        """b, number of whole bands."""
        return self.num_permutations // self.rows_per_band

    def probability(self, similarity: float) -> float:
        """Returns the chance that two sets of this Jaccard similarity have a band in common."""
        return float(1 - (1 - similarity**self.rows_per_band) ** self.num_bands)

    def permutations(self) -> Permutations:
        """Returns the permutations of the signatures, [2, num_permutations] uint32."""
        return permutations(self.num_permutations, self.seed)

    def keys(self, sets: TokenSets, permutations: Permutations) -> NDArray[np.uint32]:
        """Returns a key a band of sets that are not empty, [n, num_bands] uint32.

        Args:
            sets: The sets.
            permutations: What `permutations` returned, as often as it is needed.
        """
        return self.keys_of(signatures(sets, permutations))

    def keys_of(self, values: Signature) -> NDArray[np.uint32]:
        """Returns a key a band of signatures, [n, num_bands] uint32.

        Args:
            values: [n, num_permutations] uint32.
        """
        used = values[:, : self.num_bands * self.rows_per_band].reshape(-1, self.num_bands, self.rows_per_band)
        keys: IdArray = np.zeros(used.shape[:2], dtype=np.uint64)
        for place in range(self.rows_per_band):
            keys = mixed(keys + used[:, :, place].astype(np.uint64) + np.uint64(1))
        return (keys >> np.uint64(32)).astype(np.uint32)


def signatures(sets: TokenSets, permutations: Permutations) -> Signature:
    """Returns the MinHash signatures of sets, [n, num_permutations] uint32; that of an empty one is of greatest values.

    Args:
        sets: The sets.
        permutations: [2, num_permutations] uint32.
    """
    out = np.empty((len(sets), permutations.shape[1]), dtype=np.uint32)
    _sign(sets.tokens, sets.offsets, permutations, out)
    return out


def permutations(num_permutations: int, seed: int) -> Permutations:
    """Draws the factors and summands of permutations, [2, num_permutations] uint32.

    Args:
        num_permutations: Values of a signature.
        seed: Chooses the permutations, below 2^32.
    """
    from datasketch import MinHash  # half a second, which a search should not wait for

    drawn: Permutations = MinHash(num_permutations, seed=seed, scheme=_SCHEME).permutations
    return drawn


# Eager signature: one compilation, loaded from the cache afterwards.
@njit(types.void(_TOKENS, _OFFSETS, _PERMUTATIONS, _OUT), cache=True, nogil=True)
def _sign(tokens, offsets, permutations, out):  # type: ignore[no-untyped-def]  # compiled
    for row in range(offsets.size - 1):
        for place in range(out.shape[1]):
            out[row, place] = _GREATEST
        for at in range(offsets[row], offsets[row + 1]):
            # The finaliser of MurmurHash3, with which datasketch mixes each member.
            value = np.uint32(tokens[at])
            value = np.uint32(value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B)
            value = np.uint32(value)
            value = np.uint32(value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35)
            value = np.uint32(value)
            value = np.uint32(value ^ (value >> np.uint32(16)))
            for place in range(out.shape[1]):
                permuted = np.uint32(permutations[0, place] * value + permutations[1, place])
                out[row, place] = min(out[row, place], permuted)
