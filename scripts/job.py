"""How a script runs: errors as one line and exit 1, and every way to be stopped unwinds, so that nothing is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

from index.errors import VectorIndexError
from recall.cli.output import open_closed_streams, say
from recall.errors import RecallError


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


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
