"""Finished steps of a long job, each kept as one JSON file, so that a job that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A parsed JSON object."""


def kept(file: Path, make: Callable[[], Json]) -> Json:
    """Returns what `file` holds; where it is missing, what `make` returns, which is kept there."""
    if not file.is_file():
        keep(file, make())
    value: Json = json.loads(file.read_text(encoding="utf-8"))
    return value


def keep(file: Path, value: Json) -> None:
    """Writes a JSON file that appears whole or not at all; an earlier one is replaced."""
    temporary = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
