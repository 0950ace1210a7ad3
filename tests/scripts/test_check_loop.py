"""A small round of the loop: train, serve, record, export, retrain, rebuild, switch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest


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
