"""Files whose change takes effect without a restart: read again when they change, and kept as they were when broken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from recall.errors import ConfigError

POLL_SECONDS = 0.5
_REMINDER_SECONDS = 300.0

_LOG = logging.getLogger(__name__)
_T_co = TypeVar("_T_co", covariant=True)
_Stamp = tuple[tuple[int, ...] | None, ...]


class Reloaded(Generic[_T_co]):
    """A value that is read from files; `refresh` reads it again once one of them has changed."""

    def __init__(self, name: str, paths: Sequence[Path], load: Callable[[], _T_co]) -> None:
        """Reads the value.

        Args:
            name: What the log calls it.
            paths: Its files.
            load: Reads them; a `ConfigError` of it means that they cannot be used.

        Raises:
            ConfigError: The files cannot be used.
        """
        self._name, self._paths, self._load = name, tuple(paths), load
        self._lock = threading.Lock()
        self._stamp = _stamp(self._paths)
        self._value = load()
        self._problem = ""

    @property
    def value(self) -> _T_co:
        """What the files said when they could last be used."""
        return self._value

    @property
    def problem(self) -> str:
        """Why the files as they are now are not in use; empty where they are."""
        return self._problem

    def refresh(self) -> None:
        """Reads the files again where they changed since the last look; where they cannot be used nothing changes."""
        with self._lock:
            before = _stamp(self._paths)
            if before == self._stamp:
                return
            try:
                value = self._load()
            except ConfigError as error:
                self._stamp, self._problem = before, str(error)
                _LOG.error("%s stay as they were: %s", self._name, error)
                return
            if _stamp(self._paths) != before:
                return  # they change right now; what was read may be half of each
            self._value, self._stamp, self._problem = value, before, ""
            _LOG.info("%s read again from %s", self._name, ", ".join(map(str, self._paths)))

    def remind(self) -> None:
        """Logs once more that the files cannot be used."""
        if self._problem:
            _LOG.error("%s are still those of before: %s", self._name, self._problem)


class Refresher:
    """A thread that refreshes values until it is closed."""

    def __init__(self, values: Sequence[Reloaded[object]]) -> None:
        """Starts the thread; without a value there is none."""
        self._values = tuple(values)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall-reload", daemon=True)
        if self._values:
            self._thread.start()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why files are not in use as they are now, one line each."""
        return tuple(value.problem for value in self._values if value.problem)

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        num_looks = 0
        while not self._closed.wait(POLL_SECONDS):
            num_looks += 1
            for value in self._values:
                value.refresh()
                if num_looks % (_REMINDER_SECONDS // POLL_SECONDS) == 0:
                    value.remind()


def _stamp(paths: Sequence[Path]) -> _Stamp:
    return tuple(map(_file_stamp, paths))


def _file_stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
