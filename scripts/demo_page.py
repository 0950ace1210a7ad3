"""The page that the demo prints at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from demo_story import LIMIT, NEW_ITEM, Ranks, Shop, Story
from latency import Latencies
from recall.cli.output import table_lines
from recall.client import Result, StatusReply
from recall.schema import FeatureMap

Rows: TypeAlias = Sequence[Mapping[str, object]]
"""Rows of an evaluation report."""

_CHANNELS = {
    "served": "served (two towers)",
    "content": "content kNN",
    "popularity": "popularity",
    "random": "random",
}
_COLUMNS = (("all", "warm_items"), ("all", "cold_items"), ("cold-split", "all"))
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the page tells beside the story.

    Attributes:
        folder: Where everything lies.
        seconds: How long each step took.
        training: What `recall train --json` reported.
        status: What the server serves.
        evaluation: Rows of the evaluations of the snapshot.
        remote: Rows of the evaluation over gRPC.
        latencies: Times of single calls.
    """

    folder: Path
    seconds: Mapping[str, float]
    training: Mapping[str, object]
    status: StatusReply
    evaluation: Rows
    remote: Rows
    latencies: Mapping[str, Latencies]


def page(facts: Facts, shop: Shop, story: Story) -> list[str]:
    """Returns the page as lines."""
    return [
        "THE WHOLE PATH, JUST RUN",
        *_built(facts, shop),
        *_recalled(story, shop),
        *_new_item(story, shop),
        *_quality(facts),
        *_speed(facts),
        *_next(facts, story),
    ]


def _built(facts: Facts, shop: Shop) -> Iterator[str]:
    status = facts.status
    yield from _heading("1. What was built")
    yield (
        f"A synthetic shop: {len(shop.features):,} items, {len(shop.histories):,} users, "
        f"{shop.num_interactions:,} interactions."
    )
    yield f"{shop.num_cold:,} items are cold: training saw their features at most, and never that anybody chose them."
    yield (
        f"A two-tower model without any id table ({_mebibytes(facts.folder / 'model')}), the best of its epochs: "
        f"{facts.training['epoch']}."
    )
    yield (
        f"Snapshot {status.snapshot}: {status.num_items:,} vectors of dimension {status.dim}, "
        f"index {status.index_kind}, model {status.model_id[:12]}."
    )


def _recalled(story: Story, shop: Shop) -> Iterator[str]:
    yield from _heading(f"2. A recall over gRPC for {story.user_id}")
    yield "The user had, among others:"
    yield from (f"    {_shown(shop.features[item_id])}" for item_id in shop.alike(story.user_id, NEW_ITEM)[:5])
    yield f"Of those whom the item of part 3 suits, this user gets it highest. The first {_SHOWN} of {LIMIT} items:"
    yield from _list(story.before, shop)


def _new_item(story: Story, shop: Shop) -> Iterator[str]:
    yield from _heading("3. An item that nobody has ever seen")
    yield f"Upserted: {NEW_ITEM.item_id}, {_shown(NEW_ITEM.features)}."
    yield f"The call returned with sequence {story.upsert_sequence}; the very next recall for {story.user_id}:"
    yield from _list(story.after, shop)
    yield "Its nearest items, by vector and words:"
    yield from _list(story.similar, shop)
    num_fans = len(story.fans.after)
    yield f"Its rank for some of the {num_fans} users who had the most items with one of its tags:"
    header = ("user", "before", "after upsert", "after deletion")
    users = sorted(story.fans.after, key=lambda user: story.fans.after[user] or LIMIT + 1)[:5]
    rows = [(user, *(_rank(when[user]) for when in _moments(story.fans))) for user in users]
    yield from (f"    {line}" for line in table_lines(header, rows))
    yield (
        f"In the first {LIMIT}: for {_num_ranked(story.fans)} of these {num_fans} users, "
        f"and for {_num_ranked(story.others)} of {len(story.others.after)} random others."
    )
    yield f"Then it was deleted, and the server says: {story.refusal}."


def _quality(facts: Facts) -> Iterator[str]:
    yield from _heading("4. Recall@20 on held-out interactions, every candidate ranked")
    header = ("", "warm items", "cold items", "cold items")
    below = ("channel", "among all", "among all", "among cold")
    rows = [(name, *(_figure(facts.evaluation, channel, c) for c in _COLUMNS)) for channel, name in _CHANNELS.items()]
    yield from table_lines(header, [below, *rows])
    yield f"Over gRPC the server's own figure of the last column is {_figure(facts.remote, 'served', _COLUMNS[2])}."


def _speed(facts: Facts) -> Iterator[str]:
    yield from _heading("5. Times on this machine")
    rows = [(name, latency.line()) for name, latency in facts.latencies.items()]
    yield from table_lines(("one call over gRPC", "one after the other"), rows)
    yield ""
    yield from table_lines(("step", "seconds"), [(name, f"{seconds:.1f}") for name, seconds in facts.seconds.items()])


def _next(facts: Facts, story: Story) -> Iterator[str]:
    folder = _relative(facts.folder)
    yield from _heading("6. Where it is, and what to try next")
    yield f"{folder}/data  the shop        {folder}/model  the model        {folder}/snapshots  what is served"
    yield f"{folder}/catalog.sqlite  items, users and interactions         {folder}/*.log  what the commands said"
    yield ""
    activate = Path(sys.prefix) / "bin" / "activate"
    if activate.is_file():
        yield f"    . {_relative(activate)}"
    yield f"    recall serve --snapshots {folder}/snapshots --catalog {folder}/catalog.sqlite"
    yield "and in another terminal:"
    yield f"    recall query --target localhost:50051 --user {story.user_id}"
    yield (
        "    recall upsert --target localhost:50051 --item-id mine "
        """--features '{"title": "Gravel tent", "tags": ["bikepacking"]}'"""
    )
    yield "    recall similar --target localhost:50051 --item-id mine"
    yield f"    recall evaluate --data {folder}/data --snapshot {folder}/snapshots --candidates cold-split"
    yield "    python scripts/check_cold_start.py; python scripts/check_switch.py"
    yield "    python scripts/check_kill.py --rounds 20"
    yield f"    python scripts/check_served_quality.py --data {folder}/data --model {folder}/model"


def _heading(text: str) -> list[str]:
    return ["", text, "-" * len(text)]


def _list(result: Result, shop: Shop) -> Iterator[str]:
    for rank, (item_id, score) in enumerate(zip(result.item_ids[:_SHOWN], result.scores, strict=False), start=1):
        is_new = item_id == NEW_ITEM.item_id
        features = NEW_ITEM.features if is_new else shop.features[item_id]
        yield f"{'->' if is_new else '  '}{rank:4d}  {score:.3f}  {_shown(features)}"
    if NEW_ITEM.item_id in result.item_ids[_SHOWN:]:
        rank = result.item_ids.index(NEW_ITEM.item_id)
        yield f"->{rank + 1:4d}  {result.scores[rank]:.3f}  {_shown(NEW_ITEM.features)}"


def _shown(features: FeatureMap) -> str:
    tags = features.get("tags", ())
    return f"{features.get('title', '')} [{', '.join(tags) if isinstance(tags, tuple) else ''}]"


def _moments(ranks: Ranks) -> tuple[Mapping[str, int | None], ...]:
    return ranks.before, ranks.after, ranks.gone


def _rank(rank: int | None) -> str:
    return "absent" if rank is None else str(rank)


def _num_ranked(ranks: Ranks) -> int:
    return sum(rank is not None for rank in ranks.after.values())


def _figure(rows: Rows, channel: str, column: tuple[str, str]) -> str:
    wanted = (channel, *column, "recall", 20)
    for row in rows:
        if tuple(row[name] for name in ("channel", "candidates", "slice", "metric", "k")) == wanted:
            return f"{row['value']:.3f}"
    return "?"


def _mebibytes(folder: Path) -> str:
    size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size_bytes / 2**20:.1f} MiB"


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
