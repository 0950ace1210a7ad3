"""The page of measured quality, made of all results in a working folder (`quality_run`): one table a data set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from kept import Json
from page_table import markdown_table, with_interval
from provenance import short
from quality_run import CANDIDATES, CHANNELS
from training.protocol import SLICE_NAMES

METRICS = (("recall", 20), ("recall", 100), ("ndcg", 20))
_TITLES = {"recall": "Recall", "ndcg": "NDCG"}
_SLICES = dict(zip(SLICE_NAMES, ("everything", "warm items", "cold items", "warm users", "cold users"), strict=True))
HEADER = ("candidates", "counted", "channel", *(f"{_TITLES[name]}@{k}" for name, k in METRICS), "users", "seed")

_INTRODUCTION = """\
# Quality

Written by `python scripts/benchmark_quality.py --page docs/quality.md`; changes by hand are lost.

Machine: {machines}.

How choices were made: every model is that of `recall train --data DIR` with no other setting, the same for every set.
The epoch is chosen on the validation part, which is carved out of train where there is none; the settings themselves
and those of the baselines were chosen on validation parts too. The test part is ranked once for each run below.

All candidates are ranked, nothing is sampled. In brackets stands the 95% bootstrap interval over users; it says nothing
of another seed. *Counted* narrows the items or users that count, in the places they got among all candidates; where it
changes no figure it is left out. Channels, candidates and metrics: [evaluation.md](evaluation.md).
"""

Rows: TypeAlias = Sequence[Json]


def page(work: Path) -> str:
    """Returns the page of all results kept in `work`, as Markdown."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in work.glob("*.json")]
    results.sort(key=lambda result: (result["set"], result["seed"]))
    machines = "; ".join(dict.fromkeys(result["machine"] for result in results))
    sections = [_INTRODUCTION.format(machines=machines)]
    sections += [_section(name, list(runs)) for name, runs in groupby(results, key=lambda result: str(result["set"]))]
    return "\n".join(sections)


def table_rows(results: Sequence[Json]) -> list[tuple[str, ...]]:
    """Returns the rows below `HEADER`: candidates, then what is counted, then channel, then seed."""
    rows = [row for result in results for row in result["rows"]]
    return [cells for candidates in CANDIDATES for cells in _of_candidates(rows, candidates)]


def _section(name: str, results: Sequence[Json]) -> str:
    lines = [f"## {name}", "", *(_run_line(result) for result in results), ""]
    lines += markdown_table(HEADER, table_rows(results))
    return "\n".join(lines) + "\n"


def _run_line(result: Json) -> str:
    training = result["training"]
    return (
        f"- Seed {result['seed']}: `{result['command']}`, commit `{short(result['commit'])}`, "
        f"config `{result['config_digest'][:12]}`, trained in {training['seconds']:.0f} s, "
        f"epoch {training['epoch']}, {result['date']}."
    )


def _of_candidates(rows: Rows, candidates: str) -> Iterator[tuple[str, ...]]:
    here = [row for row in rows if row["candidates"] == candidates]
    whole = _figures(here, "all")
    for part, title in _SLICES.items():
        figures = _figures(here, part)
        if not figures or (part != "all" and figures == whole):
            continue
        for channel, seed in sorted(figures, key=lambda key: (CHANNELS.index(key[0]), key[1])):
            yield candidates, title, channel, *figures[channel, seed], str(seed)


def _figures(rows: Rows, part: str) -> dict[tuple[str, int], tuple[str, ...]]:
    """Returns the cells of metrics and users of one slice, by channel and seed."""
    found: dict[tuple[str, int], dict[tuple[str, int], Json]] = {}
    for row in rows:
        if row["slice"] == part:
            found.setdefault((row["channel"], row["seed"]), {})[row["metric"], row["k"]] = row
    return {
        key: (*(_cell(by_metric[metric]) for metric in METRICS), f"{by_metric[METRICS[0]]['users']:,}")
        for key, by_metric in found.items()
    }


def _cell(row: Json) -> str:
    return with_interval(row["value"], row["low"], row["high"])
