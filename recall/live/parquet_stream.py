"""Writing of one Parquet file from batches, in memory for one of them.

Batches become files of their own, which a streaming query then joins in order: a table need not fit into memory, and
what is only known at the end, such as a narrower type of a column, can still be said of all of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import polars as pl

from recall.durable import sync
from recall.errors import RecallError

Finish: TypeAlias = Callable[[pl.LazyFrame], pl.LazyFrame]
"""Called once all batches are written; returns what the file is to hold."""


def write_batches(
    file: Path, batches: Iterable[pl.DataFrame], schema: pl.Schema, *, finish: Finish | None = None
) -> None:
    """Writes batches, one after another, to a file that appears whole or not at all, durable when this returns.

    A file that is there already is replaced.

    Args:
        file: The Parquet file; its folder must exist.
        batches: Rows of `schema`, at least none.
        schema: Columns and their types.
        finish: Changes the whole table in a streaming way; None leaves it.

    Raises:
        RecallError: The file cannot be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    except OSError as error:
        raise RecallError(f"{file} cannot be written: {error.strerror}; name a writable folder") from error
    try:
        joined = pl.scan_parquet(_parts(folder, batches, schema), glob=False)
        whole = folder / "whole"
        (joined if finish is None else finish(joined)).sink_parquet(whole, maintain_order=True)
        sync(whole)
        whole.replace(file)
        sync(file.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RecallError(f"{file} cannot be written: {error}; check the disk and its free space") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parts(folder: Path, batches: Iterable[pl.DataFrame], schema: pl.Schema) -> list[Path]:
    files = []
    for number, batch in enumerate(batches):
        files.append(folder / str(number))
        batch.match_to_schema(schema).write_parquet(files[-1])
    if not files:
        files.append(folder / "0")
        pl.DataFrame(schema=schema).write_parquet(files[-1])
    return files
