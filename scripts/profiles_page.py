"""The page of the cap on profiles, made of all results in a working folder (`profile_caps`): a section a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from kept import Json
from page_table import markdown_table, with_interval
from profile_caps import CONTENT, FUSED
from provenance import short
from recall.live.profiles import PROFILE_TOKENS

RECALL_HEADER = ("ranked", "most tokens", "fused score", "to no cap", "content alone", "to no cap")
TIMES_HEADER = (
    *("most tokens", "users cut", "profile, us", "scoring, us", "both, us", "of no cap"),
    *("heaviest tenth, us", "of no cap"),
)

_INTRODUCTION = f"""\
# The cap on a profile's tokens

Written by `python scripts/benchmark_profiles.py --data DIR --model MODEL --page docs/benchmarks/profiles.md`; changes
by hand are lost.

What a user is matched with exactly is the sum of the bags of the history, of which the strongest tokens are kept: at
most {PROFILE_TOKENS:,} in serving. Here other caps stand beside it, with the same model.

- Recall@20 on the **validation** part, nothing sampled, in brackets the 95% bootstrap interval over users. *To no cap*
  is the mean difference, paired by user, with its own interval. *Fused score* is what is served, its weights fitted
  with the cap of {PROFILE_TOKENS:,}; *content alone* ranks by the cosine of profile and bag.
- *Ranked*: cold items of the part among each other, warm ones, or all items in one list (*all*) and of that the part of
  their cold items that users find (*cold among all*, left out where all that is asked for is cold).
- Times are those of the sparse part of one query after the other on one thread: the profile is made from the bags of
  the history, then scores every item. All caps take turns at each user, in a random order each round; a time is the
  mean over users of the least over rounds. *Users cut* have more tokens than the cap; *heaviest tenth* are both times
  of the tenth of users with the most tokens.
"""


def page(work: Path) -> str:
    """Returns the page of all results kept in `work`, as Markdown."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in work.glob("*.json")]
    results.sort(key=lambda result: (result["set"], result["seed"], result["model_id"]))
    return "\n".join([_INTRODUCTION, *map(_section, results)])


def recall_rows(result: Json) -> Iterator[tuple[str, ...]]:
    """Yields the rows below `RECALL_HEADER`."""
    by_key = {(row["figure"], row["tokens"], row["score"]): row for row in result["rows"]}
    for figure in _figures(result["rows"]):
        for cap in dict.fromkeys(row["tokens"] for row in result["rows"]):
            cells = [_cells(by_key[figure, cap, score], cap) for score in (FUSED, CONTENT)]
            yield (figure, cap_name(cap), *cells[0], *cells[1])


def time_rows(result: Json) -> Iterator[tuple[str, ...]]:
    """Yields the rows below `TIMES_HEADER`."""
    uncapped = next(row for row in result["times"] if row["tokens"] is None)
    for row in result["times"]:
        cells = [cap_name(row["tokens"]), f"{row['cut']:.1%}", f"{row['profile_us']:.0f}", f"{row['scoring_us']:.0f}"]
        for time_us, uncapped_us in zip(_times(row), _times(uncapped), strict=True):
            cells += [f"{time_us:.0f}", f"{time_us / uncapped_us:.2f}"]
        yield tuple(cells)


def cap_name(cap: int | None) -> str:
    """Returns a cap in words."""
    return "no cap" if cap is None else f"{cap:,}"


def _section(result: Json) -> str:
    facts = (
        f"`{result['command']}`, model `{result['model_id'][:12]}`, seed {result['seed']}, "
        f"commit `{short(result['commit'])}`, {result['date']}. Machine: {result['machine']}."
    )
    tables = [*markdown_table(RECALL_HEADER, recall_rows(result)), "", *markdown_table(TIMES_HEADER, time_rows(result))]
    return "\n".join([f"## {result['set']}", "", facts, "", *tables]) + "\n"


def _figures(rows: Sequence[Json]) -> list[str]:
    """Returns the names of the figures, without one that says the same as another by all its values."""
    values: dict[str, list[object]] = {}
    for row in rows:
        values.setdefault(row["figure"], []).append((row["score"], row["tokens"], row["value"], row["users"]))
    names = list(values)
    return [name for place, name in enumerate(names) if values[name] not in [values[n] for n in names[:place]]]


def _times(row: Json) -> tuple[float, float]:
    """Returns the microseconds of both steps, of all users and of the heaviest."""
    return row["profile_us"] + row["scoring_us"], row["heaviest_us"]


def _cells(row: Json, cap: int | None) -> tuple[str, str]:
    difference = (row["difference"], row["difference_low"], row["difference_high"])
    return (
        with_interval(row["value"], row["low"], row["high"]),
        "" if cap is None else with_interval(*difference, sign="+"),
    )
