"""The recall audit: a sample of live recalls is answered exactly too, and the share found by both kept.

A sampled recall is answered from one moment of the index (`LiveIndex.frozen`), with its user as stored then and the
items available then. The exact answer comes later, in a background thread, from that same moment, user and second; so
what is written, expires or is recorded in between is in neither answer, and the two differ by what the index missed
alone. Recalls that never touch the approximate index say nothing about it and are left out: those asked to be exact or
given an allow-list, those that name channels, and those answered from popularity.

The audit never delays a recall: it runs at low priority, within a stated share of the time, and while its queue is full
samples are dropped. Its figures are of the present base; a switch or a merge begins anew.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.protocols import VectorIndex
from recall.bootstrap import mean_intervals
from recall.errors import text_for_logs
from recall.live.audit_figures import LEAST_AUDITED, AuditFigures
from recall.live.config import ServeConfig
from recall.live.generation import Generation
from recall.live.periodic import LOW_PRIORITY, Periodic
from recall.live.query import AnsweredFrom, RecallQuery, Result
from recall.live.retriever import Retriever
from recall.live.watcher import FAILURES

_logger = logging.getLogger(__name__)

MAX_WAITING = 16
"""Sampled recalls that wait for their exact answer; each holds one moment of the index in memory."""
_INTERVAL_SECONDS = 0.5
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """A recall to be answered exactly.

    Attributes:
        query: As asked.
        served: What was returned.
        generation: What it was answered from, as it was then.
        retriever: Sees the user and the time as they were then.
    """

    query: RecallQuery
    served: Result
    generation: Generation
    retriever: Retriever


class RecallAudit:
    """Samples recalls, answers them exactly and keeps count; in a thread of its own once `start` is called."""

    def __init__(self, generation: Callable[[], Generation], config: ServeConfig, *, seed: int = 0) -> None:
        """Takes where to find what is served now, how much to audit, and what the sampling draws from."""
        self._generation = generation
        self._config = config
        self._random = random.Random(seed)
        self._waiting: deque[_Sample] = deque()
        self._base: VectorIndex | None = None
        self._shares: deque[float] = deque(maxlen=config.audit_window)
        self._num_audited = 0
        self._figures: AuditFigures | None = None
        self._credit_seconds = 0.0
        self._looked_at = time.perf_counter()
        self._error = ""
        self._was_low = False
        self._closed = False
        self._thread: Periodic | None = None

    @property
    def figures(self) -> AuditFigures | None:
        """What the last audits of the base that is served now found; None before the first of them."""
        return self._figures if self._base is self._generation().index.base else None

    @property
    def is_low(self) -> bool:
        """Whether the audited recall is below `audit_floor`, chance left aside."""
        return self._is_below_floor(self.figures)

    def start(self) -> None:
        """Begins to answer what was sampled; where nothing ever is, there is no thread."""
        if self._config.audit_share:
            self._thread = Periodic(
                self.look, interval_seconds=_INTERVAL_SECONDS, name="recall-audit", niceness=LOW_PRIORITY
            )

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; waits that long for an answer under way."""
        self._closed = True
        if self._thread is not None:
            self._thread.close(timeout_seconds=timeout_seconds)

    def answered(
        self, retriever: Retriever, generation: Generation, queries: Sequence[RecallQuery], *, path: str = ""
    ) -> list[Result]:
        """Returns what `Retriever.recall` does, and samples it."""
        chosen = [place for place, query in enumerate(queries) if self._is_chosen(query)]
        if not chosen or len(self._waiting) >= MAX_WAITING:
            return retriever.recall(generation, queries, path=path)
        moment = generation.at_one_moment()
        held = retriever.at_one_moment()
        results = held.recall(moment, queries, path=path)
        for place in chosen:
            self._offer(_Sample(query=queries[place], served=results[place], generation=moment, retriever=held))
        return results

    def look(self) -> None:
        """Answers what waits, as far as there is time for it; has one caller at a time."""
        self._begin_anew_where_switched()
        self._take_credit()
        num_before = self._num_audited
        while self._waiting and self._credit_seconds > 0 and not self._closed:
            start = time.perf_counter()
            self._check(self._waiting.popleft())
            self._credit_seconds -= time.perf_counter() - start
        if self._num_audited > num_before:
            start = time.perf_counter()
            self._figures = self._counted()
            self._note_floor(self._figures)
            self._credit_seconds -= time.perf_counter() - start

    def _is_below_floor(self, figures: AuditFigures | None) -> bool:
        return figures is not None and figures.num_recalls >= LEAST_AUDITED and figures.high < self._config.audit_floor

    def _note_floor(self, figures: AuditFigures) -> None:
        """Says once that the recall fell below its floor, and once that it is back."""
        is_low = self._is_below_floor(figures)
        if is_low and not self._was_low:
            seen = f"{figures.recall:.3f} over {figures.num_recalls} recalls, at most {figures.high:.3f}"
            floor = self._config.audit_floor
            _logger.warning("the audited recall is %s, below audit_floor = %g: rebuild the index", seen, floor)
        elif self._was_low and not is_low:
            _logger.info("the audited recall is %.3f again", figures.recall)
        self._was_low = is_low

    def _is_chosen(self, query: RecallQuery) -> bool:
        if not self._config.audit_share or query.exact or query.candidates is not None or query.channels:
            return False
        return self._random.random() < self._config.audit_share

    def _offer(self, sample: _Sample) -> None:
        if sample.served.answered_from is not AnsweredFrom.POPULARITY and len(self._waiting) < MAX_WAITING:
            self._waiting.append(sample)

    def _begin_anew_where_switched(self) -> None:
        base = self._generation().index.base
        if base is not self._base:
            self._base, self._figures = base, None
            self._shares.clear()
        for _ in range(len(self._waiting)):  # what is left of another base would hold that in memory
            sample = self._waiting.popleft()
            if sample.generation.index.base is base:
                self._waiting.append(sample)

    def _take_credit(self) -> None:
        """Adds the share of the time since the last look; time that was not used is not saved up beyond a second."""
        now, share = time.perf_counter(), self._config.audit_time_share
        self._credit_seconds = min(share, self._credit_seconds + share * (now - self._looked_at))
        self._looked_at = now

    def _check(self, sample: _Sample) -> None:
        try:
            exact = sample.retriever.recall(sample.generation, [replace(sample.query, exact=True)])[0]
        except FAILURES as error:
            if str(error) != self._error:
                _logger.error("a recall cannot be audited: %s", text_for_logs(error))
            self._error = str(error)
            return
        self._error = ""
        if exact.item_ids:
            self._shares.append(share_returned(sample.served, exact))
            self._num_audited += 1

    def _counted(self) -> AuditFigures:
        found = mean_intervals(np.array(self._shares, dtype=np.float64)[:, None], seed=_BOOTSTRAP_SEED)
        return AuditFigures(
            recall=float(found.means[0]),
            low=float(found.low[0]),
            high=float(found.high[0]),
            num_recalls=len(self._shares),
            num_audited=self._num_audited,
            last_time=time.time(),
        )


def share_returned(served: Result, exact: Result) -> float:
    """Returns the share of the exact results that were returned; an equal score is as good as the same item.

    Args:
        served: What was returned.
        exact: The truth, at least one item.
    """
    returned, wanted = frozenset(served.item_ids), frozenset(exact.item_ids)
    others = Counter(_scores_without(served, wanted))
    missing = Counter(_scores_without(exact, returned))
    return 1 - (missing - others).total() / len(exact.item_ids)


def _scores_without(result: Result, item_ids: frozenset[str]) -> list[float]:
    pairs = zip(result.item_ids, result.scores.tolist(), strict=True)
    return [score for item_id, score in pairs if item_id not in item_ids]
