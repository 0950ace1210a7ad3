"""Weights of exact words on rankings that can be read off: towers know nothing, or words do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recall.model.content_part import ContentPart
from recall.model.embedding import EmbeddingModel, UserInput
from recall.model.fusion import FusionWeights
from recall.schema import DataSchema, FeatureSpec
from training.config import TrainConfig
from training.dataset import TrainingData
from training.fusion import OFFSETS, WEIGHTS, _chosen, _Rankings, fit_content_part, fit_fusion
from training.setup import build_model
from training.step import Stepper
from training.validation import mixed_part

SCHEMA = DataSchema(name="words", item_features=(FeatureSpec(name="tags", kind="set", domain="tags"),))
NUM_USERS, NUM_TAGS, PER_TAG = 60, 12, 10
Fit = Callable[..., FusionWeights]
FitPart = Callable[..., ContentPart | None]


def _data(*, tagged: bool, cold: bool, warm: bool) -> TrainingData:
    """Ten items a tag, the last two of them without training; a user likes one tag, or, untagged, the same places."""
    items = [{"tags": (f"t{row // PER_TAG if tagged else row % 7}",)} for row in range(NUM_TAGS * PER_TAG)]
    likes = [[(user % NUM_TAGS) * PER_TAG + place for place in range(PER_TAG)] for user in range(NUM_USERS)]
    train, validation = [], []
    for user, row in enumerate(likes):
        known = np.roll(row[: PER_TAG - 2], user // NUM_TAGS).tolist()  # each is trained on by some user
        train += [(user, item) for item in known[:5]]
        validation += [(user, item) for item in known[5:]] if warm else []
        validation += [(user, item) for item in row[PER_TAG - 2 :]] if cold else []
    pairs = np.array(train)
    return TrainingData(
        schema=SCHEMA,
        item_ids=[f"i{n:03}" for n in range(len(items))],
        items=items,
        user_ids=[f"u{n:03}" for n in range(NUM_USERS)],
        users=[{}] * NUM_USERS,
        train=pairs,
        validation=np.array(validation, dtype=np.int64).reshape(-1, 2),
        refitted=pairs,
        carved=False,
    )


@pytest.fixture
def fit(make_config: Callable[..., TrainConfig]) -> Fit:
    def run(
        data: TrainingData, vectors: NDArray[np.float32] | None = None, validation_k: int = 5, **fusion: object
    ) -> FusionWeights:
        config = make_config(fusion=fusion, validation_k=validation_k)
        model, stepper = _learned(data, config, vectors)
        return fit_fusion(model, stepper, data, config, seed=0)

    return run


@pytest.fixture
def fit_part(make_config: Callable[..., TrainConfig]) -> FitPart:
    def run(data: TrainingData, vectors: NDArray[np.float32], content: str = "dense") -> ContentPart | None:
        config = make_config(fusion={"content": content}, validation_k=5)
        model, stepper = _learned(data, config, vectors)
        return fit_content_part(model, stepper, data, config, seed=0)

    return run


def _learned(
    data: TrainingData, config: TrainConfig, vectors: NDArray[np.float32] | None
) -> tuple[EmbeddingModel, Stepper]:
    """Returns a model whose towers learned `vectors`, if given; users are then the mean of their history."""
    model: EmbeddingModel = build_model(data, config.towers, seed=0)
    stepper = Stepper(model, data, config, seed=0)
    if vectors is not None:
        model.embed_prepared_items = lambda rows: vectors  # type: ignore[method-assign]
        model.embed_prepared_users = lambda rows, history: history  # type: ignore[method-assign]
    return model, stepper


def _noise(dim: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(1).standard_normal((NUM_TAGS * PER_TAG, dim)).astype(np.float32)
    return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def _by_tag(scale: float, dim: int = NUM_TAGS) -> NDArray[np.float32]:
    return scale * np.repeat(np.eye(dim, dtype=np.float32), PER_TAG, axis=0)


def test_words_count_where_towers_know_nothing(fit: Fit) -> None:
    weights = fit(_data(tagged=True, cold=True, warm=True), _noise(16))
    assert weights.seen > 0
    assert weights.unseen > 0


def test_words_that_tell_nothing_weigh_nothing(fit: Fit) -> None:
    weights = fit(_data(tagged=False, cold=True, warm=True), _by_tag(1.0))
    assert (weights.seen, weights.unseen) == (0, 0)


def test_offset_lifts_cold_items_that_score_too_low(fit: Fit) -> None:
    vectors = _by_tag(0.5)
    others = np.roll(_by_tag(0.2), PER_TAG, axis=0)
    cold = np.arange(len(vectors)) % PER_TAG >= PER_TAG - 2
    vectors[cold] *= 0.2  # right, but so short that warm items of the next tag come before
    others[cold] = 0
    weights = fit(_data(tagged=False, cold=True, warm=True), (vectors + others).astype(np.float32))
    assert weights.unseen_offset > 0
    assert weights.unseen_offset_alone == 0  # every history has words

    bare = replace(_data(tagged=False, cold=True, warm=True), schema=DataSchema(name="bare"))
    alone = fit(bare, (vectors + others).astype(np.float32))
    assert alone == FusionWeights(unseen_offset_alone=weights.unseen_offset)


@pytest.mark.parametrize(("cold", "warm"), [(True, False), (False, True)])
def test_one_kind_alone_gives_one_weight_and_no_offset(fit: Fit, cold: bool, warm: bool) -> None:
    noise = np.random.default_rng(1).standard_normal((NUM_TAGS * PER_TAG, 4)).astype(np.float32)
    weights = fit(_data(tagged=True, cold=cold, warm=warm), noise)
    assert weights.seen == weights.unseen > 0
    assert weights.unseen_offset == 0


def test_cold_items_that_tell_nothing_take_the_weight_of_warm_ones(fit: Fit) -> None:
    data = _data(tagged=True, cold=True, warm=True)
    one = PER_TAG - 1  # of all cold items; it is first among itself at any weight
    warm = data.validation[:, 1] % PER_TAG < PER_TAG - 2
    weights = fit(replace(data, validation=data.validation[warm | (data.validation[:, 1] == one)]), _noise(16))
    assert weights.unseen == weights.seen > 0


def test_few_candidates_shorten_the_lists_that_weights_are_fitted_on(fit: Fit) -> None:
    # A list of 20 holds every cold item of the three tags, at any weight.
    data = _data(tagged=True, cold=True, warm=False)
    few = replace(data, validation=data.validation[data.validation[:, 1] < 3 * PER_TAG])
    assert fit(few, _noise(16), validation_k=20).unseen > 0


def test_without_a_validation_part_or_switched_off_nothing_is_added(fit: Fit) -> None:
    assert fit(_data(tagged=True, cold=False, warm=False)) == FusionWeights()
    assert fit(_data(tagged=True, cold=True, warm=True), content="none") == FusionWeights()


def test_numbers_of_the_config_stay_as_they_are(fit: Fit) -> None:
    weights = fit(_data(tagged=True, cold=True, warm=True), seen=0.3, unseen_offset=-0.2)
    assert (weights.seen, weights.unseen_offset) == (0.3, -0.2)
    fixed = fit(_data(tagged=True, cold=False, warm=False), seen=0.3, unseen=0.7, unseen_offset=0.1)
    assert fixed == FusionWeights(seen=0.3, unseen=0.7, unseen_offset=0.1)


def test_items_without_any_text_or_set_feature_can_be_fitted(fit: Fit) -> None:
    bare = replace(_data(tagged=True, cold=True, warm=True), schema=DataSchema(name="bare"))
    weights = fit(bare)
    assert (weights.seen, weights.unseen) == (0, 0)


@pytest.mark.parametrize(("cold", "warm"), [(True, True), (True, False), (False, True)])
def test_content_part_counts_where_towers_know_nothing(fit_part: FitPart, cold: bool, warm: bool) -> None:
    part = fit_part(_data(tagged=True, cold=cold, warm=warm), _noise(16))
    assert part is not None
    assert part.weight > 0
    assert part.dim == 256 - 16  # of at least as many of the projection


def test_there_is_no_content_part_where_it_is_of_no_use_or_not_asked_for(fit_part: FitPart) -> None:
    both = _data(tagged=True, cold=True, warm=True)
    assert fit_part(_data(tagged=False, cold=True, warm=True), _by_tag(1.0)) is None
    assert fit_part(_data(tagged=True, cold=False, warm=False), _noise(16)) is None
    assert fit_part(replace(both, schema=DataSchema(name="bare")), _noise(16)) is None
    assert fit_part(both, _noise(16), "sparse") is None
    assert fit_part(both, _noise(16), "none") is None


def test_dense_fusion_adds_no_exact_words(fit: Fit) -> None:
    assert fit(_data(tagged=True, cold=True, warm=True), _noise(16), content="dense") == FusionWeights()


def test_content_part_is_fitted_on_the_scores_that_it_then_gives(make_config: Callable[..., TrainConfig]) -> None:
    towers = make_config().towers.model_copy(update={"audience": False})
    data, config = _data(tagged=True, cold=True, warm=True), make_config(towers=towers)
    model, stepper = _learned(data, config, None)
    content = stepper.items.features.content[:, :7]
    content = content / np.maximum(np.linalg.norm(content, axis=1, keepdims=True), 1e-6)
    part = mixed_part(data, max_users=NUM_USERS, seed=0)
    ((some, learned, matched),) = _Rankings.of(model, stepper, data, config, content=content).scores(part)
    model.content_part = ContentPart(dim=7, weight=3.0)
    vectors = model.embed_items(data.item_ids, data.items)
    histories = data.histories(config.towers.max_history)
    users = model.embed_users(
        [
            UserInput(user_id=data.user_ids[row], features={}, history=vectors[histories[row].indices])
            for row in part.users[some]
        ]
    )
    allowed = np.isfinite(learned)
    np.testing.assert_allclose((learned + 3 * matched)[allowed], (users @ vectors.T)[allowed], atol=1e-5)


def test_of_values_that_are_as_good_the_one_nearest_to_zero_is_chosen() -> None:
    recalls = np.zeros((4, 100), dtype=np.float32)
    recalls[1:] = 0.5
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls) == 1.0
    recalls[3, :50] += 0.01  # a clear gain: half of the users, none lose
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls) == 3.0
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 100)).astype(np.float32)
    recalls = np.full((4, 100), 0.5, dtype=np.float32)
    recalls[2] += noise[2] - noise[2].mean() + 0.005  # a gain of half a standard error
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls) == 0.0


def test_what_holds_already_stays_until_users_speak_against_it() -> None:
    recalls = np.full((4, 100), 0.5, dtype=np.float32)
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls, near=2.0) == 2.0
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls[:, :0], near=2.0) == 2.0
    recalls[2:] = 0.4
    assert _chosen((0.0, 1.0, 2.0, 3.0), recalls, near=2.0) == 1.0


def test_grids_hold_zero() -> None:
    assert 0.0 in WEIGHTS
    assert 0.0 in OFFSETS
