"""Whether a search under a filter returns exactly what looking at every item returns, whatever the filter.

Each round draws a live index (flat, hnsw or lsh base, with bags or without, with items written, replaced and deleted
since) and asks it under random filters, alone and together with exclusions, allow-lists and a subset that is told
apart; half of the rounds send the filters as messages of the wire first. Exhaustive answers must equal brute force to
the item; through an approximate base they must be items that the filter holds for, as many as there are up to k. Exit 1
on any difference.

    python scripts/check_filters.py --rounds 200
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import typer

from filter_oracle import SPECS, Draw, holds
from index.attribute_growth import GrowingAttributes
from index.attributes import AttributeMap
from index.bags import Bags
from index.conditions import Condition
from index.factory import IndexConfig, build_index
from index.live import LiveIndex
from index.live_view import LiveView
from index.protocols import FloatArray, SearchOptions
from index.sparse import SparseIndex
from job import fail_on, run
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report
from recall.client.filters import filter_to_message
from recall.serving.filter_requests import filter_from_message
from recall.v1 import recall_pb2 as pb

_DIM = 4
_FILTERS_A_ROUND = 20
_KINDS = ("flat", "hnsw", "lsh")


@dataclass(slots=True)
class _Summary:
    rounds: int = 0
    filters: int = 0
    items_returned: int = 0
    differences: list[str] = field(default_factory=list)


def main(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How many live indexes to draw.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="What they are drawn from.")] = 0,
    json: Json = None,
) -> None:
    """Check that filtered search equals brute force."""
    summary = _Summary()
    for number in range(rounds):
        _Round(random.Random(f"{seed}/{number}"), summary).check()
        summary.rounds += 1
    value = {name: getattr(summary, name) for name in ("rounds", "filters", "items_returned", "differences")}
    report(pair_lines(value | {"differences": len(summary.differences)}), value, json)
    fail_on(summary.differences)


class _Round:
    """One live index beside what it should hold."""

    def __init__(self, rng: random.Random, summary: _Summary) -> None:
        self._rng, self._summary = rng, summary
        self._vectors_rng = np.random.default_rng(rng.randrange(2**32))
        self._has_bags = rng.random() < 0.5
        universe = sorted(f"{letter}{number}" for letter in "aZé" for number in range(rng.choice((5, 70))))
        self._is_sent = rng.random() < 0.5
        self._draw = Draw(rng, universe, least=int(self._is_sent))
        self._items: dict[str, tuple[FloatArray, dict[int, float], AttributeMap]] = {}
        base_ids = [item_id for item_id in universe if rng.random() < 0.7]
        self._live = self._built(base_ids, rng.choice(_KINDS))
        for _ in range(rng.randrange(4)):
            self._write(universe)
        self._live.tell_apart(lambda item_ids: np.array([_is_even(i) for i in item_ids], dtype=np.bool_))

    def check(self) -> None:
        """Searches under some filters."""
        for _ in range(_FILTERS_A_ROUND):
            self._summary.filters += 1
            condition = self._draw.condition()
            everything, even = set(self._items), set(filter(_is_even, self._items))
            subset = self._live.subset()
            assert subset is not None
            self._compare(self._live, everything, condition)
            self._compare(subset, even, condition)

    def _built(self, item_ids: list[str], kind: str) -> LiveIndex:
        vectors = self._added(item_ids)
        content = SparseIndex(_bags(self._items[i][1] for i in item_ids)) if self._has_bags else None
        base = build_index(vectors, IndexConfig(kind=kind if item_ids else "flat"))
        live = LiveIndex(item_ids, vectors, base, sequence=0, content=content)
        columns = GrowingAttributes(SPECS)
        columns.append([self._items[i][2] for i in item_ids])
        live.set_attributes(columns.frozen())
        return live

    def _write(self, universe: list[str]) -> None:
        upserts = self._rng.sample(universe, self._rng.randrange(len(universe)))
        deleted = [i for i in universe if i not in set(upserts) and self._rng.random() < 0.2]
        vectors = self._added(upserts)
        for item_id in deleted:
            self._items.pop(item_id, None)
        self._live.apply(
            upserts,
            vectors,
            deleted=deleted,
            sequence=self._live.sequence + 1,
            bags=_bags(self._items[i][1] for i in upserts) if self._has_bags else None,
            attributes=[self._items[i][2] for i in upserts],
        )

    def _added(self, item_ids: list[str]) -> FloatArray:
        # Few, small coordinates: ties are common, and every sum of products is exact.
        vectors = self._vectors_rng.integers(-2, 3, (len(item_ids), _DIM)).astype(np.float32)
        vectors[:, 0] += 3 * ~vectors.any(axis=1)
        for item_id, vector in zip(item_ids, vectors, strict=True):
            bag = {token: 0.5 for token in range(3) if self._rng.random() < 0.3}
            self._items[item_id] = (vector, bag, self._draw.attributes())
        return vectors

    def _compare(self, searched: LiveIndex | LiveView, item_ids: set[str], condition: Condition) -> None:
        rng, universe = self._rng, self._draw.item_ids
        option = SearchOptions(
            filter=_sent(condition) if self._is_sent else condition,
            exclude=rng.sample(universe, rng.randrange(5)),
            candidates=rng.sample(universe, len(universe) // 2) if rng.random() < 0.3 else None,
            exact=rng.random() < 0.5,
        )
        query = self._vectors_rng.integers(-2, 3, _DIM).astype(np.float32)
        profile = {token: 0.25 for token in range(3) if self._has_bags and rng.random() < 0.4}
        k = rng.choice((1, 3, 10, 1000))
        profiles = _bags([profile]) if self._has_bags else None
        hits = searched.search(query[None], k, [option], profiles=profiles)[0]
        self._summary.items_returned += len(hits.item_ids)
        eligible = item_ids - set(option.exclude)
        eligible &= eligible if option.candidates is None else set(option.candidates)
        scores = {i: self._score(i, query, profile) for i in eligible if holds(condition, i, self._items[i][2])}
        expected = sorted(scores, key=lambda i: (-scores[i], i))[:k]
        is_exact = option.exact or option.candidates is not None or self._live.base.kind == "flat"
        if is_exact or k >= len(scores):
            fits = hits.item_ids == expected
        else:
            fits = len(hits.item_ids) == len(expected) and set(hits.item_ids) <= scores.keys()
        if not fits or hits.scores.tolist() != [scores[i] for i in hits.item_ids]:
            self._summary.differences.append(f"{condition} with k {k}: {hits.item_ids} instead of {expected}")

    def _score(self, item_id: str, query: FloatArray, profile: dict[int, float]) -> float:
        vector, bag, _ = self._items[item_id]
        return float(vector @ query) + sum(weight * bag.get(token, 0.0) for token, weight in profile.items())


def _bags(rows: Iterable[dict[int, float]]) -> Bags:
    dicts = list(rows)
    tokens = np.array([token for row in dicts for token in row], dtype=np.uint64)
    weights = np.array([weight for row in dicts for weight in row.values()], dtype=np.float32)
    return Bags.of(tokens, weights, np.cumsum([0, *(len(row) for row in dicts)]))


def _sent(condition: Condition) -> Condition:
    """Returns a condition as a server reads it."""
    content = filter_to_message(condition).SerializeToString()
    read, violations = filter_from_message(pb.Filter.FromString(content), SPECS, path="filter")
    if read is None:
        raise AssertionError(f"{condition} is refused: {violations}")
    return read


def _is_even(item_id: str) -> bool:
    return int(item_id[1:]) % 2 == 0


if __name__ == "__main__":
    run(main)
