"""Tokens left out of the items of a step: how many, which, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from recall.model.bags import Bags
from recall.model.hashing import hash_values
from recall.model.projection import ContentProjection
from training.token_dropout import TokenDropout

NUM_ITEMS, NUM_TOKENS = 400, 30


@pytest.fixture
def bags() -> Bags:
    rng = np.random.default_rng(0)
    words = np.concatenate([rng.choice(60, NUM_TOKENS, replace=False) for _ in range(NUM_ITEMS)])
    return Bags(
        tokens=hash_values("token", [str(word) for word in words]),
        weights=np.full(len(words), NUM_TOKENS**-0.5, dtype=np.float32),
        offsets=np.arange(NUM_ITEMS + 1) * NUM_TOKENS,
    )


@pytest.fixture
def projection(bags: Bags) -> ContentProjection:
    return ContentProjection.fit(bags, buckets=1 << 10, rank=60, seed=0)


def test_of_full_rank_the_share_of_what_is_left_can_be_read_off(bags: Bags, projection: ContentProjection) -> None:
    whole = projection.project(bags)
    some = TokenDropout(bags, projection, rate=0.25).content(np.arange(NUM_ITEMS), seed=1)
    # Equal weights: the cosine with the whole bag is the root of the share of tokens left, 1 minus U(0, .5) on average.
    shares = ((whole * some).sum(axis=1) / projection.rank) ** 2
    assert shares.mean() == pytest.approx(0.75, abs=0.03)
    assert shares.std() == pytest.approx((0.25**2 / 3 + 0.18 / NUM_TOKENS) ** 0.5, rel=0.2)
    assert shares.max() == pytest.approx(1, abs=0.05)


def test_the_seed_decides_and_rows_are_those_asked_for(bags: Bags, projection: ContentProjection) -> None:
    dropout = TokenDropout(bags, projection, rate=0.3)
    rows = np.array([7, 3, 3, 250])
    first = dropout.content(rows, seed=5)
    np.testing.assert_array_equal(first, dropout.content(rows, seed=5))
    assert not np.array_equal(first, dropout.content(rows, seed=6))
    whole = projection.project(bags)
    nearest = (first @ whole.T).argmax(axis=1)
    assert nearest.tolist() == rows.tolist()


def test_an_item_without_tokens_stays_without(projection: ContentProjection) -> None:
    none = Bags(tokens=np.empty(0, np.uint64), weights=np.empty(0, np.float32), offsets=np.zeros(3, np.int64))
    assert not TokenDropout(none, projection, rate=0.5).content(np.array([1, 0]), seed=0).any()


def test_bags_are_taken_by_row(bags: Bags) -> None:
    uneven = Bags(tokens=bags.tokens[:6], weights=bags.weights[:6], offsets=np.array([0, 2, 2, 5, 6]))
    taken = uneven.take(np.array([2, 1, 0, 2]))
    assert taken.offsets.tolist() == [0, 3, 3, 5, 8]
    assert taken.tokens.tolist() == bags.tokens[[2, 3, 4, 0, 1, 2, 3, 4]].tolist()
