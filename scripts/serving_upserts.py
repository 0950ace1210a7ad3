"""Upserts of a server in turns with inserts of milvus-lite, and with what a single one cannot do without.

The server runs over a copy of the catalogue, so that what is kept for other runs stays as it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deployment import Deployment
from index.snapshot import snapshot_names
from kept import Json
from milvus_client import MilvusInserts
from recall.cli.output import say
from recall.client import RecallClient
from recall.live.catalog import Catalog
from recall.live.generation import load_model
from recall.live.records import ItemRecord
from recall.live.snapshot import load_generation
from recall.model.embedding import EmbeddingModel
from recall.model.threads import limit_threads
from server_process import ServerProcess
from serving_data import IMAGE_DIM, new_items
from serving_run import Effort, divided_cores, on_cores

_BATCH, _BATCHES, _SINGLE = 1_000, 4, 60
_TIMEOUT_SECONDS = 120.0
_ROW_BYTES = 700
"""About what is stored of one of these items, its vector excluded: that is made again from the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """What takes turns."""

    client: RecallClient
    model: EmbeddingModel
    commits: sqlite3.Connection
    milvus: MilvusInserts | None


def measured_upserts(made: Deployment, effort: Effort, temporary: Path, milvus_python: Path | None) -> Json:
    """Returns `rounds`: batched and single upserts, and what they are compared with."""
    servers, generator = divided_cores()
    copied = temporary / "catalog.sqlite"
    with closing(sqlite3.connect(made.catalog)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
    with ExitStack() as stack:
        with on_cores(servers):
            log = temporary / "serve.log"
            server = stack.enter_context(ServerProcess(made.snapshots, copied, log=log))
            milvus = None
            if milvus_python is not None:
                milvus = stack.enter_context(MilvusInserts(milvus_python, temporary / "milvus.db", dim=IMAGE_DIM))
        stack.enter_context(on_cores(servers))
        limit_threads(1)
        turns = _Turns(
            client=stack.enter_context(RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS)),
            model=_model(made, copied),
            commits=stack.enter_context(closing(_commits(temporary / "commits.sqlite"))),
            milvus=milvus,
        )
        rounds = []
        for number in range(effort.rounds):
            rounds.append(_round(turns, number, quick=effort.rounds < 3))
            say(f"upserts, round {number + 1} of {effort.rounds}: {rounds[-1]['items_per_second']:,.0f} items a second")
    return {"rounds": rounds, "generator": list(generator)}


def _round(turns: _Turns, number: int, *, quick: bool) -> Json:
    batches, single = (1, 10) if quick else (_BATCHES, _SINGLE)
    drawn = [new_items(_BATCH, stream=number * 100 + place) for place in range(batches)]
    result: Json = {
        "step": "upsert",
        "round": number,
        "items_per_second": _BATCH / float(np.median(_seconds(turns.client.upsert, drawn))),
    }
    if turns.milvus is not None:
        result["milvus_per_second"] = _BATCH / float(np.median([turns.milvus.insert(_BATCH) for _ in range(batches)]))
    alone = [[item] for item in new_items(single, stream=number * 100 + 99)]
    result["single_ms"] = _median_ms(turns.client.upsert, alone)
    result["commit_ms"] = _median_ms(lambda item: _commit(turns.commits), alone)
    result["encode_ms"] = _median_ms(lambda items: _encode(turns.model, items), alone)
    return result


def _seconds(call: Callable[[Sequence[ItemRecord]], object], groups: Sequence[Sequence[ItemRecord]]) -> list[float]:
    found = []
    for group in groups:
        start = time.perf_counter()
        call(group)
        found.append(time.perf_counter() - start)
    return found


def _median_ms(call: Callable[[Sequence[ItemRecord]], object], groups: Sequence[Sequence[ItemRecord]]) -> float:
    call(groups[0])
    return 1e3 * float(np.median(_seconds(call, groups)))


def _encode(model: EmbeddingModel, items: Sequence[ItemRecord]) -> None:
    model.embed_items([item.item_id for item in items], [item.features for item in items])


def _commits(file: Path) -> sqlite3.Connection:
    """Returns a file whose commits are as durable as those of a catalogue."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)")
    return connection


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO rows (content) VALUES (randomblob(?))", (_ROW_BYTES,))
    connection.execute("COMMIT")


def _model(made: Deployment, catalog: Path) -> EmbeddingModel:
    snapshot = made.snapshots / snapshot_names(made.snapshots)[-1]
    with Catalog.open(catalog) as opened:
        model = load_generation(snapshot, lineage=opened.lineage, load_model=load_model).model
    assert isinstance(model, EmbeddingModel)
    return model
