"""How fast a live index answers beside raw FAISS over the same graph, at the same recall; docs/benchmarks/.

    python scripts/benchmark_live.py --page docs/benchmarks --json live.json

500,000 clustered vectors of 64 dimensions (`index_data`). FAISS builds one graph over them, which is kept; raw FAISS
searches it, and so does a live index over it: with nothing written, with 2,000 fresh items and 1% of the base deleted,
and with 20,000 and 5% (`index_live`). Each takes the shortest candidate list with which it finds .98 of what exact
search finds, 100 neighbors a query, the fresh items counted and the deleted ones not. They are timed in turns, in one
process (`index_measure`); a live search is timed as a server has it, with item ids, and raw FAISS gives row numbers.

Ratios are queries a second of the live index over those of raw FAISS, the median over the rounds:

- `live_over_raw`, `live_2k_fresh_over_raw`, `live_20k_fresh_over_raw`: one query a call on one thread, in seconds of
  the processor;
- the same with `_batched`: all queries in one call on every core, in seconds of the clock.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmark_options import BENCHMARKS
from index_contenders import Contender, Opened, built_folder, contenders, opened
from index_data import VectorSet, clustered_set
from index_live import LiveState, graph_of, least_setting, states
from index_measure import Effort, Entrant, batched_rates, least, single_rates
from job import run
from kept import Json as Parsed
from page_table import markdown_table
from provenance import code_commit, machine, short
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from recall.errors import DataError

_RAW, _TARGET = "faiss HNSW", 0.98
_ROWS, _DIM, _QUICK_ROWS, _QUICK_DIM = 500_000, 64, 600, 16
_FULL, _QUICK = Effort(rounds=15, seconds=0.5), Effort(rounds=2, seconds=0.02)
_HEADER = ("index", "fresh", "deleted", "candidates", "recall@100", "single/s", "batched/s")


def main(
    rows: Annotated[int, typer.Option("--rows", min=1_000, help="Clustered vectors in the base.")] = _ROWS,
    work: Annotated[Path, typer.Option("--work", help="Where data and the graph are kept.")] = BENCHMARKS / "index",
    page_folder: Annotated[
        Path | None, typer.Option("--page", help="Folder for the dated page.", file_okay=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="On 600 vectors of 16 dimensions.")] = False,
    json: Json = None,
) -> None:
    """Measure raw FAISS and a live index at equal recall, in turns."""
    work = work / "quick" if quick else work
    work.mkdir(parents=True, exist_ok=True)
    data = clustered_set(work, _QUICK_ROWS, _QUICK_DIM, num_queries=50) if quick else clustered_set(work, rows, _DIM)
    measured, ratios = _measured(data, _QUICK if quick else _FULL)
    value = {"machine": machine(), "commit": code_commit("index"), "rows": measured, "ratios": ratios}
    if page_folder is not None:
        _write_page(page_folder, data, value)
    cells = [_cells(row) for row in measured]
    report([*table_lines(_HEADER, cells), "", *table_lines(("ratio", "value"), list(ratios.items()))], value, json)


def _measured(data: VectorSet, effort: Effort) -> tuple[list[Parsed], dict[str, float]]:
    raw = opened(data, next(one for one in contenders()[0] if one.name == _RAW))
    entrants, rows = [_cheapest_raw(raw, data)], [{"index": _RAW, "fresh": 0, "deleted": 0.0}]
    base = graph_of(data, built_folder(data, raw.contender) / "hnsw.faiss")
    for written in states(len(data.vectors)):
        say(f"{data.name}: {written.name}, {written.fresh:,} fresh items and {written.deleted:.0%} deleted")
        entrants.append(_cheapest_live(LiveState(data, base, written), written.name))
        rows.append({"index": written.name, "fresh": written.fresh, "deleted": written.deleted})
    say(f"{data.name}: timing")
    single, batched = single_rates(entrants, data, effort), batched_rates(entrants, data, effort)
    ratios = {}
    for how, rates in (("", single), ("_batched", batched)):
        for one, rate in zip(entrants[1:], rates[1:], strict=True):
            rounds = np.array(rate.per_second) / np.array(rates[0].per_second)
            ratios[f"{one.name}{how}_over_raw"] = float(np.median(rounds))
    for row, one, alone, together in zip(rows, entrants, single, batched, strict=True):
        row |= {
            "candidates": one.setting["ef"],
            "recall_at_100": one.recall_at_100,
            "single_per_second": alone.median,
            "single_rounds": alone.per_second,
            "batched_per_second": together.median,
            "batched_rounds": together.per_second,
        }
    return rows, ratios


def _cheapest_raw(raw: Opened, data: VectorSet) -> Entrant:
    reached = least(raw, data, _TARGET)
    if not reached:
        raise DataError(f"{_RAW} does not reach a recall of {_TARGET} on {data.name}; want another graph")
    return reached[0]


def _cheapest_live(state: LiveState, name: str) -> Entrant:
    setting = least_setting(state, _TARGET)
    if setting is None:
        raise DataError(f"{name} does not reach a recall of {_TARGET}; look at its base")
    who = Contender(name=name, side="ours", family="live", version="", build=lambda _: state, load=lambda _, __: state)
    recall = state.recall(setting, state.floors())
    return Entrant(
        opened=Opened(contender=who, built=state, facts={}),
        setting=setting,
        recall_at_10=recall,
        recall_at_100=recall,
        num_queries=state.num_queries,
    )


def _cells(row: Parsed) -> tuple[str, ...]:
    return (
        row["index"],
        f"{row['fresh']:,}",
        f"{row['deleted']:.0%}",
        str(row["candidates"]),
        f"{row['recall_at_100']:.4f}",
        f"{row['single_per_second']:,.0f}",
        f"{row['batched_per_second']:,.0f}",
    )


def _write_page(folder: Path, data: VectorSet, value: Parsed) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    size = f"{data.vectors.shape[0]:,} vectors of {data.vectors.shape[1]} dimensions"
    ratios = [(name, f"{ratio:.3f}") for name, ratio in value["ratios"].items()]
    lines = [
        f"# A live index beside raw FAISS: {size}",
        "",
        f"Machine: {value['machine']}. Commit {short(value['commit'])}.",
        f"Made by `python scripts/benchmark_live.py {' '.join(sys.argv[1:])}`, which says what is measured.",
        "",
        *markdown_table(("ratio", "value"), ratios),
        "",
        *markdown_table(_HEADER, [_cells(row) for row in value["rows"]]),
        "",
    ]
    file = folder / f"live-{date.today()}.md"
    file.write_text("\n".join(lines), encoding="utf-8")
    say(f"{file} is written")


if __name__ == "__main__":
    run(main)
