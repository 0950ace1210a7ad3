"""What commands print: data on stdout, messages and progress on stderr, JSON where it is asked for."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recall.errors import RecallError

if TYPE_CHECKING:
    from rich.progress import TaskID

STDOUT = "-"


def open_closed_streams() -> None:
    """Lets a standard stream that the caller closed lead nowhere; the next file opened would else get its number."""
    for name in ("stdout", "stderr"):
        if vars(sys)[name] is None:
            nowhere = io.BufferedWriter(io.FileIO(os.devnull, "w"))
            setattr(sys, name, io.TextIOWrapper(nowhere, encoding="utf-8"))


def log_to_stderr(line: str) -> None:
    """Sends log records from INFO on to stderr, each as `line`, a format of `logging`, says."""
    logging.basicConfig(level=logging.INFO, format=line)
    # Until torch is wholly imported it logs statistics at its exit, which an interrupt would show.
    logging.getLogger("torch").setLevel(logging.WARNING)
    # It says which instructions it was not built for, as errors of modules that are not there.
    logging.getLogger("faiss").setLevel(logging.WARNING)


def say(message: str) -> None:
    """Writes one message line to stderr."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def print_lines(lines: Sequence[str]) -> None:
    """Writes data lines to stdout."""
    sys.stdout.writelines(line + "\n" for line in lines)


def table_lines(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns a table in columns as wide as their longest cell."""
    cells = [list(header)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def pair_lines(pairs: Mapping[str, object]) -> list[str]:
    """Returns names and values in two columns."""
    width = max((len(name) for name in pairs), default=0)
    return [f"{name.ljust(width)}  {_cell(value)}".rstrip() for name, value in pairs.items()]


def report(lines: Sequence[str], value: Mapping[str, object], json_target: str | None) -> None:
    """Prints `lines` for people and, where asked for, writes `value` as JSON.

    Args:
        lines: The data in readable form; left out where the JSON goes to stdout.
        value: The same data.
        json_target: File for the JSON, `-` for stdout, None for no JSON.

    Raises:
        RecallError: The file cannot be written.
    """
    if json_target == STDOUT:
        print_lines([json.dumps(value, ensure_ascii=False)])
        return
    print_lines(lines)  # before the file, which may fail: hours of work may stand in these lines
    if json_target is not None:
        try:
            Path(json_target).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise RecallError(f"{json_target} cannot be written: {error.strerror}; name another file") from error


def refuse_unwritable(file: Path) -> None:
    """Refuses now a file that could not be written after hours of work.

    Raises:
        RecallError: It cannot be written.
    """
    try:
        if not file.exists():
            tempfile.TemporaryFile(dir=file.parent).close()
        elif file.is_dir() or not os.access(file, os.W_OK):  # not opened: it may be a pipe
            code = errno.EISDIR if file.is_dir() else errno.EACCES
            raise OSError(code, os.strerror(code))
    except OSError as error:
        raise RecallError(f"{file} cannot be written: {error.strerror}; name another file") from error


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function that takes what is done, how many are done and how many there are; bars on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield advance


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(element) for element in value)
    return str(value)
