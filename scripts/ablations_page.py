"""The page of ablations, made of all results in a working folder (`ablations`): one table a data set and seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ablations import DEFAULT, FIGURES, SERVED, VARIANTS
from kept import Json
from page_table import markdown_table, with_interval
from provenance import short

_FIGURE_NAMES = tuple(figure.name for figure in FIGURES)
HEADER = (
    "variant",
    "what differs",
    *(cell for name in _FIGURE_NAMES for cell in (name, "to the default")),
    "MiB",
    "epoch",
    "seconds",
    "date",
    "commit",
)

_INTRODUCTION = """\
# Ablations

Written by `python scripts/benchmark_ablations.py --page docs/ablations.md`; changes by hand are lost.

Machine: {machines}.

Each variant is the default recipe ([recipe.md](recipe.md)) with one setting changed, trained and ranked the same way,
on the **validation** part: these figures choose settings and are no measure of the recipe, which is in
[quality.md](quality.md). All are Recall@20 of the channel `served`, nothing sampled, in brackets the 95% bootstrap
interval over users. *To the default* is the mean difference, paired by user, with its own interval; it says nothing of
another seed.

- *cold*: cold items of the part ranked among themselves. *warm*: warm items among themselves; a dash where the part has
  none. *all*: everything ranked together. *cold among all*: of that, the part of their cold items that users find.
- Weights and offset of the fusion are fitted on this very part, so *all* and *cold among all* flatter variants that
  have them over those that do not (`fusion-none`, `fusion-dense`).
- *MiB* is the size of the artifact. A table of ids grows with the catalogue, DHE does not.
- *ids alone* has no features: an unseen id tells nothing, so its cold items stand where chance puts them, beside
  `random`. Hashing an id is no remedy for that, and none is claimed.
- A limit on the width of sets (`minhash-16`, `minhash-64`) is measured only where a set is wider.

Settings of each variant, as `recall train --config` takes them:

{settings}
"""


def page(work: Path) -> str:
    """Returns the page of all results kept in `work`, as Markdown."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in work.glob("*.json")]
    results = [result for result in results if result["variant"] in VARIANTS]
    results.sort(key=_place)
    machines = "; ".join(dict.fromkeys(result["machine"] for result in results))
    sections = [_INTRODUCTION.format(machines=machines, settings="\n".join(_settings()))]
    for (name, seed), runs in groupby(results, key=lambda result: (result["set"], result["seed"])):
        sections.append(_section(f"{name}, seed {seed}", list(runs)))
    return "\n".join(sections)


def table_rows(results: Sequence[Json]) -> list[tuple[str, ...]]:
    """Returns the rows below `HEADER` of the results of one data set, other channels first."""
    rows = [
        (channel, "no model", *_cells(result, channel), "", "", "", result["date"], _commit(result))
        for result in results
        for channel in dict.fromkeys(figure["channel"] for figure in result["figures"])
        if channel != SERVED
    ]
    return rows + [_variant_row(result) for result in results]


def _place(result: Json) -> tuple[str, int, int]:
    return result["set"], result["seed"], list(VARIANTS).index(result["variant"])


def _settings() -> Iterator[str]:
    for name, variant in VARIANTS.items():
        if name != DEFAULT:
            settings = [f"`{variant.config}`"] if variant.config else []
            settings += [] if variant.with_features else ["`--features none`"]
            yield f"- `{name}`: {', '.join(settings)}"


def _section(title: str, results: Sequence[Json]) -> str:
    commands = dict.fromkeys(f"`{result['command']}`" for result in results)
    lines = [f"## {title}", "", ", ".join(commands), ""]
    lines += markdown_table(HEADER, table_rows(results))
    return "\n".join(lines) + "\n"


def _variant_row(result: Json) -> tuple[str, ...]:
    training = result["training"]
    return (
        result["variant"],
        VARIANTS[result["variant"]].title,
        *_cells(result, SERVED),
        f"{result['size_bytes'] / 2**20:.1f}",
        str(training["epoch"]),
        f"{training['seconds']:.0f}",
        result["date"],
        _commit(result),
    )


def _commit(result: Json) -> str:
    return f"`{short(result['commit'])}`"


def _cells(result: Json, channel: str) -> Iterator[str]:
    """Yields each figure and its difference to the default."""
    figures = {figure["figure"]: figure for figure in result["figures"] if figure["channel"] == channel}
    for name in _FIGURE_NAMES:
        figure = figures.get(name)
        if figure is None:
            yield from ("-", "-")
            continue
        yield with_interval(figure["value"], figure["low"], figure["high"])
        is_default = result["variant"] == DEFAULT and channel == SERVED
        difference = (figure["difference"], figure["difference_low"], figure["difference_high"])
        yield "" if is_default else with_interval(*difference, sign="+")
