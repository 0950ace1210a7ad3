"""The steps of measuring one set: each is kept in `results/` of its folder, for the versions of those who take part."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

import numpy as np

from index.factory import IndexConfig, build_index
from index.protocols import AppendableIndex, FloatArray
from index_contenders import EXACT, Contender, Opened, opened
from index_data import VectorSet
from index_measure import (
    Effort,
    Entrant,
    Rates,
    batched_rates,
    cheapest,
    curve,
    entrant,
    least,
    limited,
    single_rates,
)
from index_memory import in_own_process
from kept import Json, kept
from provenance import machine
from recall.cli.output import say

TARGETS = (0.95, 0.98)
"""Recalls@100 at which speeds are compared."""
OUR_LSH, OUR_GRAPH = "index lsh", "index hnsw"
_HUNDRED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much work to put in.

    Attributes:
        curve: How long to time each point of a curve.
        duel: How long to time what is compared at equal recall.
        points: Points of a curve.
        inserts: Rows inserted one by one, and again in hundreds.
        memory_of: Names of those whose memory is measured; None for all.
    """

    curve: Effort
    duel: Effort
    points: int
    inserts: int
    memory_of: tuple[str, ...] | None = None


FULL = Plan(curve=Effort(rounds=3, seconds=0.3), duel=Effort(rounds=9, seconds=0.5), points=10, inserts=50_000)
QUICK = Plan(
    curve=Effort(rounds=1, seconds=0.01),
    duel=Effort(rounds=3, seconds=0.02),
    points=3,
    inserts=300,
    memory_of=(OUR_GRAPH,),
)


class Arena:
    """One set with those who take part, which are built or read when a step first needs them."""

    def __init__(self, data: VectorSet, contenders: Sequence[Contender], plan: Plan) -> None:
        """Takes the set, everyone who may take part in it, and how much work to put in."""
        self._data = data
        self._contenders = [one for one in contenders if len(data.vectors) <= one.most_rows]
        self._plan = plan
        versions = "\n".join(f"{one.name} {one.version}" for one in self._contenders)
        self._key = hashlib.sha256(f"{versions}\n{plan}".encode()).hexdigest()[:12]
        self._all: list[Opened] = []

    def measure(self) -> Json:
        """Returns speeds at equal recall, curves, memory and inserts."""
        (self._data.folder / "results").mkdir(exist_ok=True)
        return {
            "set": self._data.name,
            "num_rows": int(self._data.vectors.shape[0]),
            "dim": int(self._data.vectors.shape[1]),
            "duel": self._kept("duel", self._duel),
            "curve": self._kept("curve", self._curve),
            "memory": self._kept("memory", self._memory),
            "inserts": self._kept("inserts", self._inserts),
        }

    def _kept(self, step: str, make: Callable[[], Json]) -> Json:
        def dated() -> Json:
            say(f"{self._data.name}: measuring {step}")
            return {"date": date.today().isoformat(), "machine": machine(), **make()}

        return kept(self._data.folder / "results" / f"{step}-{self._key}.json", dated)

    def _everyone(self) -> list[Opened]:
        if not self._all:
            for one in self._contenders:
                say(f"{self._data.name}: building or reading {one.name}")
                self._all.append(opened(self._data, one))
        return self._all

    def _duel(self) -> Json:
        chosen: list[tuple[float | None, Entrant]] = []
        for one in self._everyone():
            say(f"{self._data.name}: settings of {one.contender.name}")
            for target in (None,) if one.contender.family == EXACT else TARGETS:
                reaching = least(one, self._data, target or 0.0)
                if reaching:
                    chosen.append((target, cheapest(reaching, self._data, self._plan.curve)))
        return self._timed(chosen, self._plan.duel)

    def _curve(self) -> Json:
        settings = {row["contender"]: row["setting"] for row in self._kept("duel", self._duel)["entrants"]}
        effort = self._plan.curve
        points: list[tuple[float | None, Entrant]] = []
        for one in self._everyone():
            name, axes = one.contender.name, one.built.axes()
            coarse = settings.get(name) or {axis: values[-1] for axis, values in axes.items()}
            for setting in curve(axes, coarse, points=self._plan.points):
                points.append((None, entrant(one, self._data, setting, call_seconds=effort.seconds)))
        return self._timed(points, effort)

    def _timed(self, entrants: Sequence[tuple[float | None, Entrant]], effort: Effort) -> Json:
        everyone = [one for _, one in entrants]
        single = single_rates(everyone, self._data, effort)
        batched = batched_rates(everyone, self._data, effort)
        rows = zip(entrants, single, batched, strict=True)
        return {"entrants": [_row(target, one, alone, together) for (target, one), alone, together in rows]}

    def _memory(self) -> Json:
        names = self._plan.memory_of
        measured = [one for one in self._contenders if names is None or one.name in names]
        self._everyone()  # built: a process of its own only reads
        return {one.name: in_own_process(self._data, one) for one in measured}

    def _inserts(self) -> Json:
        """Returns microseconds a row of inserting the last rows into a hash index of the rest, singly and in hundreds.

        Of the processor, on one thread. Growth doubles the arrays, so its seconds are shared by as many rows as there
        were before.
        """
        if OUR_LSH not in (one.name for one in self._contenders):
            return {}
        vectors = self._data.vectors
        count = min(self._plan.inserts, len(vectors) // 4)
        before = len(vectors) - 2 * count - 1
        index = cast(AppendableIndex, build_index(vectors[:before], IndexConfig(kind="lsh")))
        new = np.ascontiguousarray(vectors[before:])
        with limited(1):
            growth = _insert(index, new[:1], size=1) / before
            alone = _insert(index, new[1 : count + 1], size=1) / count + growth
            together = _insert(index, new[count + 1 :], size=_HUNDRED) / count + growth
        return {
            "rows_before": before,
            "inserted": len(new),
            "single_microseconds": alone * 1e6,
            "hundreds_microseconds": together * 1e6,
            "growth_microseconds": growth * 1e6,
        }


def _insert(index: AppendableIndex, vectors: FloatArray, *, size: int) -> float:
    start = time.process_time()
    for first in range(0, len(vectors), size):
        index.append(vectors[first : first + size])
    return time.process_time() - start


def _row(target: float | None, one: Entrant, single: Rates, batched: Rates) -> Json:
    contender = one.opened.contender
    return {
        "contender": contender.name,
        "side": contender.side,
        "family": contender.family,
        "version": contender.version,
        "target": target,
        "setting": one.setting,
        "recall_at_10": one.recall_at_10,
        "recall_at_100": one.recall_at_100,
        "num_queries": one.num_queries,
        "single_per_second": single.median,
        "single_rounds": list(single.per_second),
        "single_cores": single.cores,
        "batched_per_second": batched.median,
        "batched_rounds": list(batched.per_second),
        "batched_cores": batched.cores,
        **{name: one.opened.facts[name] for name in ("build_seconds", "build_cores", "file_bytes", "parameters")},
    }
