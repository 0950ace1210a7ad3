"""Whether a server ranks as well as its model does offline, and what an approximate index costs.

A data folder is loaded into a catalogue. For each kind of index a snapshot is built and served by a process of its own;
the evaluation of the server (`recall evaluate --target`) is held beside that of the model (`--model`, channel `exact`):
every figure, and how many users get the same list. On the channel `exact`, and over a flat index, they must agree; what
differs on `served` otherwise is the loss of the index. Exit 1 where a figure that must agree is more than 0.001 apart.

    python scripts/check_served_quality.py --data DIR --model MODEL --candidates all,cold-split
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from deployment import Data, Deployment, Model, loaded
from job import run
from provenance import code_commit, machine
from quality_data import quick_data
from quality_run import candidate_names
from recall.cli.arguments import Json
from recall.cli.output import progress_bars, report, say, table_lines
from recall.model.artifact import training_seed
from served_figures import LIST_LENGTH, Comparison, Evaluated, Row, compared
from training.evaluate import REMOTE_CHANNELS, EvaluationRequest, evaluate
from training.report import Report

_KINDS = ("flat", "hnsw", "lsh")
_SHOWN = (("recall", 20), ("recall", 100), ("ndcg", 20))
"""Figures that are printed; the JSON holds all."""


def main(
    data: Data = None,
    model: Model = None,
    split: Annotated[Literal["test", "validation"], typer.Option("--split", help="Part to evaluate.")] = "test",
    candidates: Annotated[
        str | None, typer.Option("--candidates", help="all,warm,cold,cold-split; by default those that have users.")
    ] = None,
    kinds: Annotated[str, typer.Option("--kinds", help=f"Kinds of index: {','.join(_KINDS)}.")] = "flat,hnsw",
    quick: Annotated[bool, typer.Option("--quick", help="A synthetic set of 400 items, one epoch.")] = False,
    json: Json = None,
) -> None:
    """Check that a server gives the figures of its model, up to the loss of its index."""
    if quick and (data is not None or model is not None):
        raise typer.BadParameter("it makes its own data and model; leave --data and --model out", param_hint="--quick")
    if unknown := set(kinds.split(",")) - set(_KINDS):
        raise typer.BadParameter(f"{sorted(unknown)} are unknown; choose from {_KINDS}", param_hint="--kinds")
    with _deployment(data, model, quick=quick) as deployment:
        seed = training_seed(deployment.model)
        names = candidates.split(",") if candidates else candidate_names(deployment.data, part=split, seed=seed)
        requests = {
            name: EvaluationRequest(data=deployment.data, split=split, candidates=name, carving_seed=seed)
            for name in names
        }
        offline = {name: _offline(request, deployment.model) for name, request in requests.items()}
        rows: list[Row] = []
        comparisons: list[Comparison] = []
        for kind in kinds.split(","):
            for name, served in _served(deployment, kind, requests).items():
                for channel in REMOTE_CHANNELS:
                    figures, comparison = compared(offline[name], served, kind, channel)
                    rows += figures
                    comparisons.append(comparison)
    _report(next(iter(offline.values())).report, rows, comparisons, json)


@contextmanager
def _deployment(data: Path | None, model: Path | None, *, quick: bool) -> Iterator[Deployment]:
    with (
        tempfile.TemporaryDirectory(prefix="recall-check-") as made,
        loaded(quick_data(Path(made)) if quick else data, model) as deployment,
    ):
        yield deployment


def _offline(request: EvaluationRequest, model: Path) -> Evaluated:
    say(f"evaluating the model, candidates {request.candidates}")
    return _evaluated(request, model=model, channels=("exact",))


def _served(deployment: Deployment, kind: str, requests: Mapping[str, EvaluationRequest]) -> dict[str, Evaluated]:
    say(f"building a snapshot with a {kind} index and serving it")
    deployment.rebuild(deployment.model, kind=kind)
    with deployment.serve() as server:
        evaluated = {}
        for name, request in requests.items():
            say(f"evaluating the server, index {kind}, candidates {name}")
            evaluated[name] = _evaluated(request, target=server.address, channels=REMOTE_CHANNELS)
        server.stop()
    return evaluated


def _evaluated(
    request: EvaluationRequest, *, channels: tuple[str, ...], model: Path | None = None, target: str | None = None
) -> Evaluated:
    lists: dict[str, list[list[str]]] = {}

    def keep(channel: str, rankings: list[list[str]]) -> None:
        lists[channel] = [ranking[:LIST_LENGTH] for ranking in rankings]

    with progress_bars() as progress:
        found = evaluate(
            replace(request, channels=channels, model=model, target=target), progress=progress, ranked=keep
        )
    return Evaluated(report=found, lists=lists)


def _report(offline: Report, rows: Sequence[Row], comparisons: Sequence[Comparison], json: str | None) -> None:
    figures = [
        (r.candidates, r.kind, r.channel, f"{r.metric}@{r.k}", f"{r.offline:.4f}", f"{r.server:.4f}", r.difference)
        for r in rows
        if r.slice == "all" and (r.metric, r.k) in _SHOWN
    ]
    lines = table_lines(("candidates", "index", "channel", "metric", "offline", "server", "difference"), figures)
    shares = [(c.candidates, c.kind, c.channel, c.largest_difference, f"{c.same_lists:.4f}") for c in comparisons]
    header = ("candidates", "index", "channel", "largest difference", f"same first {LIST_LENGTH}")
    problems = [c.problem for c in comparisons if c.problem]
    value = {
        "machine": machine(),
        "commit": code_commit(),
        "model_id": offline.model_id,
        "data": offline.data,
        "split": offline.split,
        "rows": [asdict(row) for row in rows],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "problems": problems,
    }
    report([*lines, "", *table_lines(header, shares)], value, json)
    for problem in problems:
        say(problem)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
