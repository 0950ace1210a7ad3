"""Whether damaged snapshots are always caught, and the newest good one before them is served with right answers.

A catalogue gets one snapshot for each kind of base index. Then each round damages the current one, or it and the one
before it, or `CURRENT`, at random (`snapshot_damage.py`), and either starts a server over that, or lets a server that
runs on an older one look at it. Whatever is served must be a snapshot without damage, no older than need be, give what
it gave before, and the damage must be named in the status. Exit 1 on any difference.

    python scripts/check_snapshot_damage.py --rounds 1000
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer

from deployment import Data, Deployment, Model, Seed, loaded
from index.factory import IndexConfig
from index.kinds import KINDS
from index.snapshot import CURRENT, set_current
from job import fail_on, run
from recall.cli.arguments import Json, id_list
from recall.cli.output import report, say, table_lines
from recall.live.catalog import Catalog
from recall.live.config import RebuildConfig, ServeConfig
from recall.live.generation import Embedder, Generation, load_model
from recall.live.ingest import Ingest
from recall.live.query import RecallQuery, SimilarBy, SimilarQuery
from recall.live.rebuild import rebuild
from recall.live.retriever import Retriever
from recall.live.service import RecallSystem
from recall.live.snapshot import load_generation
from recall.live.watcher import FAILURES, FirstSnapshot, SnapshotWatcher
from recall.tables import DataFolder
from snapshot_damage import DAMAGES, HARMLESS

_KINDS = tuple(kind for kind in KINDS if not kind.startswith("gpu_"))
_NUM_USERS, _NUM_ITEMS, _LIMIT = 3, 2, 20
_SHARE_OF_TWO = 0.2
_NEVER_SECONDS = 1e6

CRASHES = (*FAILURES, LookupError, TypeError, AttributeError, ArithmeticError)
"""What damage may raise that nobody has foreseen."""

Answers: TypeAlias = list[tuple[list[str], list[float]]]


@dataclass(slots=True)
class _Tally:
    rounds: int = 0
    caught: int = 0
    harmless: int = 0


@dataclass(slots=True)
class _Outcome:
    """What was served after a damage."""

    snapshot: str
    error: str
    answers: Answers


@dataclass(slots=True)
class _Summary:
    by_damage: dict[str, _Tally] = field(default_factory=lambda: {name: _Tally() for name in DAMAGES})
    problems: list[str] = field(default_factory=list)


def main(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How many damages.")] = 1000,
    data: Data = None,
    model: Model = None,
    kinds: Annotated[str | None, typer.Option("--kinds", help="Kinds of index, oldest first: a,b,c.")] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that damaged snapshots are caught and older ones served."""
    logging.disable(logging.ERROR)  # a line for each damage
    rng, started = np.random.default_rng(seed), time.perf_counter()
    with loaded(data, model) as deployment:
        names = _snapshots(deployment, id_list(kinds, "--kinds") or _KINDS)
        with Catalog.open(deployment.catalog) as catalog:
            bench = _Bench(deployment, catalog, names)
            for number in range(rounds):
                bench.round(rng, is_start=number % 2 == 0)
                if (number + 1) % 100 == 0:
                    say(f"round {number + 1} of {rounds}: {len(bench.summary.problems)} problems so far")
    _report(bench.summary, names, time.perf_counter() - started, json)


def _snapshots(deployment: Deployment, kinds: Sequence[str]) -> list[str]:
    """Builds a snapshot of each kind and returns the names, oldest first."""
    names = []
    for kind in kinds:
        say(f"building a snapshot with {kind}")
        settings = RebuildConfig(index=IndexConfig(kind=kind), keep_snapshots=len(kinds))
        names.append(rebuild(deployment.model, deployment.catalog, deployment.snapshots, config=settings).name)
    return names


class _Bench:
    """A folder of good snapshots, and rounds on damaged copies of it."""

    def __init__(self, deployment: Deployment, catalog: Catalog, names: Sequence[str]) -> None:
        self._deployment, self._catalog, self._names = deployment, catalog, names
        self._root = deployment.folder / "damaged"
        self._retriever = Retriever(catalog)
        self._recalls, self._similar = _queries(deployment.data)
        self._models: dict[tuple[bytes, ...], Embedder] = {}
        self._expected = {name: self._answers(self._load(deployment.snapshots / name)) for name in names}
        self._oldest = FirstSnapshot(generation=self._load(deployment.snapshots / names[0]), current=names[0])
        self.summary = _Summary()

    def round(self, rng: np.random.Generator, *, is_start: bool) -> None:
        """Damages a copy, and compares what is served with what should be."""
        place = int(rng.integers(1, len(self._names)))
        what = list(DAMAGES)[int(rng.integers(len(DAMAGES)))]
        is_two = what != "CURRENT damaged" and place > 1 and rng.random() < _SHARE_OF_TWO
        damaged = self._names[place - is_two : place + 1]
        self._copy(self._names[place])
        how = "; ".join(f"{name}: {DAMAGES[what](self._root, name, rng)}" for name in damaged)
        tally = self.summary.by_damage[what]
        tally.rounds += 1
        try:
            outcome = self._started() if is_start else self._switched()
            problem = self._problem(
                outcome, what, is_start=is_start, wanted=self._wanted(place, is_start, len(damaged))
            )
        except CRASHES as error:
            outcome, problem = _Outcome("", "", []), f"{type(error).__name__}: {error}"
        if problem:
            self.summary.problems.append(f"{'start' if is_start else 'switch'}, {what}, {how}: {problem}")
        elif outcome.error:
            tally.caught += 1
        else:
            tally.harmless += 1

    def _wanted(self, place: int, is_start: bool, num_damaged: int) -> str:
        """Returns the snapshot that should be served where one of this place, and those before it, are damaged."""
        return self._names[place - num_damaged if is_start else 0]

    def _problem(self, outcome: _Outcome, what: str, *, is_start: bool, wanted: str) -> str:
        """Returns what is wrong with an outcome, nothing where it is right."""
        if outcome.snapshot not in self._expected:
            return f"{outcome.snapshot!r} is served"
        if outcome.answers != self._expected[outcome.snapshot]:
            return f"{outcome.snapshot} gives other answers than before"
        if what in HARMLESS and (not outcome.error or (is_start and what == "CURRENT damaged")):
            return ""
        if outcome.snapshot != wanted:
            return f"{outcome.snapshot} is served instead of {wanted}"
        return "" if outcome.error else "the damage is not named"

    def _started(self) -> _Outcome:
        """Starts a server over the damaged copy."""
        config = ServeConfig(follow_interval_seconds=_NEVER_SECONDS, watch_interval_seconds=_NEVER_SECONDS)
        system = RecallSystem.start(self._root, self._deployment.catalog, config, load_model=self._model)
        try:
            status = system.status()
            return _Outcome(status.snapshot, status.last_switch_error, self._answers(system.generation))
        finally:
            system.close()

    def _switched(self) -> _Outcome:
        """Lets a server of the oldest snapshot look at the damaged copy."""
        ingest = Ingest(self._catalog, self._oldest.generation)
        watcher = SnapshotWatcher(self._root, self._load, ingest=ingest, first=self._oldest, retry_seconds=0.0)
        watcher.look()
        return _Outcome(ingest.generation.snapshot, watcher.last_error, self._answers(ingest.generation))

    def _copy(self, name: str) -> None:
        """Makes the copy as good as new, with `CURRENT` at a snapshot."""
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.copytree(self._deployment.snapshots, self._root, copy_function=os.link)
        (self._root / CURRENT).unlink()
        set_current(self._root, name)

    def _load(self, folder: Path) -> Generation:
        return load_generation(folder, lineage=self._catalog.lineage, load_model=self._model)

    def _model(self, folder: Path) -> Embedder:
        """Loads a model, one that was loaded before only if its files changed: that takes most of a round."""
        content = tuple(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
        if content not in self._models:
            self._models[content] = load_model(folder)
        return self._models[content]

    def _answers(self, generation: Generation) -> Answers:
        results = self._retriever.recall(generation, self._recalls)
        results += [self._retriever.similar(generation, query) for query in self._similar]
        return [(result.item_ids, result.scores.tolist()) for result in results]


def _queries(folder: Path) -> tuple[list[RecallQuery], list[SimilarQuery]]:
    data = DataFolder.open(folder)
    item_ids, (user_ids, _) = data.items()[0][:_NUM_ITEMS], data.users()
    recalls = [
        RecallQuery(user_id=user_id, limit=_LIMIT, exact=exact)
        for user_id in user_ids[:_NUM_USERS]
        for exact in (False, True)
    ]
    return recalls, [SimilarQuery(item_id=item_id, limit=_LIMIT, by=by) for item_id in item_ids for by in SimilarBy]


def _report(summary: _Summary, names: Sequence[str], seconds: float, json: str | None) -> None:
    counts = {what: asdict(tally) for what, tally in summary.by_damage.items()}
    totals = {key: sum(row[key] for row in counts.values()) for key in ("rounds", "caught", "harmless")}
    rows = [(what, *row.values()) for what, row in [*counts.items(), ("all", totals)]]
    value = {**totals, "snapshots": list(names), "by_damage": counts, "seconds": seconds, "problems": summary.problems}
    report(table_lines(("damage", "rounds", "caught", "harmless"), rows), value, json)
    say(f"{totals['rounds']} rounds in {seconds:.0f} s, {len(summary.problems)} problems")
    fail_on(summary.problems)


if __name__ == "__main__":
    run(main)
