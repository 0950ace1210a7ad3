"""What an evaluation run reports: figures with their bootstrap intervals, and the values by user behind them.

As JSON: {"model_id", "data", "split", "rows": [{"channel", "candidates", "slice", "metric", "k", "value", "low",
"high", "users"}]}, `low` and `high` being the 95% bootstrap interval over users. Where histories were cut, `history`
stands beside `split`: how many of a user's latest items were left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recall.bootstrap import mean_intervals
from recall.tables import USER_ID
from training.metrics import METRICS, ranked_hits
from training.protocol import EvaluationCase, EvaluationData, slices_of

BOOTSTRAP_SEED = 0
"""Shared by every interval, so that equal users are drawn in every figure and every comparison."""

CHANNEL, K, VALUE = "channel", "k", "value"
FIGURE = (CHANNEL, "candidates", "slice", "metric", K)
"""Columns that say which figure a value by user belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of the report."""

    channel: str
    candidates: str
    slice: str
    metric: str
    k: int
    value: float
    low: float
    high: float
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one run.

    Attributes:
        model_id: The model; empty where only baselines ran.
        data: Name of the data set.
        split: The evaluated part.
        history: Items that each history was cut to; None where it was whole.
        rows: The figures.
        per_user: `channel`, `candidates`, `slice`, `metric`, `k`, `user_id`, `value`.
    """

    model_id: str
    data: str
    split: str
    history: int | None
    rows: tuple[Row, ...]
    per_user: pl.DataFrame

    def write_per_user(self, file: Path) -> None:
        """Writes `per_user` as Parquet; the key-value metadata names `model_id`, `data`, `split`, `history` if cut.

        Raises:
            OSError: The file cannot be written.
        """
        self.per_user.write_parquet(file, metadata={name: str(fact) for name, fact in self._facts().items()})

    def to_json(self) -> dict[str, object]:
        """Returns the report in its JSON form."""
        return {**self._facts(), "rows": [asdict(row) for row in self.rows]}

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"model_id": self.model_id, "data": self.data, "split": self.split}
        return facts if self.history is None else {**facts, "history": self.history}


def figures(
    channel: str, rankings: Sequence[Sequence[str]], case: EvaluationCase, data: EvaluationData, ks: Sequence[int]
) -> Iterator[tuple[Row, pl.DataFrame]]:
    """Yields each figure of one channel with its values by user.

    Args:
        channel: Name of the channel.
        rankings: Item ids of each of `case.users`, best first.
        case: Users, candidates and relevant items.
        data: Tells warm from cold.
        ks: Lengths of the lists.
    """
    columns = [(metric, k) for metric in METRICS for k in ks]
    for part in slices_of(case, data):
        hits = ranked_hits([rankings[row] for row in part.rows], part.relevant, max(ks))
        num_relevant = np.array([len(items) for items in part.relevant], dtype=np.int64)
        values = np.stack([METRICS[metric](hits, num_relevant, k) for metric, k in columns], axis=1)
        interval = mean_intervals(values, seed=BOOTSTRAP_SEED)
        user_ids = [case.users[row].user_id for row in part.rows]
        for column, (metric, k) in enumerate(columns):
            row = Row(
                channel=channel,
                candidates=case.candidates.name,
                slice=part.name,
                metric=metric,
                k=k,
                value=float(interval.means[column]),
                low=float(interval.low[column]),
                high=float(interval.high[column]),
                users=len(user_ids),
            )
            yield row, _per_user(row, user_ids, values[:, column].tolist())


def _per_user(row: Row, user_ids: Sequence[str], values: Sequence[float]) -> pl.DataFrame:
    facts = (row.channel, row.candidates, row.slice, row.metric, row.k)
    table = pl.DataFrame({USER_ID: user_ids, VALUE: values}, schema={USER_ID: pl.String, VALUE: pl.Float64})
    return table.select(*(pl.lit(fact).alias(name) for name, fact in zip(FIGURE, facts, strict=True)), USER_ID, VALUE)
