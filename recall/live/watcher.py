"""Which snapshot is served: the first one at start, and the switch to another while serving."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from index.errors import SnapshotDamagedError, SnapshotMismatchError, VectorIndexError
from index.snapshot import CURRENT, build_number, current, snapshot_names
from recall.errors import NotReadyError, RecallError
from recall.live.generation import Generation
from recall.live.ingest import Ingest

LoadSnapshot: TypeAlias = Callable[[Path], Generation]

_logger = logging.getLogger(__name__)
FAILURES = (VectorIndexError, RecallError, OSError, ValueError, RuntimeError, MemoryError)
"""What catalogue, files, FAISS and torch raise, the latter two RuntimeError; none may end a background thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSnapshot:
    """What is served at start.

    Attributes:
        generation: Loaded, nothing replayed yet.
        current: The snapshot that should have been served.
        error: Why it is not served; empty where it is.
    """

    generation: Generation
    current: str
    error: str = ""


def load_first(root: Path, load: LoadSnapshot) -> FirstSnapshot:
    """Loads the current snapshot, or the newest valid one before it where that is damaged.

    Raises:
        NotReadyError: There is no snapshot that can be served.
        SnapshotMismatchError: The current snapshot belongs to another catalogue or format.
    """
    names, error = _to_try(root)
    for name in names:
        try:
            return FirstSnapshot(generation=load(root / name), current=names[0], error=error)
        except FAILURES as failure:
            if name == names[0] and isinstance(failure, SnapshotMismatchError):
                raise
            text = f"snapshot {name} cannot be loaded: {failure}"
            _logger.error("%s; looking for the newest valid one before it", text)
            error = error or text
    cure = f"build one with `recall rebuild --model MODEL --catalog CATALOG --out {root}`"
    raise NotReadyError(f"{root} has no snapshot to serve: {error or 'CURRENT names none'}; {cure}")


def _to_try(root: Path) -> tuple[list[str], str]:
    """Returns snapshot names in the order to try, and why the first is not the one that CURRENT names, if so."""
    names = snapshot_names(root)
    try:
        chosen = _named(root)
    except (SnapshotDamagedError, OSError) as error:
        if not names:
            return [], ""
        _logger.error("%s; looking for the newest valid snapshot", error)
        return names, str(error)
    return [chosen, *(name for name in names if build_number(name) < build_number(chosen))], ""


def _named(root: Path) -> str:
    """Returns the snapshot that `CURRENT` names.

    Raises:
        SnapshotDamagedError: `CURRENT` is missing or names none.
    """
    name = current(root)
    if name is None:
        raise SnapshotDamagedError(f"{root / CURRENT} is missing: write the name of a snapshot into it, or rebuild")
    return name


class SnapshotWatcher:
    """Moves an ingest to the current snapshot whenever that changes. `look` has one caller at a time."""

    def __init__(self, root: Path, load: LoadSnapshot, *, ingest: Ingest, first: FirstSnapshot, retry_seconds: float):
        """Starts with what `load_first` returned."""
        self._root = root
        self._load = load
        self._ingest = ingest
        self._seen = first.current
        self._retry_seconds = retry_seconds
        self._failed_at = time.perf_counter()
        self.last_error = first.error
        """Why the current snapshot is not served; empty where it is."""
        self.num_switches = 0
        """Snapshots switched to since the start."""
        self.num_failures = 1 if first.error else 0
        """Snapshots that could not be switched to, each try counted."""

    def look(self) -> None:
        """Loads the current snapshot and switches to it where it is not the served one.

        Whatever goes wrong leaves the old one serving and stands in `last_error`.
        """
        try:
            name = _named(self._root)
        except FAILURES as failure:
            self._seen = ""  # looked at again as soon as it can be read
            self._fail(str(failure))
            return
        if self._is_due(name):
            self._seen = name
            self._move(name)

    def _move(self, name: str) -> None:
        try:
            if name != self._ingest.generation.snapshot:
                _logger.info("loading snapshot %s", name)
                self._ingest.switch(self._load(self._root / name))
                self.num_switches += 1
                _logger.info("serving snapshot %s", name)
            self.last_error = ""
        except FAILURES as failure:
            self._fail(f"snapshot {name} cannot be served: {failure}")

    def _is_due(self, name: str) -> bool:
        if name != self._seen:
            return True
        return bool(self.last_error) and time.perf_counter() - self._failed_at >= self._retry_seconds

    def _fail(self, error: str) -> None:
        self._failed_at = time.perf_counter()
        self.num_failures += 1
        if error != self.last_error:
            _logger.error("%s; %s goes on", error, self._ingest.generation.snapshot)
        self.last_error = error
