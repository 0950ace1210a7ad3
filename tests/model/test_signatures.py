"""Signatures agree as the Jaccard similarity says, and bands find pairs as often as their closed form says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from datasketch import MinHash

from recall.model.codes import mixed
from recall.model.hashing import hash_values
from recall.model.signatures import Banding, permutations, signatures
from recall.model.token_sets import TokenSets


def _tokens(start: int, stop: int) -> np.ndarray:
    return hash_values("token", [f"word {n}" for n in range(start, stop)])


@pytest.mark.parametrize(("common", "alone"), [(0, 60), (30, 30), (50, 25), (90, 5), (40, 0)])
def test_share_of_equal_values_is_the_jaccard_similarity(common: int, alone: int) -> None:
    """Each value agrees with probability J, so the share is within 4 standard errors of a binomial."""
    num_permutations = 1024
    sets = TokenSets.of([_tokens(0, common + alone), _tokens(alone, common + 2 * alone)])
    similarity = common / (common + 2 * alone)
    first, second = signatures(sets, permutations(num_permutations, 5))
    error = math.sqrt(similarity * (1 - similarity) / num_permutations)
    assert (first == second).mean() == pytest.approx(similarity, abs=4 * error + 1e-12)


def test_signature_does_not_depend_on_the_other_rows() -> None:
    rows = [_tokens(0, 9), _tokens(0, 0), _tokens(4, 30)]
    together = signatures(TokenSets.of(rows), permutations(16, 1))
    for row, tokens in enumerate(rows):
        np.testing.assert_array_equal(signatures(TokenSets.of([tokens]), permutations(16, 1))[0], together[row])
    assert (together[1] == 2**32 - 1).all()
    assert signatures(TokenSets.of([]), permutations(16, 1)).shape == (0, 16)


def test_values_are_those_of_datasketch() -> None:
    rows = [_tokens(0, 40), _tokens(7, 8), _tokens(0, 0), np.array([0, 2**64 - 1, 2**32], dtype=np.uint64)]
    values = signatures(TokenSets.of(rows), permutations(50, 11))
    for row, tokens in enumerate(rows):
        sketch = MinHash(50, seed=11, scheme="affine32", hashfunc=lambda token: token & 0xFFFFFFFF)
        sketch.update_batch(tokens.tolist())
        np.testing.assert_array_equal(values[row], sketch.hashvalues)


def test_keys_follow_the_written_format() -> None:
    """The permutations are redrawn here as datasketch 2.0 draws them, so that a later version cannot change a table."""
    seed, num_permutations, tokens = 3, 7, _tokens(0, 6)
    generator = np.random.RandomState(seed)
    factors = generator.randint(0, 1 << 31, num_permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    summands = generator.randint(0, 1 << 32, num_permutations, dtype=np.uint32)
    values = (tokens & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)  # the finaliser of MurmurHash3
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    values = values ^ (values >> np.uint32(16))
    least = (values[:, None] * factors + summands).min(axis=0)
    sets = TokenSets.of([tokens])
    np.testing.assert_array_equal(signatures(sets, permutations(num_permutations, seed))[0], least)
    keys = []
    for band in least[:6].astype(np.uint64).reshape(2, 3):  # the seventh value is beyond the last whole band
        key = np.zeros(1, dtype=np.uint64)
        for value in band:
            key = mixed(key + value + np.uint64(1))
        keys.append(int(key[0]) >> 32)
    banding = Banding(num_permutations=num_permutations, rows_per_band=3, seed=seed)
    assert banding.keys(sets, banding.permutations()).tolist() == [keys]


def test_banding_for_a_threshold_is_the_most_selective_that_finds_it() -> None:
    """By hand: 32 bands of 3 find .5 with 1 - (7/8)^32 = .986, 24 bands of 4 with 1 - (15/16)^24 = .788."""
    banding = Banding.for_threshold(0.5, 0.95, num_permutations=96)
    assert (banding.num_bands, banding.rows_per_band) == (32, 3)
    assert banding.probability(0.5) == pytest.approx(1 - (7 / 8) ** 32)
    assert Banding.for_threshold(0.5, 0.78, num_permutations=96).rows_per_band == 4
    assert (banding.probability(0.0), banding.probability(1.0)) == (0.0, 1.0)


def test_banding_that_cannot_reach_its_goal_says_so() -> None:
    with pytest.raises(ValueError, match=r"2 permutations cannot find pairs of similarity 0.1 with probability 0.95"):
        Banding.for_threshold(0.1, 0.95, num_permutations=2)


def test_pairs_share_a_band_as_often_as_the_closed_form_says() -> None:
    """300 pairs of similarity 1/2, two of three tokens common; within 4 standard errors of 1 - (1 - 1/4)^3 = .578."""
    banding = Banding(num_permutations=6, rows_per_band=2)
    pairs, drawn = [(10 * n, 10 * n + 3) for n in range(300)], banding.permutations()
    first = banding.keys(TokenSets.of([_tokens(start, stop) for start, stop in pairs]), drawn)
    second = banding.keys(TokenSets.of([_tokens(start + 1, stop + 1) for start, stop in pairs]), drawn)
    found = (first == second).any(axis=1).mean()
    expected = banding.probability(0.5)
    assert expected == pytest.approx(37 / 64)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(pairs)))
