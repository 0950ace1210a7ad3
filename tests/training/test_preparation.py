"""Rows prepared a piece at a time are those prepared at once, mapped or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.config import TrainConfig
from training.dataset import TrainingData
from training.preparation import Source, prepare, prepare_with_bags
from training.setup import build_model


@pytest.mark.parametrize("most_bytes", [0, 1 << 20])
def test_pieces_are_the_whole(
    most_bytes: int, checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = checkerboard_data
    model = build_model(data, make_config().towers, seed=0)
    items = Source(side=model.items, ids=data.item_ids, rows=data.items)
    users = Source(side=model.users, ids=data.user_ids, rows=data.users)
    wanted, bags = model.items.prepare_with_bags(data.item_ids, data.items)
    wanted_users = model.users.prepare(data.user_ids, data.users)
    monkeypatch.setattr("training.preparation.PIECE", 10)
    monkeypatch.setattr("training.preparation._MOST_BYTES", most_bytes)
    rows, some_bags = prepare_with_bags(items)
    for seen, whole in ((rows, wanted), (prepare(users), wanted_users)):
        assert (seen.id_hashes.base is not None) == (most_bytes == 0)
        np.testing.assert_array_equal(seen.id_hashes, whole.id_hashes)
        np.testing.assert_array_equal(seen.counts, whole.counts)
        np.testing.assert_array_equal(seen.features.categories, whole.features.categories)
        np.testing.assert_array_equal(seen.features.dense, whole.features.dense)
        np.testing.assert_allclose(seen.features.content, whole.features.content, atol=1e-6)
    np.testing.assert_array_equal(some_bags.tokens, bags.tokens)
    np.testing.assert_array_equal(some_bags.offsets, bags.offsets)
