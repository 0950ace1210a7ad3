"""Whether tuning reaches its target on data that it was not written for, and says so where the budget forbids it.

Five made sets, and item vectors of a model where given; none of the held-out queries is among the rows, and tuning
sees none of them. A set fails where the recall of the held-out queries is below the target, less what chance explains
(two standard errors), or where a budget that nothing can keep is not named in the message. Exit 1 on any failure.

    python scripts/check_tune.py --rows 100000 --vectors snapshots/000001-3f2a9c81e0d4
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from index.flat import FlatIndex
from index.protocols import FloatArray
from index.tune_trial import MEGABYTE, Tuned
from index.tuning import TuneOptions, tune
from job import fail_on, run
from recall.cli.arguments import Json, id_list
from recall.cli.output import report, say, table_lines
from tune_data import vector_sets

_QUICK_ROWS, _QUICK_DIM = 1_500, 16
_STANDARD_ERRORS = 2.0
_NO_ROOM_BYTES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    data: str
    rows: int
    kind: str
    parameters: str
    target: float
    sample_recall: float
    held_out_recall: float
    microseconds: float | None
    exact_microseconds: float | None
    resident_mb: float
    build_seconds: float
    tune_seconds: float
    problem: str


def main(
    rows: Annotated[int, typer.Option("--rows", min=1000, help="Rows of each made set.")] = 50_000,
    dim: Annotated[int, typer.Option("--dim", min=4, help="Their dimension.")] = 64,
    vectors: Annotated[Path | None, typer.Option("--vectors", help="A .npy file of vectors, or a snapshot.")] = None,
    target: Annotated[float, typer.Option("--target", help="Recall wanted.")] = 0.98,
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbors wanted.")] = 100,
    kinds: Annotated[str | None, typer.Option("--kinds", help="Kinds to choose from: a,b,c; default all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sets, for a look in seconds.")] = False,
    json: Json = None,
) -> None:
    """Check tuning on several sets with held-out queries."""
    rows, dim = (_QUICK_ROWS, _QUICK_DIM) if quick else (rows, dim)
    chosen = id_list(kinds, "--kinds")
    if chosen is None and quick:
        chosen = ("hnsw",)  # a kind that is named is measured on few rows too
    outcomes, tried, problems = [], {}, []
    for name, base, queries in vector_sets(rows, dim, vectors):
        say(f"tuning on {name}: {len(base):,} x {base.shape[1]}")
        started = time.perf_counter()
        tuned = tune(base, target_recall=target, k=k, options=TuneOptions(kinds=chosen))
        outcomes.append(_outcome(name, tuned, base, queries, seconds=time.perf_counter() - started))
        tried[name] = [asdict(trial) for trial in tuned.tried]
        problems += _without_room(name, base)
    problems += [f"{outcome.data}: {outcome.problem}" for outcome in outcomes if outcome.problem]
    table = [asdict(outcome) for outcome in outcomes]
    lines = table_lines(tuple(table[0]), [tuple(row.values()) for row in table])
    report(lines, {"sets": table, "tried": tried, "problems": problems}, json)
    fail_on(problems)


def _outcome(name: str, tuned: Tuned, base: FloatArray, queries: FloatArray, *, seconds: float) -> _Outcome:
    found = _recalls(tuned, base, queries)
    recall, unsure = float(found.mean()), _STANDARD_ERRORS * float(found.std()) / float(np.sqrt(found.size))
    problem = "" if tuned.reached else tuned.message
    if tuned.reached and recall + unsure < tuned.goal.target_recall:
        problem = f"recall of held-out queries is {recall:.4f} +- {unsure:.4f}"
    (chosen,) = (trial for trial in tuned.tried if trial.verdict.startswith("chosen"))
    exact = next((trial.microseconds for trial in tuned.tried if trial.kind == "flat"), None)
    return _Outcome(
        data=name,
        rows=tuned.index.num_rows,
        kind=tuned.kind,
        parameters=" ".join(f"{key}={value}" for key, value in tuned.parameters().items()),
        target=tuned.goal.target_recall,
        sample_recall=tuned.recall,
        held_out_recall=recall,
        microseconds=chosen.microseconds,
        exact_microseconds=exact,
        resident_mb=chosen.resident_bytes / MEGABYTE,
        build_seconds=sum({trial.build_seconds for trial in tuned.tried}),
        tune_seconds=seconds,
        problem=problem,
    )


def _recalls(tuned: Tuned, base: FloatArray, queries: FloatArray) -> NDArray[np.float64]:
    """Returns the share of its neighbors that each query finds, [num_queries] float64; ties with the last count."""
    k = tuned.goal.k
    floors = FlatIndex(base).search(queries, k).scores[:, -1:]
    shares: NDArray[np.float64] = (tuned.index.search(queries, k).scores >= floors).mean(axis=1)
    return shares


def _without_room(name: str, base: FloatArray) -> list[str]:
    """Returns what is wrong with the answer to a budget that nothing can keep."""
    tuned = tune(base, memory_budget_bytes=_NO_ROOM_BYTES, options=TuneOptions(kinds=["flat"]))
    named = all(word in tuned.message for word in ("0.98", "0.001 MB", "raise the memory budget"))
    return [] if named and not tuned.reached else [f"{name}: a budget of {_NO_ROOM_BYTES} bytes: {tuned.message}"]


if __name__ == "__main__":
    run(main)
