"""Wide sets in bounded width: MinHash (Broder, 1997), as section 3.4 of the DHE paper (Kang et al., KDD 2021) proposes.

A set with more distinct tokens than there are permutations is replaced by one token a permutation, made from the least
value of its members under it. The chance that two sets have the token of a permutation in common is their Jaccard
similarity, so two such sets share about that part of their tokens, however many members they have. Whatever stood for
single members is gone: a shortened set has nothing in common with one that is kept whole.

Format, fixed for ever by a test: members are the 64-bit hashes of their domain; the permutations are those of
datasketch's MinHash in its scheme `affine64`, seeded with the upper half of mix(seed); token i = mix(least value i XOR
mix(h + i)), where h is the hash of the domain's name in the domain `minhash` and mix is that of `codes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recall.model.codes import IdArray, mix64, mixed
from recall.model.hashing import hash_values

_DOMAIN = "minhash"
_SCHEME = "affine64"
_CACHED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit:
    """How wide a set may be.

    Attributes:
        num_permutations: Most tokens of a set, and the number of tokens of one that has more; 0 sets no limit.
        seed: Chooses the permutations.
    """

    num_permutations: int = 0
    seed: int = 0

    def shortens(self, num_members: int) -> bool:
        """Returns whether a set of so many members, repeated ones included, may be wider than that."""
        return 0 < self.num_permutations < num_members

    def tokens(self, domain: str, hashes: IdArray) -> IdArray:
        """Returns the tokens that a set enters a bag as, uint64; the set itself where it is within the limit.

        Args:
            domain: Hash domain of the members.
            hashes: [n] uint64, the members, repeated ones included.
        """
        if not self.shortens(len(hashes)):
            return hashes
        members = np.unique(hashes)
        if len(members) <= self.num_permutations:
            return hashes
        return mixed(_least_values(members, self.num_permutations, self.seed) ^ _salts(domain, self.num_permutations))


def _least_values(members: IdArray, num_permutations: int, seed: int) -> IdArray:
    """Returns the least value of any member under each permutation, [num_permutations] uint64."""
    from datasketch import MinHash  # half a second, which only a limited set is worth

    sketch = MinHash(num_permutations, permutations=_permutations(num_permutations, seed), scheme=_SCHEME, hashfunc=int)
    sketch.update_batch(members.tolist())
    least: IdArray = sketch.hashvalues
    return least


@lru_cache(maxsize=_CACHED)
def _permutations(num_permutations: int, seed: int) -> IdArray:
    """Returns factors and summands, [2, num_permutations] uint64."""
    from datasketch import MinHash

    permutations: IdArray = MinHash(num_permutations, seed=mix64(seed) >> 32, scheme=_SCHEME).permutations
    return permutations


@lru_cache(maxsize=_CACHED)
def _salts(domain: str, num_permutations: int) -> IdArray:
    counters: IdArray = np.arange(num_permutations, dtype=np.uint64)
    return mixed(hash_values(_DOMAIN, [domain])[0] + counters)
