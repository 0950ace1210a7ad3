"""Training settings: strict, with defaults, and never a value that training could not run with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from recall.cli.settings import resolve
from recall.errors import ConfigError
from training.config import LossConfig, TrainConfig


def test_missing_key_takes_its_default_at_every_level(tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text("epochs = 3\n[towers.id_code]\nk = 64\n[loss]\nlog_q = false\n")
    config, default = resolve(TrainConfig, "train", file=file, environ={}), TrainConfig()
    assert (config.epochs, config.batch_size) == (3, default.batch_size)
    assert (config.towers.id_code.k, config.towers.id_code.m, config.towers.dim) == (64, 10**6, default.towers.dim)
    assert (config.loss.log_q, config.loss.temperature) == (False, default.loss.temperature)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "epoch"),
        ("[loss]\ntemp = 1", "loss.temp"),
        ("[towers.id_code]\nk = 63", "towers.id_code.k"),
        ("[optimizer]\nlearning_rate = 'fast'", "optimizer.learning_rate"),
        ("fusion.content = 'dense'\ntowers.dim = 256", "towers.dim = 256: it needs 'svd' and less than 256"),
    ],
)
def test_wrong_file_is_refused_with_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(TrainConfig, "train", file=file, environ={})
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"patience": 0},
        {"validation_k": 0},
        {"validation_users": 0},
        {"item_id_dropout": 1.0},
        {"user_id_dropout": -0.1},
        {"history_dropout": 1.0},
        {"token_dropout": 0.6},
        {"token_dropout": -0.1},
        {"refresh_steps": 0},
        {"threads": -1},
        {"loss": {"temperature": 0}},
        {"loss": {"temperature": float("nan")}},
        {"loss": {"uniform_negatives": -1}},
        {"loss": {"log_q": False, "log_q_of": "presence"}},
        {"loss": {"log_q": False, "frequency": "stream"}},
        {"loss": {"frequency_rate": 0.2}},
        {"loss": {"frequency_cells": 1 << 12}},
        {"loss": {"frequency": "stream", "frequency_rate": 0.0}},
        {"loss": {"temperature": "cool"}},
        {"loss": {"temperature": float("inf")}},
        {"loss": {"temperature": "learned", "form": "bilateral"}},
        {"loss": {"memory_steps": -1}},
        {"loss": {"memory_after": 5}},
        {"loss": {"hardness": 2.0}},
        {"loss": {"hard_negatives": "top", "hardness": 2.0}},
        {"loss": {"hard_negatives": "weighted", "hard_share": 0.2}},
        {"loss": {"hard_negatives": "top", "hard_share": 1.0}},
        {"loss": {"positive_temperature": 0.1}},
        {"loss": {"negative_weight": 1.1}},
        {"loss": {"form": "bilateral", "negative_weight": 0.0}},
        {"loss": {"positives_per_user": 0}},
        {"optimizer": {"learning_rate": 0}},
        {"optimizer": {"weight_decay": -1}},
        {"optimizer": {"warmup_share": 1.0}},
        {"loss": {"negatives_from": "cold"}},
        {"fusion": {"content": "both"}},
        {"fusion": {"seen": -0.1}},
        {"fusion": {"seen": float("nan")}},
        {"fusion": {"unseen": 1001.0}},
        {"fusion": {"unseen": "best"}},
        {"fusion": {"unseen_offset": -1001.0}},
        {"fusion": {"unseen_offset": float("nan")}},
        {"fusion": {"weight": 1.0}},
        {"fusion": {"content": "dense", "seen": 1.0}},
        {"fusion": {"content": "none", "unseen_offset": 0.0}},
        {"fusion": {"content": "dense"}, "towers": {"dim": 256}},
        {"fusion": {"content": "dense"}, "towers": {"content": "codes"}},
    ],
)
def test_value_out_of_range_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(values)


def test_setting_without_effect_is_refused_with_what_it_would_need() -> None:
    with pytest.raises(ValidationError, match=r"hard_share = 0\.2 has no effect with hard_negatives = none"):
        LossConfig(hard_share=0.2)


def test_settings_of_the_objective_survive_the_way_through_a_file() -> None:
    for values in (
        {"temperature": "learned", "frequency": "stream", "memory_steps": 3, "memory_after": 2},
        {"form": "bilateral", "positive_temperature": 0.1, "negative_weight": 1.2, "hard_negatives": "weighted"},
        {},
    ):
        config = TrainConfig.model_validate({"loss": values})
        assert TrainConfig.model_validate_json(config.model_dump_json()) == config
