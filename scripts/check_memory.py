"""Checks that a training on many interactions stays within its memory: a real `recall train` on made data.

The data folder is written a piece at a time: interactions in the order of their times, with items drawn by rank ^ -1 of
popularity and a taste of its own a user, users and items with a category and a number. Split by time. The training runs
a few steps, refreshes the histories, validates and writes its model. What counts is the largest resident memory that
the system saw of its process, mapped files included.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from job import fail_on, run
from provenance import code_commit
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.live.parquet_stream import write_batches
from recall.tables import CONFIG_FILE, INTERACTIONS_FILE, ITEM_ID, ITEMS_FILE, TIMESTAMP, USER_ID, USERS_FILE

_PIECE = 1 << 20
_SPAN_SECONDS = 365 * 86400
_DATASET = """name = "made"
[split]
rule = "time"
validation = 0.005
test = 0.005
"""
_TRAIN = """max_steps = {steps}
epochs = 1
validation_users = 100
[fusion]
content = "none"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is made, and what it may take.

    Attributes:
        interactions: Number of interactions.
        users: Number of users.
        items: Number of items.
        steps: Steps of the training.
        most_gib: Most memory of the training.
    """

    interactions: int
    users: int
    items: int
    steps: int
    most_gib: float


WHOLE = Size(interactions=50_000_000, users=2_000_000, items=500_000, steps=20, most_gib=4.0)
# What every training takes, its programs above all, is .55 GiB; the rest is in proportion to the whole.
QUICK = Size(interactions=1_000_000, users=40_000, items=10_000, steps=3, most_gib=0.95)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A fiftieth of it, with a bound to match.")] = False,
    interactions: Annotated[
        int | None, typer.Option("--interactions", min=1000, help="Another number of them.")
    ] = None,
    work: Annotated[Path | None, typer.Option("--work", help="Folder for the data, 2 GB; removed at the end.")] = None,
    json_: Json = None,
) -> None:
    """Trains on made interactions and fails if the process took more memory than it may."""
    size = QUICK if quick else WHOLE
    if interactions is not None:
        share = interactions / size.interactions
        size = Size(**{**asdict(size), "interactions": interactions, "users": max(100, int(size.users * share)),
                       "items": max(100, int(size.items * share))})  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="recall-memory-", dir=work))
    try:
        value = {"machine": machine_in_words(), "commit": code_commit(), **measured(folder, size)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(pair_lines(value), value, json_)
    peak = float(str(value["peak_gib"]))
    fail_on([f"the training took {peak:.2f} GiB, more than {size.most_gib}"] if peak > size.most_gib else [])


def machine_in_words() -> str:
    """Returns the machine; in a process of its own, as naming it loads torch and counts as memory of a child."""
    code = "from provenance import machine; print(machine())"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def measured(folder: Path, size: Size) -> dict[str, object]:
    """Makes the data, trains on it and returns the figures."""
    since = time.perf_counter()
    write_data(folder / "data", size)
    (folder / "train.toml").write_text(_TRAIN.format(steps=size.steps), encoding="utf-8")
    made = time.perf_counter()
    say(f"made {size.interactions:,} interactions in {made - since:.0f} s")
    before = _peak_gib()
    command = [sys.executable, "-c", "from recall.cli.main import main; main()", "train"]
    places = ["--data", folder / "data", "--out", folder / "model", "--config", folder / "train.toml"]
    done = subprocess.run(
        [*command, *map(str, places), "--device", "cpu", "--json", "-"], stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        fail_on([f"recall train left with exit code {done.returncode}"])
    return {
        **asdict(size),
        "peak_gib": round(_peak_gib(), 3),
        "peak_before_gib": round(before, 3),
        "data_mib": round(sum(file.stat().st_size for file in (folder / "data").iterdir()) / 2**20),
        "making_seconds": round(made - since, 1),
        "training_seconds": round(time.perf_counter() - made, 1),
        "validation_score": json.loads(done.stdout)["validation_score"],
    }


def _peak_gib() -> float:
    """Returns the largest resident memory of any child so far; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def write_data(folder: Path, size: Size) -> None:
    """Writes the data folder, in memory for a piece of it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for file, column, count in ((ITEMS_FILE, ITEM_ID, size.items), (USERS_FILE, USER_ID, size.users)):
        rows = np.arange(count)
        table = {column: rows, "kind": pl.Series(rows % 50).cast(pl.String), "value": rng.random(count)}
        pl.DataFrame(table).write_parquet(folder / file)
    schema = pl.Schema({USER_ID: pl.Int64, ITEM_ID: pl.Int64, TIMESTAMP: pl.Int64})
    write_batches(folder / INTERACTIONS_FILE, _pieces(rng, size), schema)
    (folder / CONFIG_FILE).write_text(_DATASET, encoding="utf-8")


def _pieces(rng: np.random.Generator, size: Size) -> Iterator[pl.DataFrame]:
    for start in range(0, size.interactions, _PIECE):
        count = min(_PIECE, size.interactions - start)
        users = rng.integers(size.users, size=count)
        # Uniform on a logarithmic scale: the n-th item is drawn in proportion to 1 / n. A user takes one in ten items.
        ranks = (np.exp(rng.random(count) * np.log(size.items // 10)) - 1).astype(np.int64)
        items = ranks * 10 + users % 10
        # Every row has a time of its own within its user, so that no row stands there twice.
        times = (start + np.arange(count)) * _SPAN_SECONDS // size.interactions * 64 + rng.integers(64, size=count)
        yield pl.DataFrame({USER_ID: users, ITEM_ID: items, TIMESTAMP: times}).unique(
            [USER_ID, ITEM_ID, TIMESTAMP], maintain_order=True
        )


if __name__ == "__main__":
    run(main)
