"""The figures of a server beside those of its model offline, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.report import Report
from training.report import Row as Figure

TOLERANCE = 1e-3
"""Users that are embedded one by one are rounded otherwise than in a batch: near ties may change places."""

LIST_LENGTH = 20
"""How far lists are compared item by item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One report and, by channel, the first `LIST_LENGTH` items of each user."""

    report: Report
    lists: Mapping[str, Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of a server beside that of the channel `exact` offline."""

    candidates: str
    kind: str
    channel: str
    slice: str
    metric: str
    k: int
    users: int
    offline: float
    server: float
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One channel of one server.

    Attributes:
        must_agree: Whether the search is exhaustive, so that any difference is a fault.
        largest_difference: Of all figures of all slices, without its sign.
        same_lists: Share of users whose first `LIST_LENGTH` items are the same in the same order.
    """

    candidates: str
    kind: str
    channel: str
    must_agree: bool
    largest_difference: float
    same_lists: float

    @property
    def problem(self) -> str:
        """What is wrong, empty where nothing is."""
        if not self.must_agree or self.largest_difference <= TOLERANCE:
            return ""
        place = f"candidates {self.candidates}, index {self.kind}, channel {self.channel}"
        return (
            f"{place}: a figure is {self.largest_difference:.6f} from the offline one; at most {TOLERANCE} is rounding"
        )


def compared(offline: Evaluated, served: Evaluated, kind: str, channel: str) -> tuple[list[Row], Comparison]:
    """Returns one channel of a server, with an index of `kind`, beside the channel `exact` offline."""
    exact = {(row.slice, row.metric, row.k): row.value for row in offline.report.rows}
    rows = [
        _beside(row, exact[row.slice, row.metric, row.k], kind) for row in served.report.rows if row.channel == channel
    ]
    pairs = list(zip(offline.lists["exact"], served.lists[channel], strict=True))
    comparison = Comparison(
        candidates=rows[0].candidates,
        kind=kind,
        channel=channel,
        must_agree=channel == "exact" or kind == "flat",
        largest_difference=max(abs(row.difference) for row in rows),
        same_lists=sum(a == b for a, b in pairs) / len(pairs),
    )
    return rows, comparison


def _beside(served: Figure, offline: float, kind: str) -> Row:
    return Row(
        candidates=served.candidates,
        kind=kind,
        channel=served.channel,
        slice=served.slice,
        metric=served.metric,
        k=served.k,
        users=served.users,
        offline=offline,
        server=served.value,
        difference=served.value - offline,
    )
