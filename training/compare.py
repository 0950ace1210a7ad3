"""Paired comparison of two evaluations by their values by user (`recall evaluate --per-user`).

For every figure that both sides hold, over the users that both hold: the mean of each side and the mean difference
B - A with its 95% paired bootstrap interval. Users are drawn once for both sides, so what makes a user easy or hard
for both cancels out; intervals of the single means do not have that and overlap far more often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.bootstrap import mean_intervals
from recall.errors import DataError
from recall.tables import USER_ID
from training.per_user import PerUserTable
from training.report import BOOTSTRAP_SEED, CHANNEL, FIGURE, VALUE

_KEYS = [name for name in FIGURE if name != CHANNEL]
_A, _B, _PLACE = "value of a", "value of b", "place of user"
_CASE = ["candidates", "slice"]
_EQUAL_WITHIN = 1e-9
"""Sums of the same terms in another order differ by less; the smallest step of a metric is far above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of both sides, over the users that both hold.

    Attributes:
        channel_a: Channel of A.
        channel_b: Channel of B; the same but where two channels are compared.
        candidates: What was ranked.
        slice: Part of the case.
        metric: Name of the metric.
        k: Length of the lists.
        mean_a: Mean of A.
        mean_b: Mean of B.
        difference: Mean of B - A.
        low: Lower end of the 95% paired bootstrap interval of the difference.
        high: Its upper end.
        better: Share of users for whom B is above A.
        worse: Share for whom it is below.
        equal: Share for whom they are the same.
        users: Users that both hold.
        only_a: Users that A alone holds, left out.
        only_b: Users that B alone holds, left out.
    """

    channel_a: str
    channel_b: str
    candidates: str
    slice: str
    metric: str
    k: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    better: float
    worse: float
    equal: float
    users: int
    only_a: int
    only_b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All differences, and what was left out.

    Attributes:
        a: Name of A.
        b: Name of B.
        rows: The differences, in the order of A.
        notices: What only one side holds, and other things to know, in words.
    """

    a: str
    b: str
    rows: tuple[Difference, ...]
    notices: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Returns the comparison in its JSON form."""
        return {"a": self.a, "b": self.b, "rows": [asdict(row) for row in self.rows], "notices": list(self.notices)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One channel of one file; `rows` without the column that names the channel."""

    file: Path
    channel: str
    rows: pl.DataFrame

    def users_by(self, columns: Sequence[str]) -> dict[tuple[object, ...], int]:
        """Returns how many users each combination of `columns` has, in file order."""
        counted = self.rows.group_by(columns, maintain_order=True).agg(pl.col(USER_ID).n_unique())
        return {row[:-1]: row[-1] for row in counted.iter_rows()}


def compare_files(a: Path, b: Path | None = None, *, channels: tuple[str, str] | None = None) -> Comparison:
    """Compares two files of values by user, or two channels of one or both.

    Args:
        a: File of A.
        b: File of B; None means that of A.
        channels: Channel of A and channel of B; None compares every channel of A with the same channel of B.

    Raises:
        DataError: A file is no table of values by user, a channel is absent, the files are of different parts of a
            split, or no figure and user is in both.
    """
    table_a = PerUserTable.read(a)
    table_b = table_a if b is None else PerUserTable.read(b)
    notices = _origin_notices(table_a, table_b)
    pairs = [channels] if channels is not None else [(name, name) for name in table_a.channels]
    rows: list[Difference] = []
    for channel_a, channel_b in pairs:
        if channels is None and channel_b not in table_b.channels:
            continue
        side_a = _Side(file=table_a.file, channel=channel_a, rows=table_a.of_channel(channel_a))
        side_b = _Side(file=table_b.file, channel=channel_b, rows=table_b.of_channel(channel_b))
        rows += _differences(side_a, side_b)
        notices += [*_figure_notices(side_a, side_b), *_figure_notices(side_b, side_a), *_user_notices(side_a, side_b)]
    if not rows:
        raise DataError(
            f"{table_a.file} ({_contents(table_a)}) and {table_b.file} ({_contents(table_b)}) have no figure of a user "
            f"in common; evaluate the same data, split, candidates and K, or name two channels"
        )
    if channels is None:
        notices += [*_channel_notices(table_a, table_b), *_channel_notices(table_b, table_a)]
    return Comparison(a=str(table_a.file), b=str(table_b.file), rows=tuple(rows), notices=tuple(notices))


def _differences(a: _Side, b: _Side) -> list[Difference]:
    """Returns the differences in the order of A."""
    keys = [*_KEYS, USER_ID]
    both = (
        a.rows.rename({VALUE: _A})
        .join(b.rows.rename({VALUE: _B}), on=keys, how="inner")
        .with_columns(pl.col(USER_ID).rank("dense").alias(_PLACE))
        .sort(_PLACE)
    )
    groups = both.partition_by(_KEYS, as_dict=True)
    users_a, users_b = a.users_by(_KEYS), b.users_by(_KEYS)
    shared = {key: groups[key] for key in users_a if key in groups}
    intervals = _intervals(shared)
    return [
        _difference(key, group, intervals[key], channels=(a.channel, b.channel), users=(users_a[key], users_b[key]))
        for key, group in shared.items()
    ]


def _intervals(groups: dict[tuple[object, ...], pl.DataFrame]) -> dict[tuple[object, ...], tuple[float, float]]:
    """Returns the interval of B - A of each group; groups of the same users are drawn for in one go."""
    alike: dict[bytes, list[tuple[object, ...]]] = {}
    for key, group in groups.items():
        alike.setdefault(group[_PLACE].to_numpy().tobytes(), []).append(key)
    found: dict[tuple[object, ...], tuple[float, float]] = {}
    for keys in alike.values():
        columns = np.stack([_values(groups[key])[1] - _values(groups[key])[0] for key in keys], axis=1)
        interval = mean_intervals(columns, seed=BOOTSTRAP_SEED)
        ends = zip(interval.low.tolist(), interval.high.tolist(), strict=True)
        found.update(zip(keys, ends, strict=True))
    return found


def _values(group: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return group[_A].to_numpy(), group[_B].to_numpy()


def _difference(
    key: tuple[object, ...],
    group: pl.DataFrame,
    interval: tuple[float, float],
    *,
    channels: tuple[str, str],
    users: tuple[int, int],
) -> Difference:
    candidates, slice_, metric, k = key
    a, b = _values(group)
    better, worse = b - a > _EQUAL_WITHIN, a - b > _EQUAL_WITHIN
    return Difference(
        channel_a=channels[0],
        channel_b=channels[1],
        candidates=str(candidates),
        slice=str(slice_),
        metric=str(metric),
        k=int(str(k)),
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float((b - a).mean()),
        low=interval[0],
        high=interval[1],
        better=float(better.mean()),
        worse=float(worse.mean()),
        equal=float((~better & ~worse).mean()),
        users=len(group),
        only_a=users[0] - len(group),
        only_b=users[1] - len(group),
    )


def _origin_notices(a: PerUserTable, b: PerUserTable) -> list[str]:
    """Refuses values of different parts of a split, and returns what else speaks against comparing."""
    parts = (a.origin.get("split"), b.origin.get("split"))
    if None not in parts and parts[0] != parts[1]:
        raise DataError(f"{a.file} is of the {parts[0]} part and {b.file} of the {parts[1]} part; evaluate one part")
    notices = []
    names = (a.origin.get("data"), b.origin.get("data"))
    if None not in names and names[0] != names[1]:
        notices.append(
            f"{a.file} is of the data {names[0]!r} and {b.file} of {names[1]!r}; are they the same users and items?"
        )
    lengths = (a.origin.get("history", "all"), b.origin.get("history", "all"))
    if lengths[0] != lengths[1]:
        notices.append(f"{a.file} keeps {lengths[0]} items of each history and {b.file} {lengths[1]}")
    return notices


def _channel_notices(a: PerUserTable, b: PerUserTable) -> Iterator[str]:
    only = [name for name in a.channels if name not in b.channels]
    if only:
        yield f"only {a.file} has {', '.join(only)}; left out"


def _figure_notices(a: _Side, b: _Side) -> Iterator[str]:
    theirs = b.users_by(_KEYS)
    only = [key for key in a.users_by(_KEYS) if key not in theirs]
    if only:
        shown = ", ".join(f"{metric}@{k} of {candidates}/{slice_}" for candidates, slice_, metric, k in only[:3])
        more = f" and {len(only) - 3} more" if len(only) > 3 else ""
        yield f"only {a.file}, channel {a.channel}, has {shown}{more}; left out"


def _user_notices(a: _Side, b: _Side) -> Iterator[str]:
    """Yields one line a candidate set and slice; where its figures differ in users, the greatest number counts."""
    users_b = b.users_by(_KEYS)
    both = a.rows.join(b.rows, on=[*_KEYS, USER_ID], how="semi")
    common = _Side(file=a.file, channel=a.channel, rows=both).users_by(_KEYS)
    left_out: dict[tuple[object, ...], tuple[int, int]] = {}
    for key, count in a.users_by(_KEYS).items():
        if key in users_b:
            only_a, only_b = left_out.get(key[:2], (0, 0))
            shared = common.get(key, 0)
            left_out[key[:2]] = max(only_a, count - shared), max(only_b, users_b[key] - shared)
    for (candidates, slice_), (only_a, only_b) in left_out.items():
        if only_a or only_b:
            channels = a.channel if a.channel == b.channel else f"{a.channel} -> {b.channel}"
            yield (
                f"{channels}, {candidates}/{slice_}: {only_a} users only in {a.file}, {only_b} only in {b.file}; "
                f"left out, so the means are not those of the reports"
            )


def _contents(table: PerUserTable) -> str:
    def shown(column: str) -> str:
        return ", ".join(str(value) for value in table.rows[column].unique(maintain_order=True).to_list()[:10])

    return f"channels {shown(CHANNEL)}; candidates {shown('candidates')}; k {shown('k')}"
