"""The lag of a server behind its catalogue, by a clock of our own."""

from __future__ import annotations

import pytest

from recall.live import lag as module
from recall.live.lag import Lag


@pytest.fixture
def seconds():
    return [100.0]


@pytest.fixture
def lag(seconds):
    return Lag(clock=lambda: seconds[0])


def test_lag_is_none_where_searches_reflect_every_write(lag):
    assert lag.note(committed=0, visible=0) == 0
    assert lag.note(committed=7, visible=7) == 0
    assert lag.note(committed=7, visible=8) == 0  # applied between the two reads
    assert lag.committed == 7


def test_lag_grows_from_the_first_look_that_saw_the_oldest_write_that_is_missing(lag, seconds):
    lag.note(committed=5, visible=5)
    seconds[0] = 101.0
    assert lag.note(committed=6, visible=5) == 0  # just seen
    seconds[0] = 103.0
    assert lag.note(committed=9, visible=5) == 2
    seconds[0] = 104.0
    assert lag.note(committed=9, visible=6) == 1  # 7 to 9 were first seen at 103
    assert lag.note(committed=9, visible=8) == 1
    assert lag.note(committed=9, visible=9) == 0


def test_a_server_that_keeps_pace_with_steady_writes_has_a_steady_lag(lag, seconds):
    for step in range(1, 50):
        seconds[0] += 1.0
        assert lag.note(committed=10 * step, visible=10 * (step - 2)) == min(step - 1, 1)


def test_notes_are_bounded_and_never_tell_too_little(lag, seconds, monkeypatch):
    monkeypatch.setattr(module, "_MAX_NOTES", 7)
    for step in range(1, 100):
        seconds[0] += 1.0
        assert lag.note(committed=step, visible=0) == step - 1
        assert len(lag._seen) <= 8
    assert lag.note(committed=99, visible=50) >= 48  # write 51 was seen 48 s ago


def test_status_tells_how_far_a_server_is_behind_the_writes_of_others(deployment, catalog, make_item, until):
    deployment.rebuild()
    with deployment.serving(follow_interval_seconds=60) as system:
        status = system.status()
        assert (status.sequence, status.catalog_sequence, status.lag_seconds) == (0, 0, 0)
        catalog.put_items([make_item("a", "jazz"), make_item("b", "jazz")])
        until(lambda: system.status().lag_seconds > 0)
        status = system.status()
        assert (status.sequence, status.catalog_sequence) == (0, 2)
        system.wait_for(2, timeout_seconds=10)
        status = system.status()
        assert (status.sequence, status.catalog_sequence, status.lag_seconds) == (2, 2, 0)
