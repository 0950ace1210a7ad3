"""What a training run refuses, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recall.errors import ArtifactError, ConfigError, DataError, TrainingError
from recall.model.artifact import load_artifact
from training.config import OptimizerConfig, TrainConfig
from training.train import RunOptions, choose_device, train

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
MakeData = Callable[..., Path]
ON_CPU = RunOptions(device="cpu")


def test_existing_out_is_refused_before_any_work(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ArtifactError, match="model exists; choose another folder or remove it"):
        train(tmp_path / "no data", tmp_path / "model", make_config())


def test_unknown_feature_and_absent_data_are_refused(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"feature 'items\.colour' does not exist"):
        train(
            checkerboard,
            tmp_path / "model",
            make_config(),
            options=RunOptions(device="cpu", features=("items.colour",)),
        )
    with pytest.raises(DataError, match=r"interactions.parquet does not exist"):
        train(tmp_path / "nowhere", tmp_path / "model", make_config(), options=ON_CPU)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_out_of_range_is_refused(seed: int, checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"seed = {seed}; choose one from 0"):
        train(checkerboard, tmp_path / "model", make_config(), options=RunOptions(seed=seed))


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'tpu' is unknown; choose auto, cpu or cuda"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_refused(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch sees no CUDA device; choose cpu or auto"):
        train(checkerboard, tmp_path / "model", make_config(), options=RunOptions(device="cuda"))
    assert not (tmp_path / "model").exists()
    assert choose_device("auto") == torch.device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_training_on_cuda_gives_as_good_a_model_that_loads_on_cpu(
    trained: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    result = train(trained.data, tmp_path / "model", make_config(), options=RunOptions(device="cuda"))
    assert result.score == pytest.approx(trained.result.score, abs=0.05)
    on_cpu, on_cuda = (load_artifact(tmp_path / "model", device=name) for name in ("cpu", "cuda"))
    ids, features = ["a00", "b07", "new"], [{"title": "aaa"}, {}, {"tags": ("bbb",)}]
    np.testing.assert_allclose(on_cuda.embed_items(ids, features), on_cpu.embed_items(ids, features), atol=1e-4)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_out_that_even_root_cannot_make_is_refused_before_the_data_is_read(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="/proc is no folder that can be written"):
        train(tmp_path / "no data", Path("/proc/new/model"), make_config())


def test_out_that_cannot_be_made_is_refused_before_any_work(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(ArtifactError, match="no folder that can be written"):
        train(checkerboard, file / "model", make_config(), options=ON_CPU)


def test_diverged_training_is_an_error_and_writes_nothing(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(optimizer=OptimizerConfig(learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"lower optimizer\.learning_rate"):
        train(checkerboard, tmp_path / "model", config, options=ON_CPU)
    assert list(tmp_path.iterdir()) == []
