"""A checkerboard: users of group a like items of group a, users of b those of b, and nothing else is to be learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recall.model.config import CodeConfig, DecoderConfig, TowerConfig
from recall.tables import DataFolder
from training.config import LossConfig, OptimizerConfig, TrainConfig
from training.dataset import TrainingData, read_training_data
from training.train import RunOptions, TrainResult, train

GROUPS = "ab"
WARM, COLD, USERS = 30, 4, 24
PARTS = {"train": 12, "validation": 2, "test": 3}
TOML = '[item_features]\ntitle = "text"\ntags = "set"\nprice = "number"\n'


def write_checkerboard(folder: Path, *, parts: dict[str, int] = PARTS, cold: bool = True, split: bool = True) -> Path:
    """Writes the data folder. Each group has 30 warm items, 4 cold ones that occur in test alone, and 24 users.

    Args:
        folder: To make.
        parts: Warm items of each user in each part of the split.
        cold: Whether each user has one cold item in test.
        split: Whether to write the column; without it nothing is cold.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, str]] = []
    for group in GROUPS:
        for user in range(USERS):
            items = rng.permutation(WARM)[: sum(parts.values())]
            names = [part for part, count in parts.items() for _ in range(count)]
            rows += [(f"u{group}{user:02}", f"{group}{n:02}", part) for n, part in zip(items, names, strict=True)]
            if cold:
                rows.append((f"u{group}{user:02}", f"{group}{WARM + user % COLD:02}", "test"))
    pairs = pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row")
    (pairs if split else pairs.drop("split")).write_parquet(folder / "interactions.parquet")
    items = [(group, n) for group in GROUPS for n in range(WARM + COLD)]
    pl.DataFrame(
        {
            "item_id": [f"{group}{n:02}" for group, n in items],
            "title": [f"{group * 3} {group}word{n % 5}" for group, n in items],
            "tags": [[group * 3] if n % 3 else None for group, n in items],
            "price": [float(n) if n % 4 else None for _, n in items],
        }
    ).write_parquet(folder / "items.parquet")
    users = [f"u{group}{user:02}" for group in GROUPS for user in range(USERS)]
    countries = ["nl" if user % 2 else "de" for _ in GROUPS for user in range(USERS)]
    pl.DataFrame({"user_id": users, "country": countries}).write_parquet(folder / "users.parquet")
    (folder / "dataset.toml").write_text(TOML)
    return folder


def tiny_config(**changes: Any) -> TrainConfig:
    """Returns settings that learn the checkerboard in a second."""
    settings: dict[str, Any] = {
        "towers": TowerConfig(
            dim=16,
            id_code=CodeConfig(k=64),
            id_decoder=DecoderConfig(width=32, depth=1),
            content_code=CodeConfig(k=64),
            category_code=CodeConfig(k=16),
            feature_decoder=DecoderConfig(width=48, depth=1),
            audience_decoder=DecoderConfig(width=32, depth=1),
            max_sketch_bytes=1 << 14,
        ),
        "loss": LossConfig(uniform_negatives=32),
        "optimizer": OptimizerConfig(learning_rate=1e-2, average_weights=False),
        "epochs": 4,
        "batch_size": 64,
        "refresh_steps": 4,
        "threads": 1,
    }
    return TrainConfig(**{**settings, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model of the checkerboard and where it came from."""

    data: Path
    model: Path
    result: TrainResult


@pytest.fixture(scope="session")
def make_checkerboard() -> Callable[..., Path]:
    return write_checkerboard


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    return tiny_config


@pytest.fixture(scope="session")
def checkerboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the data folder; do not change it."""
    return write_checkerboard(tmp_path_factory.mktemp("data") / "checkerboard")


@pytest.fixture(scope="session")
def checkerboard_data(checkerboard: Path) -> TrainingData:
    return read_training_data(DataFolder.open(checkerboard), features=None, seed=0)


@pytest.fixture(scope="session")
def trained(checkerboard: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Returns one trained model for all tests that only look at it."""
    model = tmp_path_factory.mktemp("trained") / "model"
    return Trained(
        data=checkerboard,
        model=model,
        result=train(checkerboard, model, tiny_config(), options=RunOptions(device="cpu")),
    )
