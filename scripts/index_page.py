"""The dated page of the index benchmark, as Markdown, and its plot of recall and throughput."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from index_contenders import OURS
from index_measure import LEAST_QUERIES
from index_rivals import EF_CONSTRUCTION, LINKS
from kept import Json
from page_table import markdown_table
from provenance import short

PROMISED = {
    "single_over_best_raw": ">= 0.9",
    "batched_over_raw_faiss": ">= 0.95",
    "lsh_over_flat": ">= 12",
    "lsh_over_faiss_lsh_reranked": ">= 3",
    "lsh_over_hnsw": ">= 1 (stretch)",
    "lsh_insert_microseconds_single": "<= 25",
    "lsh_insert_microseconds_hundreds": "<= 25",
    "memory_over_vectors_and_graph": "<= 1.3",
    "pq_resident_over_vectors": "<= 0.25",
    "pq_recall_at_100": ">= 0.95",
}
"""What each ratio should be, on clustered vectors of `_PROMISED_DIM` dimensions."""
_PROMISED_DIM = 64
SPEED_HEADER = ("recall wanted", "contender", "setting", "recall@10", "recall@100", "single q/s", "batched q/s")
BUILD_HEADER = ("contender", "build, s", "of the processor, s", "anonymous, MiB", "mapped, MiB", "says itself, MiB")
TREE_HEADER = ("dimensions", "kd_tree q/s", "flat q/s", "kd_tree over flat", "build, s")
_LEAST_SHOWN, _MISSES_SHOWN = 0.6, 1e-4
"""Recall where the plot begins, and misses that are told from none."""
_TICKS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1 - _MISSES_SHOWN)
_MIB = 2**20

_INTRODUCTION = """\
# Index benchmark, {date}

Written by `{command}` at commit `{commit}`; changes by hand are lost. What it means: [../index.md](../index.md).

Machine: {machines}. Libraries: {libraries}.

All contenders of a set have the same vectors, lie in one process, and are timed in turns: every round gives each of
them about half a second, and the median of the rounds counts; a ratio is the median of the ratios of the rounds.
*single*: one query a call, one thread, seconds of the processor, so that other work of the machine does not count.
*batched*: 1,000 queries a call, every core, seconds of the clock. Recall is against exact search, of one search for
100: its first ten count for recall@10. *recall wanted*: the cheapest setting that reaches that
recall@100. Kinds named `index ...` are ours, built with the parameters they take by default and searched through
`VectorIndex.search`, exact re-scoring included; other libraries build graphs with {links} links, twice that at the
bottom, and a candidate list of {candidates} (datasketch with its own 16 links). Points of the plot alone are timed more
briefly; the recall of slow ones is that of fewer queries, {least} at least.
"""
_MEMORY_NOTE = """\
A build may use every core. Memory is the growth of a fresh process that reads the structure and searches all queries
one by one: anonymous pages, and pages of mapped files, which the system may drop and read again. Last column:
`resident_bytes()` of ours, summed from arrays.
"""


_RATIO_NOTE = """\
Ours over theirs, greater is better, but for memory and inserts. `@set` names another set than the first, which alone is
promised something. *single_over_best_raw*: our graph over the fastest graph of FAISS, hnswlib and usearch, at .98;
*single_over_faiss_ivf*: the same over inverted lists of FAISS. *lsh_over_hnsw*: our tables over FAISS's graph, at .95.
*memory_over_vectors_and_graph*: growth of a process that reads and searches our graph over the bytes of vectors and
links.
"""


def page(results: Sequence[Json], tree_rows: Sequence[Json], *, ratios: Json, command: str, commit: str) -> str:
    """Returns the page as Markdown.

    Args:
        results: Of `index_run.Arena.measure`, one a set.
        tree_rows: Of `index_trees.trees`; may be empty.
        ratios: By name.
        command: That measured them.
        commit: Of the index.
    """
    entrants = [row for result in results for row in result["duel"]["entrants"]]
    head = _INTRODUCTION.format(
        date=day(results),
        command=command,
        commit=short(commit),
        links=LINKS,
        candidates=EF_CONSTRUCTION,
        least=LEAST_QUERIES,
        machines="; ".join(dict.fromkeys(result["duel"]["machine"] for result in results)),
        libraries=", ".join(dict.fromkeys(row["version"].split(",")[0] for row in entrants if row["side"] != OURS)),
    )
    parts = [head, _ratio_section(ratios, results[0]), f"![Recall and throughput]({plot_name(results)})\n"]
    parts += [_section(result) for result in results]
    parts += [_tree_section(tree_rows)] if tree_rows else []
    return "\n".join(parts)


def day(results: Sequence[Json]) -> str:
    """Returns the latest day on which something of the results was measured."""
    return str(max(result[step]["date"] for result in results for step in ("duel", "curve", "memory", "inserts")))


def plot_name(results: Sequence[Json]) -> str:
    """Returns the file name of the plot."""
    return f"index-{day(results)}.png"


def speed_rows(result: Json) -> Iterator[tuple[str, ...]]:
    """Yields the rows below `SPEED_HEADER`: by recall wanted, the fastest first; exact search in each part."""
    entrants = result["duel"]["entrants"]
    for target in sorted({row["target"] for row in entrants if row["target"] is not None}):
        rows = [row for row in entrants if row["target"] in (target, None)]
        for row in sorted(rows, key=lambda row: -row["single_per_second"]):
            setting = ", ".join(f"{name} {value}" for name, value in row["setting"].items())
            recalls = (f"{row[name]:.4f}" for name in ("recall_at_10", "recall_at_100"))
            speeds = (f"{row[name]:,.0f}" for name in ("single_per_second", "batched_per_second"))
            yield f"{target}", row["contender"], setting, *recalls, *speeds


def build_rows(result: Json) -> Iterator[tuple[str, ...]]:
    """Yields the rows below `BUILD_HEADER`."""
    for name, row in {row["contender"]: row for row in result["duel"]["entrants"]}.items():
        memory = result["memory"].get(name, {})
        sizes = [memory.get(key, 0) for key in ("anonymous_bytes", "mapped_bytes", "resident_bytes")]
        yield (
            name,
            f"{row['build_seconds']:,.1f}",
            f"{row['build_seconds'] * row['build_cores']:,.1f}",
            *(f"{size / _MIB:,.0f}" if size else "" for size in sizes),
        )


def tree_cells(rows: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    """Yields the rows below `TREE_HEADER`."""
    for row in rows:
        yield (
            str(row["dim"]),
            f"{row['tree_per_second']:,.0f}",
            f"{row['flat_per_second']:,.0f}",
            f"{row['tree_over_flat']:.3g}",
            f"{row['tree_build_seconds']:.1f}",
        )


def plot(results: Sequence[Json], file: Path) -> None:
    """Draws recall@100 against single queries a second, one panel a set; ours solid, others dashed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    figure, panels = pyplot.subplots(
        1, len(results), figsize=(7.5 * len(results), 6), squeeze=False, facecolor="white", layout="constrained"
    )
    colours = _colours(results)
    for panel, result in zip(panels[0], results, strict=True):
        for name, rows in _lines(result).items():
            ours = rows[0]["side"] == OURS
            panel.plot(
                [_shown(row) for row in rows],
                [row["single_per_second"] for row in rows],
                label=name,
                color=colours[name],
                linestyle="-" if ours else "--",
                linewidth=2.2 if ours else 1.3,
                marker="o" if ours else "s",
                markersize=4,
            )
        panel.set(yscale="log", xlabel="recall@100 against exact search")
        panel.set_xscale("logit", nonpositive="clip")
        panel.set_xlim(_LEAST_SHOWN, 1 - _MISSES_SHOWN / 2)
        panel.set_xticks(_TICKS, [*(f"{tick:g}" for tick in _TICKS[:-1]), "1"])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_ylabel("queries a second, one at a time, one thread")
        panel.set_title(f"{result['num_rows']:,} vectors of {result['dim']} dimensions ({result['set']})")
        panel.grid(which="both", alpha=0.25)
    handles = {line.get_label(): line for panel in panels[0] for line in panel.get_lines()}
    figure.legend(handles=[handles[name] for name in colours if name in handles], loc="outside right upper", fontsize=9)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def _shown(row: Json) -> float:
    return min(float(row["recall_at_100"]), 1 - _MISSES_SHOWN)


def _lines(result: Json) -> dict[str, list[Json]]:
    """Returns the points of each contender by recall, but those left of the plot or that another of its own beats."""
    lines: dict[str, list[Json]] = {}
    for row in sorted(result["curve"]["entrants"], key=lambda row: (-_shown(row), -row["single_per_second"])):
        line = lines.setdefault(row["contender"], [])
        if row["recall_at_100"] >= _LEAST_SHOWN and all(
            row["single_per_second"] > better["single_per_second"] for better in line
        ):
            line.append(row)
    return {name: line[::-1] for name, line in lines.items() if line}


def _colours(results: Sequence[Json]) -> dict[str, object]:
    from matplotlib import colormaps

    names = dict.fromkeys(row["contender"] for result in results for row in result["curve"]["entrants"])
    return {name: colormaps["tab20"](place % 20) for place, name in enumerate(names)}


def _ratio_section(ratios: Json, first: Json) -> str:
    promised = PROMISED if first["dim"] == _PROMISED_DIM else {}
    rows = ((name, f"{value:.3g}", promised.get(name, "")) for name, value in ratios.items())
    return "\n".join(["## Ratios", "", _RATIO_NOTE, *markdown_table(("ratio", "measured", "promised"), rows), ""])


def _section(result: Json) -> str:
    lines = [f"## {result['set']}: {result['num_rows']:,} vectors of {result['dim']} dimensions", ""]
    lines += [*markdown_table(SPEED_HEADER, speed_rows(result)), "", _MEMORY_NOTE]
    return "\n".join([*lines, *markdown_table(BUILD_HEADER, build_rows(result)), ""])


def _tree_section(rows: Sequence[Json]) -> str:
    title = f"## Trees: {rows[0]['num_rows']:,} clustered vectors, {rows[0]['k']} neighbors, both exact, single"
    return "\n".join([title, "", *markdown_table(TREE_HEADER, tree_cells(rows)), ""])
