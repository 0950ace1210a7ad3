"""From how many fresh items on hashes answer sooner than a scan: the figure behind `hash_fresh_rows` of the server.

    OMP_NUM_THREADS=1 python scripts/benchmark_fresh.py --json fresh.json

A live index over 100,000 clustered vectors of 64 dimensions gets more and more fresh items, of the same mixture. The
same queries for 100 items are answered with the fresh part scanned and hashed, in turns; the time of the base, searched
alone, is taken off both. Times are those of the processor in one thread, microseconds a query, medians of the rounds:
`single` with one query a call, `batched` with all in one. `recall` is what of the scanned results the hashed ones have.

The ratio `hashed_over_scanned_N` is that of the speeds of single queries with N fresh items, `..._batched` of batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import typer

from index.hnsw import HnswIndex, HnswParameters
from index.live import LiveIndex
from index.protocols import FloatArray
from index_data import K, clustered, clustered_queries
from index_live import FRESH_STREAM
from index_measure import limited
from job import run
from provenance import code_commit, machine
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines

_BASE, _DIM, _QUERIES, _ROUNDS = 100_000, 64, 200, 9
_FRESH, _QUICK_FRESH = (20_000, 50_000, 100_000, 150_000, 200_000), (200, 400)
_HEADER = ("fresh", "how", "base us", "scanned us", "hashed us", "recall")

Row = dict[str, object]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A few hundred items over a base of 500.")] = False,
    json: Json = None,
) -> None:
    """Measure scanned and hashed fresh parts in turns."""
    with limited(1):
        rows, ratios = measured(500, _QUICK_FRESH, rounds=2) if quick else measured(_BASE, _FRESH, rounds=_ROUNDS)
    value = {"machine": machine(), "commit": code_commit("index"), "rows": rows, "ratios": ratios}
    cells = [tuple(row.values()) for row in rows]
    report([*table_lines(_HEADER, cells), "", *table_lines(("ratio", "value"), list(ratios.items()))], value, json)


def measured(num_base: int, fresh: Sequence[int], *, rounds: int) -> tuple[list[Row], dict[str, float]]:
    """Returns times with so many fresh items, ascending, and ratios of speeds."""
    vectors, queries = clustered(num_base, _DIM), clustered_queries(_QUERIES, _DIM)
    say(f"building a base of {num_base:,}")
    base = HnswIndex.build(vectors, HnswParameters(threads=1, m=16, ef_construction=100))
    new = clustered_queries(fresh[-1], _DIM, stream=FRESH_STREAM)
    rows: list[Row] = []
    ratios = {}
    for count in fresh:
        say(f"{count:,} fresh items")
        made = {name: _live(vectors, base, new[:number]) for name, number in (("base", 0), *_both(count))}
        made["hashed"].hash_fresh()
        recall = _recall(made, queries)
        for how, calls in (("single", [queries[i : i + 1] for i in range(_QUERIES)]), ("batched", [queries])):
            times = _in_turns({name: live.search for name, live in made.items()}, calls, rounds)
            scanned, hashed = (times[name] - times["base"] for name in ("scanned", "hashed"))
            rows.append(
                {
                    "fresh": count,
                    "how": how,
                    "base_us": times["base"],
                    "scanned_us": scanned,
                    "hashed_us": hashed,
                    "recall": recall,
                }
            )
            ratios[f"hashed_over_scanned_{count}{'_batched' if how == 'batched' else ''}"] = scanned / hashed
    return rows, ratios


def _both(count: int) -> tuple[tuple[str, int], ...]:
    return ("scanned", count), ("hashed", count)


def _live(vectors: FloatArray, base: HnswIndex, new: FloatArray) -> LiveIndex:
    live = LiveIndex([f"{row:08}" for row in range(len(vectors))], vectors, base, sequence=0)
    if len(new):
        live.apply([f"n{row:08}" for row in range(len(new))], new, sequence=1)
    return live


def _recall(made: Mapping[str, LiveIndex], queries: FloatArray) -> float:
    pairs = zip(made["scanned"].search(queries, K), made["hashed"].search(queries, K), strict=True)
    return float(np.mean([len(set(one.item_ids) & set(other.item_ids)) / K for one, other in pairs]))


def _in_turns(
    searches: Mapping[str, Callable[[FloatArray, int], object]], calls: Sequence[FloatArray], rounds: int
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(rounds):
        for name, search in searches.items():
            start = time.process_time()
            for queries in calls:
                search(queries, K)
            times[name].append((time.process_time() - start) / _QUERIES * 1e6)
    return {name: float(np.median(some)) for name, some in times.items()}


if __name__ == "__main__":
    run(main)
