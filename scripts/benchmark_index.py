"""How fast and how exact our kinds of index are beside FAISS, hnswlib, usearch and datasketch; docs/benchmarks/.

    python scripts/benchmark_index.py --page docs/benchmarks --json index.json
    python scripts/benchmark_index.py --dims 64 --rows 50000
    python scripts/benchmark_index.py --dims none --model-vectors models/1 --data shop/

Every contender gets the same vectors; they lie in one process and are timed in turns (`index_measure`). Sets: clustered
vectors (`index_data`) of each of `--dims`, 20,000 of them again with the contender that is written in Python, and the
item vectors of a model. Hours of work may be in it: what is built and finished is kept, and the same command goes on
where it was stopped.

Ratios are of the first set, those of others are named `name@set`. Speeds are with one query a call on one thread, at
recall@100 of .98 for the first three and .95 for the others:

- `single_over_best_raw`: our graph over the fastest graph of FAISS (over floats, or over bytes and re-ranked), hnswlib
  and usearch (float32 or bfloat16);
- `single_over_faiss_ivf`: our graph over inverted lists of FAISS;
- `batched_over_raw_faiss`: our graph over the faster of the graphs of FAISS, all queries in one call on every core;
- `lsh_over_flat`, `lsh_over_faiss_lsh_reranked`, `lsh_over_hnsw`: our LSH over faiss.IndexFlat, the fastest
  faiss.IndexLSH with exact re-ranking, and faiss.IndexHNSWFlat;
- `memory_over_vectors_and_graph`: resident bytes of our graph in a fresh process over those of its vectors and links;
- `lsh_insert_microseconds_single`, `lsh_insert_microseconds_hundreds`: an insert into our LSH, growth included;
- `pq_resident_over_vectors` (as the index says), `pq_anonymous_over_vectors` (as measured), `pq_recall_at_100`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmark_options import BENCHMARKS
from index.kinds import KINDS
from index_contenders import SUBSET_ROWS, contenders
from index_data import VectorSet, clustered_set
from index_model import model_set
from index_page import SPEED_HEADER, TREE_HEADER, day, page, plot, plot_name, speed_rows, tree_cells
from index_ratios import ratios
from index_run import FULL, QUICK, Arena
from index_trees import DIMS, trees
from job import run
from kept import Json as Parsed
from kept import kept
from provenance import code_commit, machine, short
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines

_WORK = BENCHMARKS / "index"
_QUICK_ROWS, _QUICK_DIM = 600, 16
_NO_DIMS = "none"
_TREE_ROWS, _QUICK_TREE_ROWS = 100_000, 500


def main(
    rows: Annotated[int, typer.Option("--rows", min=1_000, help="Clustered vectors of each set.")] = 500_000,
    dims: Annotated[str, typer.Option("--dims", help=f"Their dimensions; {_NO_DIMS} leaves them out.")] = "64,256",
    model_vectors: Annotated[
        Path | None, typer.Option("--model-vectors", help="A .npy file of vectors, or the folder of a trained model.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Data folder of the model: items are the vectors, users the queries.")
    ] = None,
    only_trees: Annotated[bool, typer.Option("--trees", help="Only a k-d tree beside scanning.")] = False,
    without: Annotated[str, typer.Option("--without", help="Contenders to leave out, by name, with commas.")] = "",
    work: Annotated[Path, typer.Option("--work", help="Where data, built indexes and results are kept.")] = _WORK,
    page_folder: Annotated[
        Path | None, typer.Option("--page", help="Folder for the dated page and its plot.", file_okay=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Little of it, on 600 vectors of 16 dimensions.")] = False,
    json: Json = None,
) -> None:
    """Measure recall, speed, memory, building and inserts; keep every finished step."""
    work = work / "quick" if quick else work
    work.mkdir(parents=True, exist_ok=True)
    tree_rows = _trees(work, quick=quick)
    if only_trees:
        cells = tree_cells(tree_rows)
        report(table_lines(TREE_HEADER, list(cells)), _value(tree_rows, {}), json)
        return
    found, notes = contenders(without=[name.strip() for name in without.split(",") if name.strip()])
    for note in notes:
        say(note)
    sets = [clustered_set(work, _QUICK_ROWS, _QUICK_DIM, num_queries=50)] if quick else _sets(work, rows, dims)
    sets += [] if model_vectors is None else [model_set(work, model_vectors, data)]
    if not sets:
        raise typer.BadParameter(f"{_NO_DIMS} without --model-vectors leaves nothing to measure", param_hint="--dims")
    results = [Arena(one, found, QUICK if quick else FULL).measure() for one in sets]
    named = _ratios(results)
    if page_folder is not None:
        _write_page(page_folder, results, tree_rows, named)
    rows_of_all = [row for result in results for row in _rows(result)]
    report(_lines(results, named), _value(rows_of_all, named), json)


def _sets(work: Path, rows: int, dims: str) -> list[VectorSet]:
    if dims == _NO_DIMS:
        return []
    try:
        numbers = [int(part) for part in dims.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"dims is {dims!r}; want whole numbers with commas, such as 64,256, or {_NO_DIMS}"
        ) from None
    sizes = [(rows, dim) for dim in numbers]
    if rows > SUBSET_ROWS:
        sizes.append((SUBSET_ROWS, numbers[0]))
    made = []
    for size, dim in sizes:
        say(f"clustered vectors: {size:,} of {dim} dimensions")
        made.append(clustered_set(work, size, dim))
    return made


def _trees(work: Path, *, quick: bool) -> list[Parsed]:
    if "kd_tree" not in KINDS:
        return []
    key = short(code_commit("index"))
    rows, seconds, dims = (_QUICK_TREE_ROWS, 0.01, (2, 4)) if quick else (_TREE_ROWS, 0.5, DIMS)
    found = kept(work / f"trees-{key}.json", lambda: {"rows": trees(rows, seconds=seconds, dims=dims)})
    return list(found["rows"])


def _ratios(results: Sequence[Parsed]) -> Parsed:
    named: Parsed = {}
    for place, result in enumerate(results):
        for name, value in ratios(result).items():
            named[name if place == 0 else f"{name}@{result['set']}"] = value
    return named


def _rows(result: Parsed) -> Iterator[Parsed]:
    size = {"set": result["set"], "num_rows": result["num_rows"], "dim": result["dim"]}
    for step in ("duel", "curve"):
        for row in result[step]["entrants"]:
            yield {
                **size,
                "step": step,
                "date": result[step]["date"],
                **row,
                **result["memory"].get(row["contender"], {}),
            }
    if result["inserts"].get("inserted"):
        yield {**size, "step": "inserts", **result["inserts"]}


def _lines(results: Sequence[Parsed], named: Parsed) -> list[str]:
    rows = [(result["set"], *cells) for result in results for cells in speed_rows(result)]
    return [*table_lines(("set", *SPEED_HEADER), rows), "", *table_lines(("ratio", "value"), list(named.items()))]


def _value(rows: Sequence[Parsed], named: Parsed) -> dict[str, object]:
    return {"machine": machine(), "commit": code_commit("index"), "rows": list(rows), "ratios": named}


def _write_page(folder: Path, results: Sequence[Parsed], tree_rows: Sequence[Parsed], named: Parsed) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "scripts/benchmark_index.py", *sys.argv[1:]])
    text = page(results, tree_rows, ratios=named, command=command, commit=code_commit("index"))
    file = folder / f"index-{day(results)}.md"
    file.write_text(text, encoding="utf-8")
    try:
        plot(results, folder / plot_name(results))
    except ModuleNotFoundError as error:
        say(f"no plot: {error}; pip install 'dhe-recall[benchmark]'")
    say(f"{file} is written")


if __name__ == "__main__":
    run(main)
