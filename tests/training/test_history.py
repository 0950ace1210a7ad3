"""Mean history vectors: of the current item vectors, without the target, zero where nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recall.model.embedding import EmbeddingModel, UserInput
from training.config import TrainConfig
from training.dataset import TrainingData
from training.history import HistoryPool, LatestHistories, histories_of
from training.setup import build_model

# User 0 took items 0, 1, 2; user 1 item 3; user 2 nothing.
TOOK = csr_matrix(np.array([[1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=np.float32))


class _FourItems:
    """Item vectors that can be added in the head."""

    def embed_prepared_items(self, items: object) -> np.ndarray:
        return np.array([[1, 0], [2, 0], [3, 0], [0, 8]], dtype=np.float32)


@pytest.fixture
def pool() -> HistoryPool:
    pool = HistoryPool(TOOK, 2)
    pool.refresh(_FourItems(), None)  # type: ignore[arg-type]  # only its vectors are asked for
    return pool


def test_mean_is_over_the_whole_history(pool: HistoryPool) -> None:
    assert pool.means(np.array([0, 1, 2, 0])).tolist() == [[2, 0], [0, 8], [0, 0], [2, 0]]


def test_target_is_left_out_only_of_histories_that_hold_it(pool: HistoryPool) -> None:
    means = pool.means(np.array([0, 0, 1, 1, 2]), np.array([0, 3, 3, 0, 2]))
    assert means.tolist() == [[2.5, 0], [2, 0], [0, 0], [0, 8], [0, 0]]
    assert means.dtype == np.float32


def test_item_that_stands_twice_counts_twice_and_is_left_out_whole() -> None:
    pool = HistoryPool(csr_matrix(np.array([[2, 1, 0, 1]], dtype=np.float32)), 2)
    pool.refresh(_FourItems(), None)  # type: ignore[arg-type]
    users = np.zeros(3, dtype=np.int64)
    assert pool.means(users[:1]).tolist() == [[1, 2]]
    assert pool.means(users, np.array([0, 3, 2])).tolist() == [[1, 4], pytest.approx([4 / 3, 0]), [1, 2]]


def test_pool_starts_without_vectors(pool: HistoryPool) -> None:
    assert not HistoryPool(TOOK, 2).means(np.array([0, 1])).any()


def test_means_agree_with_what_serving_pools(checkerboard_data: TrainingData, make_config: type[TrainConfig]) -> None:
    """The user vector from the pool is the one from the item vectors of the history, oldest first."""
    data, config = checkerboard_data, make_config()
    model: EmbeddingModel = build_model(data, config.towers, seed=0)
    pool = HistoryPool(data.histories(config.towers.max_history), model.dim)
    pool.refresh(model, model.items.prepare(data.item_ids, data.items))
    rows = np.arange(10)
    from_pool = model.embed_prepared_users(model.users.prepare(data.user_ids[:10], data.users[:10]), pool.means(rows))
    vectors = model.embed_items(data.item_ids, data.items)
    histories = [data.train[data.train[:, 0] == row, 1] for row in rows]
    served = model.embed_users(
        [
            UserInput(user_id=data.user_ids[row], features=data.users[row], history=vectors[history])
            for row, history in zip(rows, histories, strict=True)
        ]
    )
    np.testing.assert_allclose(from_pool, served, atol=1e-5)


def test_latest_histories_are_what_came_before(checkerboard_data: TrainingData) -> None:
    data, vectors = checkerboard_data, np.arange(len(checkerboard_data.item_ids), dtype=np.float32)[:, None] + 1
    latest = LatestHistories(data, latest=3, dim=1)
    latest.vectors = vectors
    user = int(data.train[-1, 0])
    own = np.flatnonzero(data.train[:, 0] == user)
    items = data.train[own, 1] + 1.0
    got = latest.of_examples(own[[0, 1, 5]])[:, :, 0].tolist()
    assert got == [[0, 0, 0], [items[0], 0, 0], [items[4], items[3], items[2]]]
    assert latest.whole(np.array([user]))[0, :, 0].tolist() == items[-1:-4:-1].tolist()


def test_latest_histories_leave_out_the_target_itself(checkerboard_data: TrainingData) -> None:
    again = np.array([[0, 1], [0, 2], [0, 1]])
    latest = LatestHistories(replace(checkerboard_data, train=again), latest=2, dim=1)
    latest.vectors = np.array([[1], [2], [3]], dtype=np.float32)
    assert latest.of_examples(np.array([2]))[0, :, 0].tolist() == [3, 0]


def test_latest_histories_agree_with_what_serving_pools(
    checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]
) -> None:
    data = checkerboard_data
    towers = make_config().towers.model_copy(update={"pooling": "recent", "latest": 4})
    model = build_model(data, towers, seed=0)
    pool = histories_of(data, towers)
    pool.refresh(model, model.items.prepare(data.item_ids, data.items))
    rows, vectors = np.arange(6), model.embed_items(data.item_ids, data.items)
    pooled = model.embed_prepared_users(model.users.prepare(data.user_ids[:6], data.users[:6]), pool.whole(rows))
    served = model.embed_users(
        [
            UserInput(
                user_id=data.user_ids[row],
                features=data.users[row],
                history=vectors[data.train[data.train[:, 0] == row, 1]],
            )
            for row in rows
        ]
    )
    np.testing.assert_allclose(pooled, served, atol=1e-5)


def test_histories_too_many_to_be_summed_up_beforehand_have_the_same_means(
    pool: HistoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, without = np.array([0, 1, 0]), np.array([0, 1, 2])
    wanted = [pool.means(users), pool.means(users, without)]
    monkeypatch.setattr("training.history._MOST_SUMS", 0)
    pool.hold(pool.vectors)
    np.testing.assert_array_equal([pool.means(users), pool.means(users, without)], wanted)
