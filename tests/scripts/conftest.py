"""One small demo run, whose data and model the other scripts are tested with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def _run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="session")
def run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script of the repository to its end."""
    return _run


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    return folder, _run("demo.py", "--folder", folder, "--items", 400, "--users", 200, "--epochs", 1)


@pytest.fixture(scope="session")
def demo_folder(demo_run: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    folder, result = demo_run
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def check(demo_folder: Path) -> Callable[..., dict[str, Any]]:
    """Runs a check to its end and returns what it reports as JSON."""

    def run(name: str, *arguments: object) -> dict[str, Any]:
        source = ("--data", demo_folder / "data", "--model", demo_folder / "model")
        result = _run(name, *source, *arguments, "--json", "-")
        assert result.returncode == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    return run
