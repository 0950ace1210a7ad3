"""Training in bfloat16 and on a GPU: as good as in 32 bits on a CPU, and the same where it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recall.errors import ConfigError
from recall.model.artifact import load_artifact
from training.config import TrainConfig
from training.train import RunOptions, train

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def test_bfloat16_learns_the_same_taste_and_keeps_weights_of_32_bits(
    trained: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    result = train(trained.data, tmp_path / "model", make_config(precision="bf16"), options=RunOptions(device="cpu"))
    assert result.model_id != trained.result.model_id
    assert result.score == pytest.approx(trained.result.score, abs=0.1)
    model = load_artifact(tmp_path / "model")
    assert {one.dtype for one in model.towers.parameters()} == {torch.float32}


def test_compilation_is_refused_on_a_cpu(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="compile = true is for CUDA devices, and this is cpu; leave it out"):
        train(checkerboard, tmp_path / "model", make_config(compile=True), options=RunOptions(device="cpu"))
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("compile_", [False, True])
def test_fifty_steps_give_the_same_vectors_on_cpu_and_gpu(
    compile_: bool, checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    vectors = []
    for device in ("cpu", "cuda"):
        config = make_config(batch_size=8, max_steps=50, compile=compile_ and device == "cuda")
        train(checkerboard, tmp_path / device, config, options=RunOptions(device=device))
        model = load_artifact(tmp_path / device, device="cpu")
        vectors.append(model.embed_items(["a00", "b07", "new"], [{"title": "aaa"}, {}, {"tags": ("bbb",)}]))
    np.testing.assert_allclose(*vectors, atol=1e-3)
