"""What a fresh clone promises: the layout, the two commands, pinned versions."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = [
    "recall", "index", "training", "proto", "tests", "scripts", "docs", "pyproject.toml", "constraints.txt", "Makefile",
    "README.md", "CHANGELOG.md", "LICENSE", ".ci/run", ".gitattributes", ".gitignore", ".pre-commit-config.yaml",
]  # fmt: skip
PAGES = ["architecture.md", "evaluation.md"]


def _pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LAYOUT)
def test_top_level_has(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", PAGES)
def test_docs_have(name: str) -> None:
    assert (ROOT / "docs" / name).is_file()


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "make test"
    assert commands[0] == "set -euo pipefail"


def test_make_test_runs_every_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test: lint types unit$", makefile, re.MULTILINE)
    for command in ("ruff format --check .", "ruff check .", "$(BIN)/mypy", "$(BIN)/pytest"):
        assert command in makefile


def test_pre_commit_runs_the_same_tools() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for entry in ("entry: .venv/bin/ruff format", "entry: .venv/bin/ruff check", "entry: .venv/bin/mypy"):
        assert entry in hooks


def test_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text


def test_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert "\n## [Unreleased]\n" in text


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_within_its_range() -> None:
    project = _pyproject()["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["cpu"],
        *project["optional-dependencies"]["baselines"],
        *project["optional-dependencies"]["console"],
        *project["optional-dependencies"]["otel"],
        *project["optional-dependencies"]["dev"],
    ]
    wanted.remove("dhe-recall[baselines,console,otel]")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {_normal(name) for name in pins}
    assert [need for need in wanted if _normal(re.split(r"[<>=!~\[ ]", need)[0]) not in pinned] == []
    assert pins["torch"] == "2.13.0"
    assert pins["grpcio"] != "1.78.1"


def test_generated_code_is_marked() -> None:
    marked = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()
    assert {line.split()[0] for line in marked if "linguist-generated=true" in line} == {
        "recall/v1/*_pb2.py",
        "recall/v1/*_pb2.pyi",
        "recall/v1/*_pb2_grpc.py",
    }
