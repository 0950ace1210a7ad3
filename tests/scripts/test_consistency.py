"""Histories made by hand: what one catalogue can give passes, and each way to be wrong is found by its name."""

from __future__ import annotations

import itertools

import pytest

from consistency import Kind, problems
from history import ABSENT, PRESENT, UNKNOWN, History, Read, Write

OLD = {"topic": "old"}


@pytest.fixture
def history():
    """Item a is stored in version 1, item b is not."""
    return History({"a": OLD, "b": None})


def write(history, time, sequence, **versions):
    """Server one acknowledges a write that took the second before `time`."""
    at = {"server": "one", "start": time - 1, "end": time}
    history.add_write(Write(**at, sequence=sequence, count=len(versions), versions=versions))


def read(history, time, sequence, *, server="two", asked=0, **seen):
    at = {"server": server, "start": time - 0.5, "end": time}
    history.add_read(Read(**at, min_sequence=asked, sequence=sequence, seen=seen))


def kinds(history):
    return [problem.kind for problem in problems(history)]


def test_a_history_of_one_catalogue_is_right(history):
    read(history, 1, 0, a=1, b=ABSENT)
    write(history, 10, 1, a=2)
    read(history, 9.8, 0, a=2)  # sent, not acknowledged yet
    read(history, 9.9, 0, server="three", a=1)  # and not there yet
    read(history, 11, 1, asked=1, a=2)
    read(history, 11, 0, server="three", a=1)  # nobody asked it for more
    write(history, 20, 3, a=ABSENT, b=1)
    read(history, 21, 3, asked=3, a=ABSENT, b=PRESENT)
    assert problems(history) == []
    assert history.last_sequence == 3


@pytest.mark.parametrize("seen", [1, ABSENT])
def test_a_stale_read_is_found_where_another_shows_the_write(history, seen):
    write(history, 5, 1, b=1)
    write(history, 6, 2, b=ABSENT)
    write(history, 10, 3, b=2)
    read(history, 11, 3, b=2)
    read(history, 12, 3, server="three", b=seen)
    assert kinds(history) == [Kind.STALE_READ]


@pytest.mark.parametrize(("before", "seen"), [(None, 1), (ABSENT, ABSENT), (ABSENT, 1)])
def test_a_write_that_no_answer_shows_is_lost(history, before, seen):
    if before is not None:
        write(history, 5, 1, a=before)
    write(history, 10, 2, a=2)
    read(history, 11, 2, a=seen)
    read(history, 12, 2, server="three", a=seen)
    assert kinds(history) == [Kind.LOST_WRITE] * 2


def test_an_item_that_is_missing_though_nobody_deleted_it_is_lost(history):
    read(history, 1, 0, a=PRESENT)
    read(history, 2, 0, a=ABSENT)
    assert kinds(history) == [Kind.LOST_WRITE]


@pytest.mark.parametrize("seen", [1, 2, PRESENT])
def test_a_deleted_item_that_is_back_is_found(history, seen):
    write(history, 5, 1, a=2)
    write(history, 10, 2, a=ABSENT)
    read(history, 11, 2, a=ABSENT)
    read(history, 12, 2, a=seen)
    assert kinds(history) == [Kind.RESURRECTED_DELETE]


@pytest.mark.parametrize("seen", [2, UNKNOWN])
def test_what_nobody_had_sent_yet_is_found(history, seen):
    read(history, 8, 0, a=seen)
    write(history, 10, 1, a=2)
    assert kinds(history) == [Kind.NEVER_WRITTEN]


def test_an_answer_that_reflects_less_than_it_was_asked_to_is_stale(history):
    write(history, 10, 1, a=2)
    read(history, 11, 0, asked=1, a=1)
    assert kinds(history) == [Kind.STALE_READ]


def test_an_answer_that_reflects_less_than_an_earlier_one_of_the_server_is_stale(history):
    write(history, 10, 1, a=2)
    read(history, 11, 0, server="two", a=1)
    assert kinds(history) == []
    read(history, 11, 0, server="one", a=1)  # this one had acknowledged the write
    assert kinds(history) == [Kind.STALE_READ]


def test_an_answer_that_names_no_write_must_show_what_was_asked_for(history):
    write(history, 10, 2, a=2, b=1)
    read(history, 11, None, a=1)
    assert kinds(history) == []
    read(history, 12, None, asked=2, b=ABSENT)
    read(history, 13, 2, asked=2, b=1)
    assert kinds(history) == [Kind.STALE_READ]


def test_answers_under_way_at_once_may_come_in_any_order(history):
    write(history, 10, 1, a=2)
    read(history, 10.4, 0, server="one", a=1)  # asked before the acknowledgement had come
    assert kinds(history) == []


@pytest.mark.parametrize("times", list(itertools.permutations((10, 20, 30))))
def test_numbers_must_be_in_the_order_of_time(history, times):
    for number, time in enumerate(times, start=1):
        write(history, time, number, a=number + 1)
    assert (Kind.WRONG_ORDER in kinds(history)) is (list(times) != sorted(times))


def test_one_number_taken_twice_is_found(history):
    write(history, 10, 2, a=2, b=1)
    write(history, 10, 2, b=2)
    assert Kind.WRONG_ORDER in kinds(history)


def test_a_deletion_that_found_less_than_was_written_says_that_a_write_is_lost(history):
    write(history, 5, 1, b=1)
    history.add_write(Write(server="one", start=9, end=10, sequence=2, count=1, versions={"a": ABSENT, "b": ABSENT}))
    assert kinds(history) == [Kind.LOST_WRITE]


def test_a_deletion_of_nothing_takes_no_number(history):
    history.add_write(Write(server="one", start=3, end=3.5, sequence=0, count=0, versions={"b": ABSENT}))
    history.add_write(Write(server="one", start=4.1, end=4.9, sequence=1, count=0, versions={"b": ABSENT}))
    write(history, 5, 1, a=2)
    write(history, 15, 2, b=1)
    read(history, 16, 2, a=2, b=1)
    assert problems(history) == []


def test_versions_are_told_apart_by_their_features(history):
    assert history.versions({"a": {"topic": "new"}, "b": None}) == {"a": 2, "b": ABSENT}
    assert [history.version_of("a", {"topic": text}) for text in ("old", "new", "odd")] == [1, 2, UNKNOWN]
    assert history.version_of("b", OLD) == UNKNOWN
