"""Questions that wait are answered together, each gets its own answer or error, and nobody waits for company."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from recall.errors import InvalidRequestError, UnavailableError
from recall.live.batching import Batching
from recall.live.query import Channel, RecallQuery, joins
from recall.live.records import InteractionRecord

_SECONDS = 10.0


class Held:
    """Answers that stand still until they are let go, one batch at a time; `groups` is what came together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.came, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.raised: dict[int, BaseException] = {}

    def __call__(self, questions: Sequence[int]) -> list[int]:
        self.groups.append(list(questions))
        self.came.release()
        assert self.go.acquire(timeout=_SECONDS)
        for question in questions:
            if question in self.raised:
                raise self.raised[question]
        return [-question for question in questions]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as threads:
        yield threads


def _asked(
    batching: Batching[int, int], pool: ThreadPoolExecutor, until, questions: Sequence[int]
) -> list[Future[int]]:
    """Asks one after the other, so that they wait in this order."""
    futures = []
    for question in questions:
        num_waiting = len(batching._queue)
        futures.append(pool.submit(batching.ask, question))
        until(lambda seen=num_waiting: len(batching._queue) > seen)
    return futures


def _first(batching: Batching[int, int], pool: ThreadPoolExecutor, held: Held) -> Future[int]:
    """Asks 0, which is being answered when this returns."""
    first = pool.submit(batching.ask, 0)
    assert held.came.acquire(timeout=_SECONDS)
    return first


def test_an_idle_one_answers_in_the_thread_that_asks():
    seen: list[threading.Thread] = []

    def answer(questions: Sequence[int]) -> list[int]:
        seen.append(threading.current_thread())
        return list(questions)

    assert Batching(answer, most=8).ask(7) == 7
    assert seen == [threading.current_thread()]


def test_those_that_wait_are_answered_together_in_their_order(pool, until):
    held = Held()
    batching = Batching(held, most=4)
    first = _first(batching, pool, held)
    others = _asked(batching, pool, until, [1, 2, 3, 4, 5])
    for _ in range(3):
        held.go.release()
    assert first.result(_SECONDS) == 0
    assert [future.result(_SECONDS) for future in others] == [-1, -2, -3, -4, -5]
    assert held.groups == [[0], [1, 2, 3, 4], [5]]
    held.go.release()
    assert batching.ask(6) == -6  # nobody leads any more


def test_an_error_goes_to_the_one_whose_it_is(pool, until):
    held = Held()
    held.raised[2] = ValueError("of two")
    batching = Batching(held, most=8)
    first = _first(batching, pool, held)
    others = _asked(batching, pool, until, [1, 2, 3])
    for _ in range(5):
        held.go.release()
    assert first.result(_SECONDS) == 0
    with pytest.raises(ValueError, match="of two"):
        others[1].result(_SECONDS)
    assert [others[0].result(_SECONDS), others[2].result(_SECONDS)] == [-1, -3]
    assert held.groups == [[0], [1, 2, 3], [1], [2], [3]]


def test_an_interrupt_of_the_answering_thread_leaves_nobody_waiting(pool, until):
    held = Held()
    held.raised[1] = KeyboardInterrupt()
    batching = Batching(held, most=8)
    first = _first(batching, pool, held)
    others = _asked(batching, pool, until, [1, 2])
    for _ in range(2):
        held.go.release()
    assert first.result(_SECONDS) == 0
    with pytest.raises(KeyboardInterrupt):
        others[0].result(_SECONDS)
    with pytest.raises(UnavailableError, match="interrupted"):
        others[1].result(_SECONDS)
    held.go.release()
    assert batching.ask(3) == -3


def test_many_threads_get_their_own_answers(pool):
    sizes: list[int] = []

    def answer(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        if any(question % 97 == 0 for question in questions):
            raise ValueError(str(questions))
        return [question * 2 for question in questions]

    batching = Batching(answer, most=8)

    def ask(question: int) -> int:
        try:
            return batching.ask(question)
        except ValueError as error:
            return -1 if str(error) == f"[{question}]" else 0

    assert list(pool.map(ask, range(1, 2_000))) == [-1 if n % 97 == 0 else 2 * n for n in range(1, 2_000)]
    assert max(sizes) <= 8


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (RecallQuery(user_id="u"), True),
        (RecallQuery(user_id="u", limit=1_000), True),
        (RecallQuery(user_id="u", limit=1_001), False),
        (RecallQuery(user_id="u", exact=True), False),
        (RecallQuery(user_id="u", candidates=("a",)), False),
        (RecallQuery(user_id="u", channels=(Channel.SERVED,)), False),
    ],
)
def test_slow_queries_are_answered_by_themselves(query, expected):
    assert joins(query) is expected


def test_recalls_of_a_system_that_come_together_get_what_each_would_get_alone(deployment, catalog, make_item):
    topics = ("jazz", "rock", "folk", "pop")
    catalog.put_items([make_item(f"{topic}{n}", topic) for topic in topics for n in range(5)])
    events = [(f"u{n}", f"{topics[n % 4]}{n % 5}") for n in range(12)]
    catalog.add_interactions([InteractionRecord(user_id=u, item_id=i, timestamp=1) for u, i in events])
    deployment.rebuild()
    with deployment.serving() as system:
        queries = [RecallQuery(user_id=f"u{n}", limit=1 + n % 3, exclude_history=n % 2 == 0) for n in range(12)]
        queries += [RecallQuery(history=("jazz1", "folk0"), limit=4), RecallQuery(limit=2), RecallQuery(user_id="?")]
        wrong = RecallQuery(vector=np.zeros(3, dtype=np.float32), limit=2)
        alone = [system.recall(query) for query in queries]
        groups = _recorded_groups(system)
        together: list[object] = []
        with ThreadPoolExecutor(16) as pool:
            for _ in range(20):
                bad = pool.submit(system.recall, wrong)
                together = list(pool.map(system.recall, queries))
                with pytest.raises(InvalidRequestError, match="send 16 finite numbers"):
                    bad.result(_SECONDS)
                for one, result in zip(alone, together, strict=True):
                    assert result.item_ids == one.item_ids
                    np.testing.assert_array_equal(result.scores, one.scores)
                    assert (result.answered_from, result.short_reason) == (one.answered_from, one.short_reason)
    assert max(groups) > 1, "nothing ever came together"


def _recorded_groups(system) -> list[int]:
    groups: list[int] = []
    answered: Callable[..., list[object]] = system._joined._answer

    def recorded(queries):
        groups.append(len(queries))
        return answered(queries)

    system._joined._answer = recorded
    return groups


def test_a_recall_sees_what_was_written_before_it_was_asked(deployment, catalog, make_item):
    catalog.put_items([make_item(f"old{n}", "rock") for n in range(3)])
    deployment.rebuild()
    with deployment.serving() as system, ThreadPoolExecutor(8) as pool:

        def write_and_ask(n: int) -> None:
            system.upsert([make_item(f"new{n:03}", f"topic{n}")])
            found = system.recall(RecallQuery(history=(f"new{n:03}",), limit=1, exclude_history=False))
            assert found.item_ids == [f"new{n:03}"]

        list(pool.map(write_and_ask, range(100)))
