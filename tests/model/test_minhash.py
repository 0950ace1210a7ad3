"""MinHash tokens of wide sets: narrow ones stay, wide ones share tokens as their Jaccard similarity says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recall.model.codes import mixed
from recall.model.hashing import hash_values
from recall.model.minhash import SetLimit


def _members(start: int, stop: int) -> np.ndarray:
    return hash_values("tags", [f"tag {n}" for n in range(start, stop)])


def test_set_within_the_limit_enters_as_it_is() -> None:
    members = _members(0, 8)
    repeated = np.concatenate([members, members[:3]])
    for limit in (SetLimit(), SetLimit(num_permutations=8), SetLimit(num_permutations=9)):
        np.testing.assert_array_equal(limit.tokens("tags", repeated), repeated)
        assert len(limit.tokens("tags", members[:0])) == 0


def test_wider_set_enters_as_one_token_a_permutation_whatever_its_order() -> None:
    limit, members = SetLimit(num_permutations=8, seed=5), _members(0, 9)
    tokens = limit.tokens("tags", members)
    assert tokens.dtype == np.uint64
    assert len(np.unique(tokens)) == 8
    shuffled = np.random.default_rng(0).permutation(np.concatenate([members, members[:4]]))
    np.testing.assert_array_equal(limit.tokens("tags", shuffled), tokens)


def test_other_domains_and_seeds_have_other_tokens() -> None:
    members = _members(0, 50)
    tokens = SetLimit(num_permutations=16, seed=1).tokens("tags", members)
    for other in (
        SetLimit(num_permutations=16, seed=2).tokens("tags", members),
        SetLimit(num_permutations=16, seed=1).tokens("words", members),
    ):
        assert not set(tokens.tolist()) & set(other.tolist())


@pytest.mark.parametrize(("common", "alone"), [(0, 300), (100, 100), (300, 100), (400, 0)])
def test_share_of_equal_tokens_is_the_jaccard_similarity(common: int, alone: int) -> None:
    """Each permutation agrees with probability J, so the share is within 4 standard deviations of a binomial."""
    num_permutations = 2048
    first, second = _members(0, common + alone), _members(alone, common + 2 * alone)
    similarity = common / (common + 2 * alone)
    equal = 0
    for seed in range(num_permutations // 128):
        limit = SetLimit(num_permutations=128, seed=seed)
        equal += int((limit.tokens("tags", first) == limit.tokens("tags", second)).sum())
    deviation = math.sqrt(similarity * (1 - similarity) / num_permutations)
    assert equal / num_permutations == pytest.approx(similarity, abs=4 * deviation + 1e-12)


def test_tokens_follow_the_written_format() -> None:
    """The permutations are redrawn here as datasketch 2.0 draws them, so that a later version cannot change a model."""
    seed, num_permutations, members = 3, 4, _members(0, 6)
    generator = np.random.RandomState(int(mixed(np.array([seed], dtype=np.uint64))[0]) >> 32)
    factors = generator.randint(0, 1 << 63, num_permutations, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    summands = generator.randint(0, 1 << 64, num_permutations, dtype=np.uint64)
    values = members ^ (members >> np.uint64(33))  # the finaliser of MurmurHash3
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    values = values ^ (values >> np.uint64(33))
    least = (values[:, None] * factors + summands).min(axis=0)
    salts = mixed(hash_values("minhash", ["tags"])[0] + np.arange(num_permutations, dtype=np.uint64))
    np.testing.assert_array_equal(
        SetLimit(num_permutations=num_permutations, seed=seed).tokens("tags", members), mixed(least ^ salts)
    )
