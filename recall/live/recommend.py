"""The best items of every user of a data folder, by a snapshot, as one table: recalls without a server.

The same retriever answers as behind `Recall`, with a user's stored features and history and without the items of the
history, so the table holds what a server of that snapshot returns for these users.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recall.errors import ConfigError
from recall.live.folder_users import FolderUsers
from recall.live.generation import Generation, ModelLoader, load_model
from recall.live.parquet_stream import write_batches
from recall.live.query import DEFAULT_LIMIT, MAX_LIMIT, RecallQuery, Result
from recall.live.retriever import Retriever
from recall.live.snapshot import load_generation
from recall.progress import Progress, silent
from recall.tables import ANSWERED_FROM, ITEM_ID, RANK, SCORE, USER_ID, DataFolder

SCHEMA = pl.Schema(
    {USER_ID: pl.String(), ITEM_ID: pl.String(), RANK: pl.Int32(), SCORE: pl.Float32(), ANSWERED_FROM: pl.String()}
)
_MAX_USERS = 2048
_MAX_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendSummary:
    """What was written.

    Attributes:
        snapshot: Folder name of the snapshot.
        model_id: Its model.
        sequence: Last write of the catalogue that it reflects.
        num_users: Users answered.
        num_rows: Items of all users together.
        num_short: Users with fewer items than asked for.
        answered_from: How many users were answered from what.
    """

    snapshot: str
    model_id: str
    sequence: int
    num_users: int
    num_rows: int
    num_short: int
    answered_from: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendRequest:
    """What is asked for.

    Attributes:
        data: The data folder.
        snapshot: Folder of one snapshot.
        interactions: Those of the folder, with a `split` column where only the train part makes histories.
        k: Items a user.
    """

    data: DataFolder
    snapshot: Path
    interactions: pl.DataFrame
    k: int = DEFAULT_LIMIT


def recommend(
    request: RecommendRequest, out: Path, *, progress: Progress | None = None, load_model: ModelLoader = load_model
) -> RecommendSummary:
    """Writes the best items of all users to a Parquet file, whole or not at all; an existing one is replaced.

    Users come in the order of `users.parquet`, then those that have only interactions; a user's items best first, by
    `rank` from 1. `score` and `answered_from` mean what they mean in a reply to `Recall`.

    Args:
        request: What is asked for.
        out: The file.
        progress: Told of users.
        load_model: How a model is loaded from the snapshot.

    Raises:
        ConfigError: `k` is out of range.
        DataError: A table of the folder breaks its contract.
        SnapshotDamagedError: The snapshot cannot be used.
        RecallError: The file cannot be written.
    """
    if not 1 <= request.k <= MAX_LIMIT:
        raise ConfigError(f"k is {request.k}; want 1 to {MAX_LIMIT:,}")
    users = FolderUsers(request.data, request.interactions)
    generation = load_generation(request.snapshot, lineage=None, load_model=load_model)
    run = _Run(generation, users, request.k)
    write_batches(out, run.frames(progress or silent), SCHEMA)
    return RecommendSummary(
        snapshot=request.snapshot.name,
        model_id=generation.model.model_id,
        sequence=generation.index.sequence,
        num_users=len(users.user_ids),
        num_rows=run.num_rows,
        num_short=run.num_short,
        answered_from=dict(sorted(run.sources.items())),
    )


class _Run:
    """Answers all users and counts what came of it."""

    def __init__(self, generation: Generation, users: FolderUsers, k: int) -> None:
        self._generation, self._users, self._k = generation, users, k
        self._retriever = Retriever(users)
        self.num_rows = self.num_short = 0
        self.sources: Counter[str] = Counter()

    def frames(self, report: Progress) -> Iterator[pl.DataFrame]:
        user_ids = self._users.user_ids
        step = max(1, min(_MAX_USERS, _MAX_ROWS // self._k))
        report("users", 0, len(user_ids))
        for start in range(0, len(user_ids), step):
            some = user_ids[start : start + step]
            queries = [RecallQuery(user_id=user_id, limit=self._k) for user_id in some]
            results = self._retriever.recall(self._generation, queries)
            self._count(results)
            yield _frame(some, results)
            report("users", start + len(some), len(user_ids))

    def _count(self, results: Sequence[Result]) -> None:
        self.num_rows += sum(len(result.item_ids) for result in results)
        self.num_short += sum(len(result.item_ids) < self._k for result in results)
        self.sources.update(result.answered_from.value for result in results)


def _frame(user_ids: Sequence[str], results: Sequence[Result]) -> pl.DataFrame:
    lengths = np.array([len(result.item_ids) for result in results], dtype=np.int64)
    owners = np.repeat(np.arange(len(results)), lengths)
    ends = np.cumsum(lengths)
    return pl.DataFrame(
        {
            USER_ID: pl.Series(user_ids, dtype=pl.String)[owners],
            ITEM_ID: pl.Series([item_id for result in results for item_id in result.item_ids], dtype=pl.String),
            RANK: pl.Series(np.arange(len(owners)) - np.repeat(ends - lengths, lengths) + 1, dtype=pl.Int32),
            SCORE: pl.Series(np.concatenate([result.scores for result in results]), dtype=pl.Float32),
            ANSWERED_FROM: pl.Series([result.answered_from.value for result in results], dtype=pl.String)[owners],
        }
    )
