from __future__ import annotations

import polars as pl
import pytest

from served_figures import Evaluated, compared
from training.report import Report, Row


def evaluated(channel, values, lists):
    rows = [
        Row(channel=channel, candidates="all", slice=part, metric="recall", k=20, value=value, low=0, high=1, users=4)
        for part, value in values.items()
    ]
    report = Report(model_id="m", data="d", split="test", history=None, rows=tuple(rows), per_user=pl.DataFrame())
    return Evaluated(report=report, lists={channel: lists})


OFFLINE = evaluated("exact", {"all": 0.5, "cold_items": 0.25}, [["a", "b"], ["a", "c"], ["b"], []])


def test_differences_are_those_of_the_server_from_offline_and_lists_count_by_user():
    served = evaluated("served", {"all": 0.5, "cold_items": 0.2}, [["a", "b"], ["c", "a"], ["b"], []])
    rows, comparison = compared(OFFLINE, served, "hnsw", "served")
    assert [(row.slice, row.offline, row.server) for row in rows] == [("all", 0.5, 0.5), ("cold_items", 0.25, 0.2)]
    assert [row.difference for row in rows] == pytest.approx([0.0, -0.05])
    assert comparison.largest_difference == pytest.approx(0.05)
    assert comparison.same_lists == 0.75


@pytest.mark.parametrize(
    ("kind", "channel", "value", "is_fault"),
    [
        ("hnsw", "served", 0.3, False),
        ("hnsw", "exact", 0.498, True),
        ("hnsw", "exact", 0.5009, False),
        ("flat", "served", 0.502, True),
        ("flat", "exact", 0.5, False),
    ],
)
def test_only_exhaustive_search_must_agree_up_to_rounding(kind, channel, value, is_fault):
    served = evaluated(channel, {"all": value}, [[], [], [], []])
    _, comparison = compared(OFFLINE, served, kind, channel)
    assert bool(comparison.problem) == is_fault
    if is_fault:
        assert comparison.problem.startswith(f"candidates all, index {kind}, channel {channel}: a figure is 0.002000")
