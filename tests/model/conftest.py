"""A small data set with every feature kind and gaps everywhere, and an untrained model of it whose parts all matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recall.model.artifact import save_artifact
from recall.model.config import CodeConfig, DecoderConfig, TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.schema import DataSchema, FeatureMap, FeatureSpec, FeatureValue
from training.dataset import TrainingData
from training.setup import build_model, golden_inputs
from training.step import Stepper

NUM_ITEMS, NUM_USERS = 60, 20
SCHEMA = DataSchema(
    name="kinds",
    item_features=(
        FeatureSpec(name="title", kind="text", domain="title"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
        FeatureSpec(name="brand", kind="category", domain="brand"),
        FeatureSpec(name="released", kind="number", domain="released"),
        FeatureSpec(name="image", kind="vector", domain="image", dim=3),
    ),
    user_features=(
        FeatureSpec(name="country", kind="category", domain="country"),
        FeatureSpec(name="age", kind="number", domain="age"),
    ),
)
TOWERS = TowerConfig(
    dim=16,
    id_code=CodeConfig(k=64),
    id_decoder=DecoderConfig(width=32, depth=1),
    content_code=CodeConfig(k=64),
    category_code=CodeConfig(k=16),
    feature_decoder=DecoderConfig(width=48, depth=1),
    max_history=5,
    max_sketch_bytes=1 << 14,
)


def _item(row: int) -> FeatureMap:
    rng = np.random.default_rng(row)
    features: dict[str, FeatureValue] = {
        "title": f"Word{row % 7} the word{row % 3}",
        "tags": (f"tag {row % 5}", "\u00c9t\u00e9"),
        "brand": f"brand-{row % 4}",
        "released": 1.7e9 + 86_400.0 * row,
        "image": rng.normal(size=3).astype(np.float32),
    }
    # Item 5 n + m lacks its m-th feature.
    return {name: value for place, (name, value) in enumerate(features.items()) if place != row % 5}


def make_data(*, schema: DataSchema = SCHEMA, num_items: int = NUM_ITEMS) -> TrainingData:
    """Items 50 and up were never seen; user 0 has the most interactions, user 19 none."""
    warm = min(50, num_items - 1)
    pairs = np.array([(user, (user * 3 + n * 7) % warm) for user in range(NUM_USERS - 1) for n in range(20 - user)])
    pairs = np.unique(pairs, axis=0)
    return TrainingData(
        schema=schema,
        item_ids=[f"i{row}" for row in range(num_items)],
        items=[_item(row) for row in range(num_items)],
        user_ids=[f"u{row}" for row in range(NUM_USERS)],
        users=[{"country": "nl", "age": 20.0 + row} if row % 2 else {} for row in range(NUM_USERS)],
        train=pairs,
        validation=pairs[:0],
        refitted=pairs,
        carved=False,
    )


def make_model(data: TrainingData, *, towers: TowerConfig = TOWERS, seed: int = 0) -> EmbeddingModel:
    """Builds a model whose weights and BatchNorm statistics are no special case, without training."""
    model = build_model(data, towers, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.towers.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif name.endswith("running_mean"):
            value.copy_(torch.randn(value.shape, generator=generator))
        elif value.is_floating_point() and "gate" not in name and "history_map" not in name:
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return model


@pytest.fixture(scope="session")
def schema() -> DataSchema:
    return SCHEMA


@pytest.fixture(scope="session")
def towers() -> TowerConfig:
    return TOWERS


@pytest.fixture(scope="session")
def build_data() -> Callable[..., TrainingData]:
    return make_data


@pytest.fixture(scope="session")
def fresh_model() -> Callable[..., EmbeddingModel]:
    return make_model


@pytest.fixture(scope="session")
def data() -> TrainingData:
    return make_data()


@pytest.fixture
def model(data: TrainingData) -> EmbeddingModel:
    return make_model(data)


@pytest.fixture(scope="session")
def train_step(data: TrainingData) -> Callable[[EmbeddingModel], None]:
    """Returns what takes one optimiser step, with the towers left in train mode."""
    from training.config import TrainConfig

    def step(model: EmbeddingModel) -> None:
        stepper = Stepper(model, data, TrainConfig(towers=TOWERS, batch_size=32), seed=0)
        optimizer = torch.optim.SGD(model.towers.parameters(), lr=0.1)
        stepper.loss(next(stepper.batches(1))).backward()
        optimizer.step()
        model.towers.train()

    return step


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, data: TrainingData) -> Path:
    """Returns a saved artifact; do not change it, copy it."""
    folder = tmp_path_factory.mktemp("artifact") / "model"
    save_artifact(make_model(data), folder, golden_inputs(data), training={"epoch": 1})
    return folder
