"""A small slice of the check of several servers, with the data and the model of a small demo."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_three_servers_of_which_two_are_killed_answer_as_one(check):
    report = check("check_servers.py", "--seconds", 2)
    assert report["kills"] >= 1
    assert report["acknowledged_writes"] > 20
    assert report["reads_with_min_sequence"] > 1000  # those of the end are 900
    assert [report[kind] for kind in ("stale_read", "lost_write", "resurrected_delete")] == [0, 0, 0]
    assert report["differences"] == []
