"""The validation score on rankings that can be read off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.config import TrainConfig
from training.dataset import TrainingData
from training.setup import build_model
from training.step import Stepper
from training.train import validation_score
from training.validation import ValidationPart, recall_at, telling_parts, validation_parts

# Five items on a line and two users at its ends: user 0 ranks 0, 1, 2, ..., user 1 ranks 4, 3, 2, ...
ITEMS = np.array([[4.0], [3.0], [2.0], [1.0], [0.0]], dtype=np.float32)
USERS = np.array([[1.0], [-1.0]], dtype=np.float32)


@pytest.fixture
def data(checkerboard_data: TrainingData) -> TrainingData:
    """Users 0 and 1 of five items, of which item 4 is cold."""
    train = np.array([[0, 0], [0, 1], [1, 2], [1, 3]])
    names = [f"i{n}" for n in range(5)]
    return replace(
        checkerboard_data,
        item_ids=names,
        items=[{} for _ in names],
        user_ids=["u0", "u1"],
        users=[{}, {}],
        train=train,
        validation=np.array([[0, 2], [0, 3], [1, 0], [1, 4]]),
    )


def _scores(parts: list[ValidationPart], k: int) -> list[float]:
    return [recall_at(part, USERS[part.users], ITEMS, k=k) for part in parts]


def test_parts_are_warm_and_cold(data: TrainingData) -> None:
    warm, cold = validation_parts(data, max_users=10, seed=0)
    assert (warm.users.tolist(), warm.candidates.tolist()) == ([0, 1], [0, 1, 2, 3])
    assert warm.relevant.toarray().tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    assert warm.seen.toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert (cold.users.tolist(), cold.candidates.tolist()) == ([1], [4])


def test_recall_leaves_training_items_out_of_the_ranking(data: TrainingData) -> None:
    # User 0 sees 2, 3 (both relevant); user 1 sees 1, 0 (0 is relevant, second).
    warm, cold = validation_parts(data, max_users=10, seed=0)
    assert _scores([warm, cold], 1) == [pytest.approx((0.5 + 0) / 2), 1.0]
    assert _scores([warm, cold], 2) == [1.0, 1.0]
    assert _scores([warm, cold], 100) == [1.0, 1.0]


def test_lists_are_a_fifth_of_the_candidates_at_most(data: TrainingData) -> None:
    warm, _ = validation_parts(data, max_users=10, seed=0)
    sizes = {num: replace(warm, candidates=np.arange(num)).depth(20) for num in (1, 4, 5, 14, 99, 100, 1000)}
    assert sizes == {1: 1, 4: 1, 5: 1, 14: 2, 99: 19, 100: 20, 1000: 20}


def test_a_part_of_few_users_does_not_choose(data: TrainingData) -> None:
    warm, cold = validation_parts(data, max_users=10, seed=0)
    many, ten, nine = (replace(warm, users=np.arange(num)) for num in (100, 10, 9))
    assert telling_parts([many, ten]) == [many, ten]
    assert telling_parts([many, nine]) == [many]
    assert telling_parts([cold]) == [cold]
    assert telling_parts([]) == []


def test_a_great_catalogue_is_scored_for_fewer_users_at_once(data: TrainingData) -> None:
    warm, _ = validation_parts(data, max_users=10, seed=0)
    few, great, beyond = (
        replace(warm, users=np.arange(5), candidates=np.arange(num)) for num in (1 << 10, 1 << 24, 1 << 26)
    )
    assert list(few.chunks(3)) == [slice(0, 3), slice(3, 5)]
    assert list(great.chunks(3)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert [rows.stop - rows.start for rows in beyond.chunks(3)] == [1] * 5


def test_score_is_that_of_the_parts_that_tell(
    checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]
) -> None:
    def score(validation: NDArray[np.int64]) -> float:
        given = replace(checkerboard_data, validation=validation, carved=False)
        return validation_score(model, stepper, given, config, seed=0)

    config = make_config()
    model = build_model(checkerboard_data, config.towers, seed=0)
    stepper = Stepper(model, checkerboard_data, config, seed=0)
    warm = checkerboard_data.validation
    cold = np.flatnonzero(checkerboard_data.item_counts() == 0)
    users = np.unique(warm[:, 0])
    one_user = np.concatenate([warm, [[users[0], cold[0]]]])
    all_users = np.concatenate([warm, [[user, cold[0]] for user in users]])
    assert score(one_user) == score(warm) < 1
    assert score(all_users) == pytest.approx((score(warm) + 1) / 2)


def test_item_that_a_user_comes_back_to_is_not_asked_for(data: TrainingData) -> None:
    # User 0 takes item 0 again, which the ranking leaves out.
    again = replace(data, validation=np.array([[0, 0], [0, 2]]))
    (warm,) = validation_parts(again, max_users=10, seed=0)
    assert warm.relevant.toarray().tolist() == [[0, 0, 1, 0]]
    assert _scores([warm], 1) == [1.0]
    assert validation_parts(replace(data, validation=np.array([[0, 0]])), max_users=10, seed=0) == []


def test_no_validation_gives_no_parts(data: TrainingData) -> None:
    assert validation_parts(replace(data, validation=data.validation[:0]), max_users=10, seed=0) == []


def test_sampled_users_follow_from_the_seed(checkerboard_data: TrainingData) -> None:
    def users(seed: int) -> list[int]:
        return validation_parts(checkerboard_data, max_users=10, seed=seed)[0].users.tolist()

    assert len(users(0)) == 10
    assert users(0) == users(0) != users(1)


def test_many_users_are_ranked_in_chunks_like_one_by_one(checkerboard_data: TrainingData) -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(len(checkerboard_data.item_ids), 4)).astype(np.float32)
    (part,) = validation_parts(checkerboard_data, max_users=10_000, seed=0)
    times = 20  # 960 users, more than a chunk
    many = ValidationPart(
        users=np.tile(part.users, times),
        candidates=part.candidates,
        relevant=part.relevant[np.tile(np.arange(len(part.users)), times)],
        seen=part.seen[np.tile(np.arange(len(part.users)), times)],
    )
    users = rng.normal(size=(len(many.users), 4)).astype(np.float32)
    wanted = []
    for row in range(len(users)):
        scores = users[row] @ items[part.candidates].T
        scores[many.seen[row].indices] = -np.inf
        top = np.argsort(-scores)[:5]
        relevant = many.relevant[row].indices
        wanted.append(np.isin(relevant, top).mean())
    assert recall_at(many, users, items, k=5) == pytest.approx(np.mean(wanted))
