"""How fast a server answers and writes beside what its parts take alone; docs/benchmarks/.

    python scripts/benchmark_serving.py --page docs/benchmarks --json serving.json
    python scripts/benchmark_serving.py --milvus-python venv/bin/python    # a Python that has pymilvus and milvus-lite

500,000 items, vectors of 64 dimensions, a graph over them (`serving_data`). The server has all cores but one, where
there are several; the generator of load, in a process of its own (`load_process`), has that one. A round gives each
contender its turn, and a ratio is the median of the ratios of the rounds:

- `recall_over_parts`: `Recall` of 100 ids for a stored user, calls a second in a closed loop, over 1 / (the time of an
  empty gRPC call that returns the same reply + a batched search + the user tower, each a request and measured alone);
- `recall_over_echo`: the same over empty calls a second;
- `recall_p99_over_echo_p99`: 99th percentiles in an open loop at half of what the closed loop gave, the same rate for
  both; a call is timed from the moment it was meant to begin;
- `upsert_over_milvus_lite`: items a second, 1,000 a call, from raw features to retrievable, over what milvus-lite
  inserts of ready vectors of the same length;
- `single_upsert_over_floor`: median time of an upsert of one item over that of one SQLite commit of as many bytes plus
  that of encoding one item, each measured alone.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmark_options import BENCHMARKS
from job import run
from kept import Json as Parsed
from provenance import code_commit, machine
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from serving_data import FULL as ALL_ITEMS
from serving_data import QUICK as FEW_ITEMS
from serving_data import serving_deployment
from serving_page import page, plot, plot_name, ratio_rows
from serving_recall import measured_recalls
from serving_run import FULL, QUICK, Effort, divided_cores
from serving_upserts import measured_upserts


def main(
    work: Annotated[Path, typer.Option("--work", help="Where data, model and snapshot are kept.")] = BENCHMARKS
    / "serving",
    page_folder: Annotated[
        Path | None, typer.Option("--page", help="Folder for the dated page and its plot.", file_okay=False)
    ] = None,
    milvus_python: Annotated[
        Path | None, typer.Option("--milvus-python", help="Python with pymilvus and milvus-lite, to insert beside.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Little of it, with 3,000 items.")] = False,
    json: Json = None,
) -> None:
    """Measure recalls and upserts of a server in turns with what they are made of."""
    sizes, effort = (FEW_ITEMS, QUICK) if quick else (ALL_ITEMS, FULL)
    made = serving_deployment(work, sizes)
    servers, generator = divided_cores()
    say(f"servers on cores {list(servers)}, the generator of load on {list(generator)}")
    with tempfile.TemporaryDirectory(prefix="recall-serving-") as temporary:
        recalls = measured_recalls(made, sizes, effort, Path(temporary))
        upserts = measured_upserts(made, effort, Path(temporary), milvus_python)
    ratios = {**_recall_ratios(recalls), **_upsert_ratios(upserts)}
    value: Parsed = {
        "machine": machine(),
        "commit": code_commit("index", "recall"),
        "recall_at_100": recalls["recall_at_100"],
        "rows": [*recalls["rounds"], *recalls["curve"], *upserts["rounds"]],
        "ratios": ratios,
    }
    if page_folder is not None:
        _write_page(
            page_folder, value, effort, items=sizes.items, command=_command(quick=quick, milvus_python=milvus_python)
        )
    report(table_lines(("ratio", "wanted", "value"), ratio_rows(ratios)), value, json)


def _recall_ratios(recalls: Parsed) -> dict[str, float]:
    rounds = recalls["rounds"]
    recall, echo, tower, search = (
        np.array([one[name]["per_second"] for one in rounds]) for name in ("recall", "echo", "tower", "search")
    )
    p99 = [one["recall_open"]["p99_ms"] / one["echo_open"]["p99_ms"] for one in rounds]
    return {
        "recall_over_parts": float(np.median(recall * (1 / echo + 1 / tower + 1 / search))),
        "recall_over_echo": float(np.median(recall / echo)),
        "recall_p99_over_echo_p99": float(np.median(p99)),
    }


def _upsert_ratios(upserts: Parsed) -> dict[str, float]:
    rounds = upserts["rounds"]
    floors = [one["single_ms"] / (one["commit_ms"] + one["encode_ms"]) for one in rounds]
    found = {"single_upsert_over_floor": float(np.median(floors))}
    if all("milvus_per_second" in one for one in rounds):
        shares = [one["items_per_second"] / one["milvus_per_second"] for one in rounds]
        found["upsert_over_milvus_lite"] = float(np.median(shares))
    return found


def _command(*, quick: bool, milvus_python: Path | None) -> str:
    """Returns the command, without the folders of one machine."""
    flags = ["--quick"] * quick + ["--milvus-python venv/bin/python"] * (milvus_python is not None)
    return " ".join(["python scripts/benchmark_serving.py", *flags, "--page docs/benchmarks"])


def _write_page(folder: Path, value: Parsed, effort: Effort, *, items: int, command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"serving-{date.today()}.md"
    file.write_text(page(value, effort, command=command, items=items, day=str(date.today())), encoding="utf-8")
    try:
        plot(value["rows"], folder / plot_name(str(date.today())))
    except ModuleNotFoundError as error:
        say(f"no plot: {error}; pip install 'dhe-recall[benchmark]'")
    say(f"{file} is written")


if __name__ == "__main__":
    run(main)
