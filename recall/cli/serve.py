"""`recall serve`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recall.cli.output import say
from recall.cli.settings import resolve

if TYPE_CHECKING:
    from recall.serving.config import ServerConfig


def serve(
    snapshots: Annotated[Path, typer.Option("--snapshots", help="Folder of snapshots.")],
    catalog: Annotated[Path, typer.Option("--catalog", help="Catalogue that the snapshots were made from.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file; see docs/serving.md.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="TCP port, 0 for a free one.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
) -> None:
    """Serve recalls and take writes over gRPC until SIGTERM or Ctrl-C."""
    from recall.serving.stop import stop_signals

    with stop_signals() as stop:  # first of all: what follows takes seconds to load
        from recall.serving.config import ServerConfig

        settings = resolve(ServerConfig, "serve", file=config, flags={"port": port, "host": host})
        tell = _telling(settings)
        tell(f"configuration: {settings.model_dump_json()}")

        from recall.live.service import RecallSystem
        from recall.model.threads import limit_threads
        from recall.serving.server import serve as serve_until_stopped

        limit_threads(settings.compute_threads)
        open_system = partial(RecallSystem.start, snapshots, catalog, settings.live)
        serve_until_stopped(settings, open_system, announce=tell, stop=stop)


def _telling(settings: ServerConfig) -> Callable[[str], None]:
    """Begins to log, and returns what writes a message line: itself a log line where these are JSON."""
    from recall.serving.log_lines import log_lines

    log_lines(settings.log)
    return logging.getLogger(__name__).info if settings.log.format == "json" else say
