"""How a script runs: errors as one line and exit 1, and every way to be stopped unwinds, so that nothing is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import typer

from index.errors import VectorIndexError
from recall.cli.output import open_closed_streams, say
from recall.errors import RecallError

_MAX_SAID = 20


def run(main: Callable[..., None]) -> None:
    """Runs a function with its flags from the command line and leaves the process with its exit code."""
    open_closed_streams()
    signal.signal(signal.SIGTERM, _terminate)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    try:
        app()
    except (RecallError, VectorIndexError, OSError) as error:
        say(f"error: {error}")
        sys.exit(1)


def fail_on(problems: Sequence[str]) -> None:
    """Says the first of what a check found wrong and leaves the process with exit 1; does nothing where all is well."""
    for problem in problems[:_MAX_SAID]:
        say(problem)
    if problems:
        sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
