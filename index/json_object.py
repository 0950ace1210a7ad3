"""Reading of small JSON files of a snapshot part, with damage named as such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from index.errors import SnapshotDamagedError


def load_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object in ASCII.

    Raises:
        SnapshotDamagedError: It is missing or holds something else.
    """
    try:
        body = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise SnapshotDamagedError(f"{path} is missing; rebuild or restore it") from None
    except ValueError as error:
        raise SnapshotDamagedError(f"{path} is not valid JSON: {error}; rebuild or restore it") from None
    if not isinstance(body, dict):
        raise SnapshotDamagedError(f"{path} holds {type(body).__name__}; want a JSON object; rebuild or restore it")
    return body
