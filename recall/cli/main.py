"""The `recall` command. Each subcommand has its own file and loads what it needs when it runs.

stdout carries data, stderr messages and progress. Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 Ctrl-C, 143
SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import typer

from index.errors import VectorIndexError
from recall.cli import (
    backup,
    compare,
    evaluate,
    export,
    load,
    questions,
    reading,
    rebuild,
    recommend,
    rollback,
    serve,
    token,
    train,
    user_writing,
    vacuum,
    writing,
)
from recall.cli.interrupts import ended_by_sigterm
from recall.cli.output import open_closed_streams, say
from recall.errors import RecallError

app = typer.Typer(
    name="recall",
    help="Two-tower candidate retrieval with items that are retrievable the moment their upsert returns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS: tuple[Callable[..., None], ...] = (
    train.train,
    load.load,
    export.export,
    rebuild.rebuild,
    evaluate.evaluate,
    compare.compare,
    recommend.recommend,
    serve.serve,
    token.token,
    rollback.rollback,
    vacuum.vacuum,
    backup.backup,
    backup.restore,
    questions.query,
    questions.batch,
    questions.explain,
    questions.similar,
    reading.get,
    reading.list_items,
    reading.status,
    writing.upsert,
    writing.delete,
    user_writing.upsert_user,
    user_writing.delete_users,
    user_writing.record,
)
for _command in COMMANDS:
    app.command()(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and leaves the process with its exit code.

    Args:
        arguments: What stands behind `recall`; None means that of the process.
    """
    open_closed_streams()
    # Threads that wait busily for each other crawl once the cores are shared; must be set before torch or FAISS loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with ended_by_sigterm():
            app(args=None if arguments is None else list(arguments), prog_name="recall")
    except (RecallError, VectorIndexError) as error:
        say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        say(f"error: {error}")
        sys.exit(1)
