"""Flags that the benchmarks of models share, and where their work is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from recall.cli.arguments import writable_file

BENCHMARKS = Path(__file__).resolve().parents[1] / ".benchmarks"
"""Holds the work of each benchmark where no other folder is named."""

QUICK_CONFIG = "epochs = 2\n"
"""Lines of TOML for the training of a quick run."""

Only: TypeAlias = Annotated[str | None, typer.Option("--only", help="One data set; by default all that it is about.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="Seed of the training.")]
DataRoot: TypeAlias = Annotated[Path, typer.Option("--data-root", help="Folder of the data folders.")]
Work: TypeAlias = Annotated[Path, typer.Option("--work", help="Where models and results are kept.")]
Page: TypeAlias = Annotated[
    Path | None, typer.Option("--page", help="Page to write anew from all results in --work.", callback=writable_file)
]
Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick", help="Little of it, on a synthetic set of 400 items with a model of two epochs.")
]
