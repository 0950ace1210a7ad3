"""Whether items never seen are retrievable the moment their upsert returns, and how long that takes.

A server runs in a process of its own. Items are upserted one by one; each is asked for at once on a second connection,
by its own features among the ten nearest and by its id. Exit 1 unless every one is found.

    python scripts/check_cold_start.py --items 1000
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from typing import Annotated

import typer

from deployment import Data, Model, Seed, deployed
from job import run
from latency import Latencies
from recall.cli.arguments import Json
from recall.cli.output import report, say
from recall.client import ItemRecord, RecallClient, SimilarQuery
from recall.errors import NotFoundError
from recall.live.item_vectors import same_features
from unseen import unseen_features

_LIMIT = 10
_TIMEOUT_SECONDS = 30.0


class _Check:
    """Two connections to one server, and the times of what was asked on them."""

    def __init__(self, writer: RecallClient, reader: RecallClient) -> None:
        self._writer = writer
        self._reader = reader
        self.latencies = {name: Latencies() for name in ("upsert", "similar", "get")}

    def problem(self, item: ItemRecord) -> str:
        """Writes an item and asks for it; returns what is wrong, empty where nothing is."""
        with self.latencies["upsert"].measured():
            self._writer.upsert([item])
        with self.latencies["similar"].measured():
            similar = self._reader.similar(SimilarQuery(features=item.features, limit=_LIMIT))
        try:
            with self.latencies["get"].measured():
                stored = self._reader.get(item.item_id)
        except NotFoundError:
            return "is not stored"
        if not same_features(stored.item.features, item.features):
            return f"is stored as {stored.item.features}, and was written as {item.features}"
        if not stored.retrievable:
            return "is stored, but not retrievable"
        return "" if item.item_id in similar.item_ids else f"is not among the {_LIMIT} nearest to its own features"


def main(
    items: Annotated[int, typer.Option("--items", min=1, help="Unseen items to write.")] = 1000,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that every unseen item is found at once after its upsert."""
    with deployed(data, model) as deployment:
        known, specs = deployment.items()
        features = islice(unseen_features([item.features for item in known], specs, seed=seed), items)
        unseen = [ItemRecord(item_id=f"unseen-{number:06d}", features=f) for number, f in enumerate(features)]
        say("starting a server")
        with deployment.serve() as server:
            problems, latencies = _checked(server.address, unseen)
            server.stop()
    _report(problems, latencies, num_known=len(known), num_items=items, json=json)


def _checked(address: str, unseen: Sequence[ItemRecord]) -> tuple[dict[str, str], dict[str, Latencies]]:
    problems = {}
    with (
        RecallClient(address, timeout_seconds=_TIMEOUT_SECONDS) as writer,
        RecallClient(address, timeout_seconds=_TIMEOUT_SECONDS) as reader,
    ):
        check = _Check(writer, reader)
        for number, item in enumerate(unseen, start=1):
            if problem := check.problem(item):
                problems[item.item_id] = problem
                say(f"item {item.item_id!r} {problem}")
            if number % 200 == 0:
                say(f"{number:,} of {len(unseen):,} items")
    return problems, check.latencies


def _report(
    problems: dict[str, str], latencies: dict[str, Latencies], *, num_known: int, num_items: int, json: str | None
) -> None:
    found = num_items - len(problems)
    lines = [f"{found:,} of {num_items:,} unseen items found at once, beside {num_known:,} known ones"]
    lines += [f"{name.ljust(7)}  {latency.line()}" for name, latency in latencies.items()]
    value: dict[str, object] = {"items": num_items, "found": found, "known_items": num_known, "problems": problems}
    value |= {name: latency.summary() for name, latency in latencies.items()}
    report(lines, value, json)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
