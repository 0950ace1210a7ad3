"""Who had an item: what bags of users weigh, what stays of one, and that nobody means no part at all."""

from __future__ import annotations

import numpy as np
import pytest

from recall.column_names import USER_ID
from recall.model.artifact import load_artifact, save_artifact
from recall.model.audience import AudienceEncoder, audience_bags
from recall.model.embedding import EmbeddingModel
from recall.model.hashing import hash_values
from recall.model.sketch import CountSketch
from training.dataset import TrainingData
from training.setup import build_model, golden_inputs

USERS = ["often", "seldom", "third"]


def _counts() -> CountSketch:
    return CountSketch.build(hash_values(USER_ID, USERS), np.array([64, 4, 1]), seed=0, max_bytes=1 << 12)


def _encoder(model: EmbeddingModel) -> AudienceEncoder:
    assert model.items.audience is not None
    return model.items.audience


def test_a_user_weighs_the_less_the_more_items_he_had_and_a_stranger_nothing() -> None:
    hashes = hash_values(USER_ID, ["often", "stranger", "seldom", "third"])
    bags = audience_bags(hashes, np.array([0, 3, 3, 4]), _counts(), max_users=10)
    np.testing.assert_allclose(bags.weights, [64**-0.5, 4**-0.5, 1], rtol=0.05)  # the sketch keeps eighths of doublings
    assert bags.offsets.tolist() == [0, 2, 2, 3]


def test_of_too_many_users_those_stay_that_their_hashes_choose_in_any_order() -> None:
    names = [f"u{n}" for n in range(40)]
    counts = CountSketch.build(hash_values(USER_ID, names), np.full(40, 2), seed=0, max_bytes=1 << 14)
    kept = [
        set(audience_bags(hash_values(USER_ID, order), np.array([0, 40]), counts, max_users=7).tokens.tolist())
        for order in (names, names[::-1])
    ]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 7


def test_an_item_that_nobody_had_has_a_vector_without_this_part(model: EmbeddingModel, data: TrainingData) -> None:
    asked = model.with_audiences(lambda item_ids: [()] * len(item_ids))
    strangers = model.with_audiences(lambda item_ids: [("nobody knows",)] * len(item_ids))
    wanted = model.embed_items(data.item_ids, data.items)
    for other in (asked, strangers):
        np.testing.assert_array_equal(other.embed_items(data.item_ids, data.items), wanted)


def test_an_unseen_item_gets_an_audience_without_training(model: EmbeddingModel) -> None:
    alone = model.embed_items(["new"], [{}])
    had = model.with_audiences(lambda item_ids: [("u1", "u2", "u1")] * len(item_ids)).embed_items(["new"], [{}])
    once = model.with_audiences(lambda item_ids: [("u2", "u1")] * len(item_ids)).embed_items(["new"], [{}])
    assert np.abs(had - alone).max() > 0.01
    np.testing.assert_allclose(had, once, atol=1e-6)
    assert float(np.linalg.norm(had)) == pytest.approx(1, abs=1e-5)


def test_sizes_and_codes_are_those_of_known_users(model: EmbeddingModel) -> None:
    encoded = _encoder(model).encode([("u1", "u2", "stranger"), (), ("stranger",)])
    assert encoded.sizes.tolist() == [2, 0, 0]
    assert not encoded.codes[1:].any()
    rank = _encoder(model).projection.rank
    assert float(np.linalg.norm(encoded.codes[0])) == pytest.approx(np.sqrt(rank), rel=1e-4)


def test_rank_follows_from_the_data(model: EmbeddingModel) -> None:
    assert _encoder(model).projection.rank == 4  # 19 users with an interaction: the least there is
    assert model.config.audience_projection.rank_within(20_000, 1_600) == 100
    assert model.config.audience_projection.rank_within(20_000, 50_000) == 512


def test_artifact_keeps_the_encoding(model: EmbeddingModel, data: TrainingData, tmp_path) -> None:
    save_artifact(model, tmp_path / "model", golden_inputs(data), training={})
    loaded = load_artifact(tmp_path / "model")
    had = [("u1", "u3"), ("u2",)]
    for one in (model, loaded):
        assert one.items.audience is not None
    vectors = [one.with_audiences(lambda _: had).embed_items(["i1", "new"], [{}, {}]) for one in (model, loaded)]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_golden_inputs_hold_audiences(data: TrainingData) -> None:
    golden = golden_inputs(data)
    assert any(golden.audiences)
    assert golden.audience_of([golden.item_ids[-1]]) == [()]  # the unseen one


def test_without_the_part_nobody_is_asked(data: TrainingData, towers) -> None:
    def refuse(item_ids):
        raise AssertionError

    model = build_model(data, towers.model_copy(update={"audience": False}), seed=0)
    model.with_audiences(refuse).embed_items(["i1"], [{}])
