"""Settings that follow from the data, and that those that are given stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recall.interactions import PARTS
from training.config import TrainConfig
from training.dataset import TrainingData, later_share
from training.rules import resolved

AUTO = TrainConfig()


def _without_features(data: TrainingData) -> TrainingData:
    return replace(data, schema=data.schema.model_copy(update={"item_features": (), "user_features": ()}))


def test_items_without_features_keep_their_ids(checkerboard_data: TrainingData) -> None:
    plain, rich = resolved(AUTO, _without_features(checkerboard_data)), resolved(AUTO, checkerboard_data)
    assert plain.item_id_dropout == 0.0
    assert rich.item_id_dropout == 0.5


@pytest.mark.parametrize(("share", "pooling"), [(None, "mean"), (0.5, "mean"), (0.9, "recent"), (1.0, "recent")])
def test_order_counts_where_validation_came_later(
    checkerboard_data: TrainingData, share: float | None, pooling: str
) -> None:
    assert resolved(AUTO, replace(checkerboard_data, later_share=share)).towers.pooling == pooling


def test_what_is_given_stays(checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]) -> None:
    towers = make_config().towers.model_copy(update={"pooling": "mean"})
    given = make_config(item_id_dropout=0.25, towers=towers)
    assert resolved(given, replace(_without_features(checkerboard_data), later_share=1.0)) == given


def test_rules_say_what_they_chose(checkerboard_data: TrainingData, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    resolved(AUTO, replace(checkerboard_data, later_share=1.0))
    said = caplog.text
    assert "item_id_dropout = 0.5: items have features" in said
    assert "towers.pooling = recent: 100% of the validation interactions come after" in said


def _share(rows: list[tuple[str, int, str]]) -> float | None:
    users = np.array([ord(user) for user, _, _ in rows], dtype=np.int32)
    parts = np.array([PARTS.index(part) for _, _, part in rows], dtype=np.int8)
    return later_share(parts, users, np.array([time for _, time, _ in rows]))


def test_later_share_is_of_users_whose_times_differ() -> None:
    rows = [("a", 1, "train"), ("a", 5, "train"), ("a", 5, "validation"), ("a", 4, "validation")]
    assert _share(rows) == 0.5
    same = [("b", 3, "train"), ("b", 3, "train"), ("b", 9, "validation"), ("c", 9, "validation")]
    assert _share([*rows, *same]) == 0.5
    assert _share(same) is None
    assert later_share(np.zeros(2, dtype=np.int8), np.zeros(2, dtype=np.int32), None) is None
