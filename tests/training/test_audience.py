"""The item of a positive is shown without its user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.audience import AudiencePool
from training.config import TrainConfig
from training.dataset import TrainingData
from training.setup import build_model
from training.step import Stepper


def test_a_positive_lacks_its_user_exactly(checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]):
    data = checkerboard_data
    model = build_model(data, make_config().towers, seed=0)
    encoder = model.items.audience
    assert encoder is not None
    pool, pairs = AudiencePool(encoder, data), data.train[:40]
    audiences = data.audiences()
    others = [[data.user_ids[u] for u in audiences[item].indices if u != user] for user, item in pairs.tolist()]
    wanted, got = encoder.encode(others), pool.without(pairs[:, 1], pairs[:, 0])
    np.testing.assert_array_equal(got.sizes, wanted.sizes)
    np.testing.assert_allclose(got.codes, wanted.codes, atol=1e-3)


def test_whoever_did_not_have_an_item_takes_nothing_away(
    checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]
):
    data = checkerboard_data
    model = build_model(data, make_config().towers, seed=0)
    assert model.items.audience is not None
    pool, seen = AudiencePool(model.items.audience, data), data.seen().toarray() > 0
    user, item = np.argwhere(~seen & (data.item_counts() > 0))[0]
    without = pool.without(np.array([item]), np.array([user]))
    np.testing.assert_allclose(without.codes[0], pool.audiences.codes[item], atol=1e-4)
    assert without.sizes[0] == pool.audiences.sizes[item]


def test_pool_holds_what_serving_encodes(checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]):
    data = checkerboard_data
    model = build_model(data, make_config().towers, seed=0)
    assert model.items.audience is not None
    audiences = data.audiences()
    named = [[data.user_ids[u] for u in audiences[row].indices] for row in range(len(data.item_ids))]
    pool = AudiencePool(model.items.audience, data)
    np.testing.assert_allclose(pool.audiences.codes, model.items.audience.encode(named).codes, atol=1e-4)


def test_only_who_had_other_items_can_move_the_score_of_a_positive(
    checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]
):
    """Two items of one user each: without that user each is had by nobody, so both positives score alike."""
    base = checkerboard_data
    pairs = np.array([[0, 0], [1, 1], [2, 2], [2, 3], [3, 2], [3, 3]])
    data = replace(base, train=pairs, validation=pairs[:0], refitted=pairs)
    config = make_config(item_id_dropout=0.0, token_dropout=0.0, batch_size=6)
    model = build_model(data, config.towers, seed=0)
    pool = AudiencePool(model.items.audience, data)  # type: ignore[arg-type]
    assert pool.without(np.array([0, 1]), np.array([0, 1])).sizes.tolist() == [0, 0]
    stepper = Stepper(model, data, config, seed=0)
    assert np.isfinite(float(stepper.loss(next(stepper.batches(1))).detach()))
