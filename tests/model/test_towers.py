"""The towers: unit vectors, ids that only count once seen, and users shaped by features and history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.schema import DataSchema, FeatureSpec
from training.dataset import TrainingData

CPU = torch.device("cpu")


def test_distinct_users_with_an_index_equal_users_one_to_one(model: EmbeddingModel, data: TrainingData) -> None:
    index = np.array([2, 0, 2, 1, 2])
    rows = model.users.prepare(data.user_ids[:3], data.users[:3])
    history = torch.from_numpy(np.random.default_rng(0).normal(size=(5, model.dim)).astype(np.float32))
    model.towers.eval()
    by_index = model.towers.user(model.users.tower_input(rows, CPU), history, torch.from_numpy(index))
    one_to_one = model.towers.user(model.users.tower_input(rows.take(index), CPU), history)
    torch.testing.assert_close(by_index, one_to_one)


def test_gradient_of_repeated_users_is_the_same_each_time(model: EmbeddingModel) -> None:
    """Enough rows for several threads, which must not add up in the order in which they happen to arrive."""
    rows = model.users.prepare([f"u{n}" for n in range(4)], [{}] * 4)
    rows = replace(rows, counts=np.full(4, 9, dtype=np.float32))
    index = torch.from_numpy(np.random.default_rng(0).integers(0, 4, size=1 + 2**16 // model.dim))
    history = torch.from_numpy(np.random.default_rng(0).normal(size=(len(index), model.dim)).astype(np.float32))
    inputs, tower = model.users.tower_input(rows, CPU), model.towers.user
    model.towers.eval()
    weight = tower.id_part.decoder.layers.output.weight
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        scores = [(tower(inputs, history, index) * history).sum() for _ in range(10)]
        gradients = [torch.autograd.grad(score, weight)[0] for score in scores]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_batch_of_unseen_items_has_the_bits_that_it_has_among_seen_ones(
    model: EmbeddingModel, data: TrainingData
) -> None:
    """What is left out where every share is 0 would have added exactly 0."""
    rows = model.items.prepare([f"new-{n}" for n in range(4)], data.items[:4])
    assert not rows.counts.any()
    model.towers.eval()
    batch = model.items.tower_input(rows, CPU)
    seen = model.items.tower_input(replace(rows, counts=np.array([0, 0, 0, 9], dtype=np.float32)), CPU)
    with torch.inference_mode():
        alone, among = model.towers.item(batch), model.towers.item(seen)
    assert torch.equal(alone[:3], among[:3])
    assert not torch.equal(alone[3], among[3])


def test_history_map_starts_as_the_identity(model: EmbeddingModel) -> None:
    assert torch.equal(model.towers.user.history_map.weight, torch.eye(model.dim))


def test_category_is_not_its_neighbour(fresh_model: Callable[..., EmbeddingModel], data: TrainingData) -> None:
    """Two category features of one domain keep apart which of them has the value."""
    specs = tuple(FeatureSpec(name=name, kind="category", domain="person") for name in ("author", "editor"))
    schema = DataSchema(name="two", item_features=specs)
    model = fresh_model(_with(data, schema))
    first, second = model.embed_items(["", ""], [{"author": "ann"}, {"editor": "ann"}])
    assert np.abs(first - second).max() > 1e-3


def test_missing_category_has_no_code(model: EmbeddingModel) -> None:
    codes = model.items.tower_input(model.items.prepare(["", ""], [{}, {"brand": "brand-1"}]), CPU).categories
    assert not codes[0].any()
    assert codes[1].any()


def test_missing_category_differs_from_every_value(model: EmbeddingModel) -> None:
    missing, present = model.embed_items(["", ""], [{}, {"brand": "brand-1"}])
    assert np.abs(missing - present).max() > 1e-3


def test_model_size_does_not_depend_on_the_catalogue(
    fresh_model: Callable[..., EmbeddingModel], build_data: Callable[..., TrainingData], towers: TowerConfig
) -> None:
    small, large = (fresh_model(build_data(num_items=count)) for count in (40, 4000))
    sizes = [sum(value.numel() for value in model.towers.state_dict().values()) for model in (small, large)]
    assert sizes[0] == sizes[1]
    for side in (large.items, large.users):
        assert side.id_counts.levels.nbytes <= towers.max_sketch_bytes
        assert side.features.document_counts.levels.nbytes <= towers.max_sketch_bytes


def test_model_without_any_feature_works_by_id_and_history(
    fresh_model: Callable[..., EmbeddingModel], data: TrainingData
) -> None:
    model = fresh_model(_with(data, DataSchema(name="none")))
    vectors = model.embed_items(["i0", "i7", "new", "newer"], [{"title": "x"}, {}, {}, {"brand": "y"}])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_allclose(vectors[2], vectors[3], atol=1e-6)


def test_gaussian_codes_reach_the_towers(
    fresh_model: Callable[..., EmbeddingModel], data: TrainingData, towers: TowerConfig
) -> None:
    code = towers.id_code.model_copy(update={"distribution": "gaussian"})
    model = fresh_model(data, towers=towers.model_copy(update={"id_code": code}))
    codes = model.items.tower_input(model.items.prepare(data.item_ids, data.items), CPU).id_codes
    assert float(codes.std()) == pytest.approx(1, abs=0.05)
    assert np.isfinite(model.embed_items(data.item_ids, data.items)).all()


def _with(data: TrainingData, schema: DataSchema) -> TrainingData:
    return replace(data, schema=schema)
