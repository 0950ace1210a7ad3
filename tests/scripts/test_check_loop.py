"""A small round of the loop: train, serve, record, export, retrain, rebuild, switch."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from check_loop import training_configs
from training.config import TrainConfig


@pytest.mark.parametrize(("cold", "start"), [(False, "/a/first"), (True, "")])
def test_second_training_starts_from_the_first_model_or_cold(cold: bool, start: str) -> None:
    configs = training_configs(Path("/a/first"), epochs=3, cold=cold)
    first, second = (TrainConfig.model_validate(tomllib.loads(config)) for config in configs)
    assert (first.epochs, second.epochs) == (3, 3)
    assert (first.warm_start, second.warm_start) == ("", start)


@pytest.mark.slow
def test_what_is_recorded_while_a_model_serves_makes_the_next_one_better(
    run_script: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    result = run_script("check_loop.py", "--json", "-")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["failures"] == []
    assert report["num_exported"] > report["num_recorded"] > 1000
    assert report["recall_after"] > report["recall_before"] > 0
    assert report["num_answers_meanwhile"] > 10
