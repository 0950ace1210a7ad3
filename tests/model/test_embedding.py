"""Vectors as their users get them: the same alone and in a batch, from tables and requests, seen and unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recall.live.convert import item_from_message, item_to_message
from recall.model.embedding import EmbeddingModel, UserInput
from recall.model.features import FeatureBatch
from recall.schema import DataSchema, FeatureMap
from recall.tables import DataFolder
from recall.v1 import recall_pb2 as pb
from training.dataset import TrainingData

FEATURES: FeatureMap = {"title": "word1 the", "brand": "brand-2", "released": 1.7e9}


def _user(history: NDArray[np.float32], user_id: str | None = "u1", **features: str | float) -> UserInput:
    return UserInput(user_id=user_id, features=features, history=history)


def _history(rows: int, *, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def test_item_and_user_vectors_have_length_one(model: EmbeddingModel, data: TrainingData) -> None:
    items = model.embed_items([*data.item_ids, "", "new"], [*data.items, {}, {}])
    users = model.embed_users([_user(_history(n), f"u{n}") for n in range(8)])
    for vectors in (items, users):
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)


def test_unseen_ids_leave_the_vector_to_the_features_to_the_bit(model: EmbeddingModel) -> None:
    wanted = model.embed_items([""], [FEATURES])
    for item_id in ("never", "\u65e5\u672c", "i999", "x" * 500):
        assert model.item_count(item_id) == 0
        np.testing.assert_array_equal(model.embed_items([item_id], [FEATURES]), wanted)


def test_cold_item_of_the_catalogue_is_unseen_too(model: EmbeddingModel, data: TrainingData) -> None:
    assert model.item_count("i55") == 0
    np.testing.assert_array_equal(
        model.embed_items(["i55"], [data.items[55]]), model.embed_items([""], [data.items[55]])
    )


def test_seen_ids_tell_items_of_equal_features_apart(model: EmbeddingModel, data: TrainingData) -> None:
    assert model.item_count("i3") >= 1
    first, second, unseen = model.embed_items(["i3", "i6", "new"], [FEATURES] * 3)
    assert np.abs(first - second).max() > 1e-2
    assert np.abs(first - unseen).max() > 1e-2


def test_counts_are_those_of_training(model: EmbeddingModel, data: TrainingData) -> None:
    counts = data.item_counts()
    for row, item_id in enumerate(data.item_ids):
        assert counts[row] <= model.item_count(item_id) <= 1.1 * counts[row] + 0.5, item_id
    assert model.knows_user("u0")
    assert not model.knows_user("u19")
    assert not model.knows_user("i0")


def test_vector_does_not_depend_on_its_batch(model: EmbeddingModel, data: TrainingData) -> None:
    together = model.embed_items(data.item_ids, data.items)
    alone = np.concatenate([model.embed_items([i], [f]) for i, f in zip(data.item_ids, data.items, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_vector_does_not_depend_on_its_batch_right_after_a_training_step(
    model: EmbeddingModel, data: TrainingData, train_step: Callable[[EmbeddingModel], None]
) -> None:
    before = model.embed_items(data.item_ids, data.items)
    train_step(model)
    together = model.embed_items(data.item_ids, data.items)
    assert np.abs(together - before).max() > 1e-4
    train_step(model)
    again = model.embed_items(data.item_ids, data.items)
    alone = np.concatenate([model.embed_items([i], [f]) for i, f in zip(data.item_ids, data.items, strict=True)])
    np.testing.assert_allclose(again, alone, atol=1e-6)
    history = _history(3)
    train_step(model)
    users = [_user(history, f"u{n}") for n in range(5)]
    together = model.embed_users(users)
    np.testing.assert_allclose(together, np.concatenate([model.embed_users([u]) for u in users]), atol=1e-6)


def test_more_items_than_a_batch_keep_their_order(model: EmbeddingModel, data: TrainingData) -> None:
    ids, features = data.item_ids * 40, data.items * 40
    vectors = model.embed_items(ids, features)
    np.testing.assert_allclose(vectors[-60:], model.embed_items(data.item_ids, data.items), atol=1e-6)


def test_no_items_and_no_users_give_empty_arrays(model: EmbeddingModel) -> None:
    assert model.embed_items([], []).shape == (0, 16)
    assert model.embed_users([]).shape == (0, 16)


def test_user_vector_reflects_history_features_and_id(model: EmbeddingModel) -> None:
    variants = [
        _user(_history(3), "u1", country="nl"),
        _user(_history(3, seed=1), "u1", country="nl"),
        _user(_history(0), "u1", country="nl"),
        _user(_history(3), "u1", country="de"),
        _user(_history(3), "u1", country="nl", age=70.0),
        _user(_history(3), "u2", country="nl"),
        _user(_history(3), None, country="nl"),
    ]
    vectors = model.embed_users(variants)
    gaps = np.abs(vectors[:, None] - vectors[None]).max(axis=2)
    assert gaps[np.triu_indices(len(variants), 1)].min() > 1e-3


def test_unseen_user_equals_the_anonymous_one(model: EmbeddingModel) -> None:
    first, second = (model.embed_users([_user(_history(2), user_id, country="nl")]) for user_id in ("nobody", None))
    np.testing.assert_array_equal(first, second)


def test_only_the_last_of_a_long_history_count(model: EmbeddingModel) -> None:
    history = _history(12)
    assert model.max_history == 5
    long, last, first = (model.embed_users([_user(part)]) for part in (history, history[-5:], history[:5]))
    np.testing.assert_array_equal(long, last)
    assert np.abs(long - first).max() > 1e-3


def test_user_follows_what_they_took(model: EmbeddingModel) -> None:
    directions = np.eye(16, dtype=np.float32)[:4]
    users = model.embed_users([_user(direction[None], None) for direction in directions])
    np.testing.assert_array_equal((users @ directions.T).argmax(axis=0), np.arange(4))


def test_table_rows_and_requests_become_the_same_batch_to_the_bit(
    model: EmbeddingModel, schema: DataSchema, tmp_path: Path
) -> None:
    table = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "\u65e5\u672c", "e"],
            "title": ["Jazz \ufb01n", None, "", "Stra\u00dfe \U0001f600 x", "cafe\u0301"],
            "tags": [["Z", "a", "Z"], [], None, ["\u00c9t\u00e9", " x "], ["a"]],
            "brand": ["br\u00e4nd", "", None, "\uff22", "b"],
            "released": [0.1, None, float("nan"), 1.7e9 + 1 / 3, -0.0],
            "image": [[0.1, 1 / 3, -1e-30], None, [], [1e38, 0.0, 2.0**-149], [1.0, 2.0, 3.0]],
        },
        schema_overrides={"image": pl.List(pl.Float64)},
    )
    (tmp_path / "dataset.toml").write_text('[item_features]\ntitle = "text"\ntags = "set"\nbrand = "category"\n'
                                           'released = "number"\nimage = "vector"\n')  # fmt: skip
    table.write_parquet(tmp_path / "items.parquet")
    pl.DataFrame({"user_id": ["u"], "item_id": ["a"]}).write_parquet(tmp_path / "interactions.parquet")
    ids, rows, attributes = DataFolder.open(tmp_path).items()
    requests = [_over_the_wire(*row, schema=schema) for row in zip(ids, rows, attributes, strict=True)]
    _same(model.items.features.encode(rows), model.items.features.encode(requests))
    for item_id, row, request in zip(ids, rows, requests, strict=True):
        from_table, from_wire = (model.embed_items([item_id], [features]) for features in (row, request))
        np.testing.assert_array_equal(from_table, from_wire)
        assert np.isfinite(from_table).all()


def _over_the_wire(item_id: str, features: FeatureMap, attributes: FeatureMap, *, schema: DataSchema) -> FeatureMap:
    message = item_to_message(item_id, features, attributes=attributes)
    record, violations, _ = item_from_message(pb.Item.FromString(message.SerializeToString()), schema, path="item")
    assert not violations
    return record.features


def _same(first: FeatureBatch, second: FeatureBatch) -> None:
    np.testing.assert_array_equal(first.content, second.content)
    np.testing.assert_array_equal(first.categories, second.categories)
    np.testing.assert_array_equal(first.has_category, second.has_category)
    np.testing.assert_array_equal(first.dense, second.dense)


def test_unknown_features_do_not_change_a_vector(model: EmbeddingModel) -> None:
    known, more = (model.embed_items(["i1"], [features]) for features in (FEATURES, {**FEATURES, "colour": "red"}))
    np.testing.assert_array_equal(known, more)


def test_item_without_any_feature_or_sighting_has_a_finite_vector(model: EmbeddingModel) -> None:
    vector = model.embed_items(["new"], [{}])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_user_vector_does_not_depend_on_who_else_is_asked_for(model: EmbeddingModel) -> None:
    users = [_user(_history(n % 7, seed=n), f"u{n}", country="nl") for n in range(40)]
    together = model.embed_users(users)
    for some in (slice(0, 1), slice(5, 7), slice(3, 18), slice(20, 40), slice(39, 40)):
        np.testing.assert_array_equal(model.embed_users(users[some]), together[some])
