"""A run that was killed goes on from its checkpoint and gives the artifact of an unbroken one."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recall.errors import ArtifactError, TrainingError
from training.config import CheckpointConfig, OptimizerConfig, TrainConfig
from training.train import RunOptions, TrainResult, train

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
EVERY_STEP = CheckpointConfig(steps=1)


class _Killed(BaseException):
    """Ends training at once, as SIGKILL does, but for what the context of the checkpoint does at its end."""


def _killing(stage: str, step: int, *, round_: int = 1) -> Callable[[str, int, int], None]:
    seen = []

    def progress(name: str, done: int, total: int) -> None:
        if (name, done) == (stage, step):
            seen.append(name)
            if len(seen) == round_:
                raise _Killed

    return progress


def _train(data: Path, out: Path, config: TrainConfig, progress: Any = None, **options: Any) -> TrainResult:
    return train(data, out, config, options=RunOptions(device="cpu", **options), progress=progress)


def _killed(data: Path, out: Path, config: TrainConfig, progress: Any, **options: Any) -> None:
    with pytest.raises(_Killed):
        _train(data, out, config, progress, **options)
    assert [path.name for path in out.parent.iterdir() if path.name != "data"] == [f".{out.name}.checkpoint"]


# The same result


@pytest.mark.parametrize(
    ("stage", "step", "settings"),
    [
        ("epoch 1", 6, {}),  # 9 steps an epoch, histories refreshed before steps 1, 5 and 9
        ("epoch 2", 4, {"optimizer": OptimizerConfig(average_weights=True, max_gradient_norm=0.5)}),
        ("epoch 2", 3, {"accumulate_steps": 2, "max_steps": 14}),
    ],
)
def test_killed_run_gives_the_same_artifact(
    stage: str, step: int, settings: dict[str, Any], checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(epochs=3, checkpoint=EVERY_STEP, **settings)
    unbroken = _train(checkerboard, tmp_path / "unbroken" / "model", config)
    killed = tmp_path / "killed" / "model"
    _killed(checkerboard, killed, config, _killing(stage, step))
    steps: list[tuple[str, int]] = []
    assert _train(checkerboard, killed, config, lambda name, done, _: steps.append((name, done))) == unbroken
    assert [path.name for path in killed.parent.iterdir()] == ["model"]
    # What was done before is not done again: a step is kept right before it is told of.
    kept = step - step % config.accumulate_steps
    assert steps[0] == (stage, kept + 1)


@pytest.mark.parametrize(("stage", "step", "round_"), [("exact words", 0, 1), ("epoch 1", 4, 2)])
def test_killed_refit_gives_the_same_artifact(
    stage: str, step: int, round_: int, make_checkerboard: Callable[..., Path], make_config: MakeConfig, tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "data", parts={"train": 14, "test": 3}, cold=False)
    config = make_config(epochs=2, refit=True, checkpoint=EVERY_STEP)
    unbroken = _train(data, tmp_path / "unbroken" / "model", config)
    killed = tmp_path / "killed" / "model"
    _killed(data, killed, config, _killing(stage, step, round_=round_))
    assert _train(data, killed, config) == unbroken


def test_process_that_was_killed_goes_on(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    settings = make_config(epochs=8, patience=8, batch_size=16, checkpoint=CheckpointConfig(steps=3))
    config = tmp_path / "train.toml"
    config.write_text(_toml(settings))
    out = tmp_path / "killed" / "model"
    recall = [str(Path(sys.executable).with_name("recall")), "train", "--data", str(checkerboard), "--device", "cpu",
              "--config", str(config), "--out", str(out), "--json", "-"]  # fmt: skip
    process = subprocess.Popen(recall, stderr=subprocess.PIPE, text=True)
    facts = _wait_for_a_step_of_a_later_epoch(out.with_name(".model.checkpoint") / "checkpoint.json", process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    done = subprocess.run(recall, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "going on from the checkpoint" in done.stderr
    assert f"epoch {facts['epoch'] - 1}: loss" not in done.stderr
    unbroken = _train(checkerboard, tmp_path / "unbroken" / "model", settings)
    assert json.loads(done.stdout)["model_id"] == unbroken.model_id
    assert [path.name for path in out.parent.iterdir()] == ["model"]


def _toml(config: TrainConfig) -> str:
    """Returns a configuration as inline tables."""

    def written(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {written(one)}" for key, one in value.items()) + "}"
        return json.dumps(value)

    settings = config.model_dump(exclude_none=True)
    return "".join(f"{key} = {written(value)}\n" for key, value in settings.items())


def _wait_for_a_step_of_a_later_epoch(manifest: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    for _ in range(30_000):
        assert process.poll() is None, "the run ended before it could be killed"
        if manifest.exists():
            facts: dict[str, Any] = json.loads(manifest.read_bytes())["facts"]
            if facts["epoch"] >= 2 and facts["step"] > 0:
                return facts
        time.sleep(0.01)
    raise AssertionError("no checkpoint within a later epoch")


# Which run it is of


@pytest.fixture
def interrupted(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> Path:
    """The place of a model whose run was killed in its second epoch."""
    _killed(checkerboard, tmp_path / "model", make_config(epochs=3), _killing("epoch 2", 2))
    return tmp_path / "model"


def test_another_run_is_refused_with_what_differs(
    interrupted: Path, checkerboard: Path, make_checkerboard: Callable[..., Path], make_config: MakeConfig,
    tmp_path: Path,
) -> None:  # fmt: skip
    config = make_config(epochs=4, optimizer=OptimizerConfig(learning_rate=0.5))
    with pytest.raises(ArtifactError) as refused:
        _train(checkerboard, interrupted, config, seed=3, features=("items.title",))
    for difference in ("epochs was 3 and is 4", "optimizer.learning_rate was 0.01 and is 0.5", "seed was 0 and is 3",
                       "features was all and is items.title", "--restart to begin anew, or another --out"):  # fmt: skip
        assert difference in str(refused.value)
    other = make_checkerboard(tmp_path / "other", cold=False)
    with pytest.raises(ArtifactError, match=r"another run: interactions\.parquet has changed; give the same"):
        _train(other, interrupted, make_config(epochs=3))


def test_restart_begins_anew_whatever_was_kept(
    interrupted: Path, checkerboard: Path, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    (interrupted.with_name(f".{interrupted.name}.checkpoint") / "checkpoint.json").write_bytes(b"damaged")
    steps: list[str] = []
    with caplog.at_level(logging.INFO):
        _train(checkerboard, interrupted, make_config(epochs=1), lambda name, *_: steps.append(name), restart=True)
    assert steps[0] == "epoch 1"
    assert "going on from" not in caplog.text
    assert not interrupted.with_name(f".{interrupted.name}.checkpoint").exists()


def test_how_often_it_is_kept_makes_no_other_run_and_no_other_model(
    interrupted: Path, trained: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(epochs=3, checkpoint=CheckpointConfig(epochs=False, seconds=0))
    unbroken = _train(trained.data, tmp_path / "unbroken", make_config(epochs=3))
    assert _train(trained.data, interrupted, config) == unbroken


def test_other_threads_or_versions_are_a_warning(
    interrupted: Path, checkerboard: Path, make_config: MakeConfig, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("training.run_identity.version", lambda name: "99")
    with caplog.at_level(logging.INFO):
        _train(checkerboard, interrupted, make_config(epochs=3))
    assert "and are dhe-recall 99, torch 99" in caplog.text
    assert "going on from the checkpoint" in caplog.text


# Other ends


def test_checkpoint_goes_where_the_same_steps_would_fail_again(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(optimizer=OptimizerConfig(learning_rate=1e30), checkpoint=EVERY_STEP)
    with pytest.raises(TrainingError, match="lower optimizer"):
        _train(checkerboard, tmp_path / "model", config)
    assert not list(tmp_path.iterdir())


def test_disk_that_is_full_does_not_end_training(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.checkpoint.save_file", full)
    unbroken = _train(checkerboard, tmp_path / "model", make_config(epochs=1))
    assert unbroken.epoch == 1
    assert "no checkpoint could be written" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
