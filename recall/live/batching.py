"""Questions that wait at the same time, answered together.

    ask -> queue -> whoever comes while nobody leads, leads: answers all that wait -> the first of the others leads

An idle system answers a question in the thread that asks it, without any wait: a batch is what came while the one
before was being answered. Under load those who were answered together come back together, some of them a moment after
the first, who would be answered alone and the rest behind that one. So right behind a batch of several the next one
waits for as many, for as long as the batch took and no longer.

A question is answered by what is there after it was asked. Where a batch fails, each of its questions is answered again
by itself, so an error goes to the one whose it is and no other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from recall.errors import UnavailableError

_WAIT_SHARE = 1.0
"""Of the time of a batch: how long the next one waits for those who were in it."""

_QuestionT = TypeVar("_QuestionT")
_AnswerT = TypeVar("_AnswerT")


class _Waiting(Generic[_QuestionT, _AnswerT]):
    """One question until it is answered. `called` is held until it is, or until its thread is to lead."""

    __slots__ = ("answers", "called", "error", "question")

    def __init__(self, question: _QuestionT) -> None:
        self.question = question
        self.answers: Sequence[_AnswerT] = ()
        self.error: BaseException | None = None
        self.called = threading.Lock()  # a third of the cost of an event
        self.called.acquire()

    @property
    def is_done(self) -> bool:
        return self.error is not None or bool(self.answers)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Size of a batch, how long it took, and when it ended."""

    size: int
    seconds: float
    end: float


class Batching(Generic[_QuestionT, _AnswerT]):
    """Answers questions of any number of threads, many at once. Safe to call from any thread."""

    def __init__(self, answer: Callable[[Sequence[_QuestionT]], Sequence[_AnswerT]], *, most: int) -> None:
        """Takes what answers.

        Args:
            answer: Returns one answer a question, in their order; called by one thread at a time.
            most: Questions of one call, at most.
        """
        self._answer = answer
        self._most = most
        self._queue: deque[_Waiting[_QuestionT, _AnswerT]] = deque()
        self._lock = threading.Lock()
        self._leader: _Waiting[_QuestionT, _AnswerT] | None = None  # the first of the queue, or of those it answers
        self._num_awaited = 0
        self._enough = threading.Lock()  # held until there are as many as are awaited
        self._enough.acquire()
        self._last = _Batch(size=0, seconds=0.0, end=0.0)

    def ask(self, question: _QuestionT) -> _AnswerT:
        """Returns the answer to a question, or raises what `answer` raises for it alone.

        Raises:
            UnavailableError: The thread that answered for this one was interrupted.
        """
        own: _Waiting[_QuestionT, _AnswerT] = _Waiting(question)
        with self._lock:
            self._queue.append(own)
            waits = self._leader is not None
            self._leader = self._leader or own
            if 0 < self._num_awaited <= len(self._queue):
                self._num_awaited = 0
                self._enough.release()
        try:
            if waits:
                own.called.acquire()
            if not own.is_done:
                self._lead(own)
        finally:
            if self._leader is own or not own.is_done:  # interrupted
                self._leave(own)
        if own.error is not None:
            raise own.error
        return own.answers[0]

    def _lead(self, own: _Waiting[_QuestionT, _AnswerT]) -> None:
        """Answers the first questions of the queue, `own` the very first of them."""
        self._wait_for_company()
        start = time.perf_counter()
        with self._lock:
            group = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
        try:
            self._answer_group(group)
        finally:
            end = time.perf_counter()
            self._last = _Batch(size=len(group), seconds=end - start, end=end)
            self._leave(own)  # the next batch need not wait for these threads
            for waiting in group:
                if not waiting.is_done:
                    waiting.error = UnavailableError("the answering thread was interrupted; send the call again")
                if waiting is not own:
                    waiting.called.release()

    def _wait_for_company(self) -> None:
        """Waits for as many as the last batch had, as long as they may be on their way back."""
        last = self._last
        if last.size <= 1 or time.perf_counter() - last.end > last.seconds:
            return
        with self._lock:
            if len(self._queue) >= last.size:
                return
            self._num_awaited = last.size
        if not self._enough.acquire(timeout=_WAIT_SHARE * last.seconds):
            with self._lock:
                if self._num_awaited == 0:  # there were enough at the last moment
                    self._enough.acquire()
                self._num_awaited = 0

    def _answer_group(self, group: Sequence[_Waiting[_QuestionT, _AnswerT]]) -> None:
        try:
            answers = self._answer([waiting.question for waiting in group])
        except Exception as error:  # goes to those who wait for it
            if len(group) == 1:
                group[0].error = error
            else:  # find out whose it is
                for waiting in group:
                    self._answer_group([waiting])
            return
        for place, waiting in enumerate(group):
            waiting.answers = answers[place : place + 1]

    def _leave(self, own: _Waiting[_QuestionT, _AnswerT]) -> None:
        """Lets the first that waits lead in the place of `own`, which waits no more."""
        with self._lock:
            if own in self._queue:
                self._queue.remove(own)
            if self._leader is own:
                self._leader = self._queue[0] if self._queue else None
                if self._leader is not None:
                    self._leader.called.release()
