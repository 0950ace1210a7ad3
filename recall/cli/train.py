"""`recall train`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from recall.cli.arguments import Json, writable_file
from recall.cli.output import log_to_stderr, pair_lines, progress_bars, report, say
from recall.cli.settings import resolve


def train(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the model artifact; must not exist yet.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file; see docs/recipe.md.")] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option("--device", help="auto takes CUDA if there is one.")
    ] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of every random draw.")] = 0,
    features: Annotated[
        str | None, typer.Option("--features", help="items.title,users.age,... or none; by default all.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew even if a killed run left a checkpoint beside --out.")
    ] = False,
    curves: Annotated[
        Path | None,
        typer.Option(
            "--curves",
            help="Page of the training curves to write, NAME.html; NAME.jsonl beside it.",
            callback=writable_file,
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Train a two-tower model. Ctrl-C keeps the best epoch so far; a killed run goes on when it is started again."""
    from training.config import TrainConfig

    settings = resolve(TrainConfig, "train", file=config)
    log_to_stderr("%(message)s")
    say(f"configuration: {settings.model_dump_json()}")

    from training.train import RunOptions
    from training.train import train as run

    chosen = _feature_names(features)
    options = RunOptions(seed=seed, device=device, features=chosen, restart=restart, curves=curves)
    with progress_bars() as progress:
        result = run(data, out, settings, options=options, progress=progress)
    if result.interrupted:
        say(f"interrupted; {out} holds the best epoch so far")
    value: dict[str, object] = {
        "model": str(out),
        "model_id": result.model_id,
        "epoch": result.epoch,
        "validation_score": None if math.isnan(result.score) else result.score,
        "interrupted": result.interrupted,
    }
    report(pair_lines(value), value, json)


def _feature_names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(name for name in text.split(",") if name)
