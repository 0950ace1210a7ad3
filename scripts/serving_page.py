"""The dated page of the serving benchmark, as Markdown, and its plot of times by rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kept import Json
from page_table import markdown_table
from provenance import short
from serving_run import Effort

WANTED = {
    "recall_over_parts": ">= .8",
    "recall_over_echo": ">= .4",
    "recall_p99_over_echo_p99": "<= 3",
    "upsert_over_milvus_lite": ">= .8",
    "single_upsert_over_floor": "<= 3",
}
"""What each ratio should be."""

_INTRODUCTION = """\
# Serving benchmark, {day}

Written by `{command}` at commit `{commit}`, which says what each ratio is; changes by hand are lost.

{items} items, vectors of 64 dimensions, 100 ids a reply. Medians of {rounds} rounds. The graph finds {recall:.2f}
of what exact search finds. Machine: {machine}. The generator of load has one core, the server the others.
"""
_CLOSED = ("", "calls/s", "of the processor, µs a call")
_OPENED = ("rate, of the most", "calls/s", "recall p50, ms", "p99", "p99.9", "echo p50", "p99", "p99.9", "failed")
_UPSERTS = ("", "median")


def page(value: Json, effort: Effort, *, command: str, items: int, day: str) -> str:
    """Returns the page as Markdown.

    Args:
        value: What the benchmark reports.
        effort: How long was measured.
        command: That measured.
        items: Items that are served.
        day: Of the measurement.
    """
    head = _INTRODUCTION.format(
        day=day,
        command=command,
        commit=short(value["commit"]),
        items=f"{items:,}",
        rounds=effort.rounds,
        recall=value["recall_at_100"],
        machine=value["machine"],
    )
    lines = [
        *head.splitlines(),
        "",
        *markdown_table(("ratio", "wanted", "value"), ratio_rows(value["ratios"])),
        "",
        f"## {effort.in_flight} calls under way",
        "",
        *markdown_table(_CLOSED, _closed_rows(_steps(value, "recall"), effort)),
        "",
        "## Calls at given rates",
        "",
        f"![times by rate]({plot_name(day)})",
        "",
        *markdown_table(_OPENED, _opened_rows(_steps(value, "curve"))),
        "",
        "## Writes",
        "",
        *markdown_table(_UPSERTS, _upsert_rows(_steps(value, "upsert"))),
        "",
    ]
    return "\n".join(lines)


def ratio_rows(ratios: Json) -> list[tuple[str, str, str]]:
    """Returns each ratio with what it should be."""
    return [
        (name, wanted, f"{ratios[name]:.3g}" if name in ratios else "not measured") for name, wanted in WANTED.items()
    ]


def plot_name(day: str) -> str:
    """Returns the file name of the plot."""
    return f"serving-{day}.png"


def plot(rows: Sequence[Json], file: Path) -> None:
    """Draws percentiles of the times of recalls and empty calls by rate."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    curve = [row for row in rows if row["step"] == "curve"]
    figure, panel = pyplot.subplots(figsize=(7.5, 5), facecolor="white", layout="constrained")
    for name, colour in (("recall", "tab:blue"), ("echo", "tab:gray")):
        for percentile, style in (("p50", ":"), ("p99", "-"), ("p99.9", "--")):
            times = [row[name][f"{percentile}_ms"] for row in curve]
            rates = [row["rate"] for row in curve]
            panel.plot(
                rates, times, label=f"{name} {percentile}", color=colour, linestyle=style, marker="o", markersize=4
            )
    panel.set(yscale="log", xlabel="calls a second", ylabel="milliseconds from the moment a call was meant to begin")
    panel.set_title("Recall of 100 ids beside an empty gRPC call with the same reply")
    panel.grid(which="both", alpha=0.25)
    figure.legend(loc="outside right center")
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def _steps(value: Json, step: str) -> list[Json]:
    return [row for row in value["rows"] if row["step"] == step]


def _closed_rows(rounds: Sequence[Json], effort: Effort) -> Iterator[tuple[str, ...]]:
    names = {
        "recall": "`Recall`",
        "echo": "empty call with the same reply",
        "tower": f"user tower, {effort.batch} users at once, a user",
        "search": f"search, {effort.batch} queries at once, a query",
    }
    for name, text in names.items():
        rate, used = (np.median([one[name][key] for one in rounds]) for key in ("per_second", "microseconds"))
        yield text, f"{rate:,.0f}", f"{used:,.0f}"


def _opened_rows(curve: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    for row in curve:
        times = [f"{row[name][f'{p}_ms']:.2f}" for name in ("recall", "echo") for p in ("p50", "p99", "p99.9")]
        failed = row["recall"]["failed"] + row["echo"]["failed"]
        yield f"{row['share']:.0%}", f"{row['rate']:,.0f}", *times, str(failed)


def _upsert_rows(rounds: Sequence[Json]) -> Iterator[tuple[str, str]]:
    names = {
        "items_per_second": "upsert from raw features, 1,000 a call, items/s",
        "milvus_per_second": "milvus-lite, ready vectors, 1,000 a call, items/s",
        "single_ms": "upsert of one item, ms",
        "commit_ms": "one commit of SQLite, ms",
        "encode_ms": "encoding one item, ms",
    }
    for name, text in names.items():
        if all(name in one for one in rounds):
            yield text, f"{np.median([one[name] for one in rounds]):,.3g}"
