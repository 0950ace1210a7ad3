"""What docs/guarantees.md names as proof is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def _rows() -> list[list[str]]:
    """Returns the cells of every promise: what is promised, how, and what shows it."""
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    promises = [cells for cells in lines if len(cells) == 3 and cells[2].strip() != "shown by"]
    return [cells for cells in promises if "tests/" in cells[2] or "scripts/" in cells[2]]


def test_every_promise_names_what_shows_it() -> None:
    headings = [line for line in PAGE.splitlines() if line.startswith("## ")]
    assert headings == ["## On one server", "## On several servers", "## After a crash"]
    tables = PAGE.split("| promised | how | shown by |\n|---|---|---|\n")[1:]
    rows = [row for table in tables for row in table.split("\n\n")[0].splitlines()]
    assert len(rows) == len(_rows()) > 20


def test_tests_and_scripts_that_show_a_promise_exist() -> None:
    named = [name for cells in _rows() for name in re.findall(r"(?:tests|scripts)/[\w/]+\.py(?:::\w+)?", cells[2])]
    assert named
    missing = [name for name in named if not _exists(*name.split("::"))]
    assert missing == []


def _exists(path: str, function: str = "") -> bool:
    file = ROOT / path
    if not file.is_file():
        return False
    functions = {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}
    return not function or function in functions
