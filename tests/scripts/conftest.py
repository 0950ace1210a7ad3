"""One small demo run, whose data and model the other scripts are tested with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
