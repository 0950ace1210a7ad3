"""The comparison behind `index.tune`: kinds enter one after another, the best so far is kept, the rest is let go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from index.errors import MissingBackendError
from index.flat import FlatIndex
from index.kinds import BaseIndex, build_kind
from index.protocols import Parameters
from index.tune_grid import GRIDS, Setting, least_bytes
from index.tune_sample import Measured, Sample, measure, measure_exact, time_over
from index.tune_trial import Goal, Trial, Tuned, in_megabytes

_CLEARLY = 1.5
"""Times differ by less than that for other reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contender:
    """An index that was measured, with its place among the trials."""

    index: BaseIndex
    measured: Measured
    resident_bytes: int
    reached: bool
    is_slow: bool
    place: int


class Contest:
    """Kinds measured on one sample towards one goal."""

    def __init__(self, exact: FlatIndex, goal: Goal, sample: Sample, *, may_be_exact: bool) -> None:
        """Starts without contenders.

        Args:
            exact: Over the vectors that every kind is built over.
            goal: What to reach.
            sample: What to measure with.
            may_be_exact: Whether exact search may be chosen; then none is looked at that is clearly slower.
        """
        self._exact, self._goal, self._sample = exact, goal, sample
        self._exact_measured = measure_exact(exact, sample)
        self._may_be_exact = may_be_exact and goal.fits(self._least_bytes("flat", {}))
        self._best: _Contender | None = None
        self._smallest: tuple[int, str, Setting] | None = None
        self._kept_out = False
        self._tried: list[Trial] = []

    def enter(self, kind: str, *, named: bool) -> None:
        """Builds and measures a kind, as far as the budget allows.

        Args:
            kind: One of `GRIDS`.
            named: Whether the caller asked for this kind.
        """
        if GRIDS[kind].saves_memory and not (named or self._kept_out):
            self._note(kind, {}, "not tried: it is there to save memory, and the budget keeps no larger kind out")
            return
        least_missed: int | None = None
        for build in GRIDS[kind].builds(self._goal.target_recall, self._goal.k):
            needed = self._least_bytes(kind, build)
            if not self._goal.fits(needed):
                self._over_budget(kind, build, needed, build_seconds=0.0)
            elif least_missed is not None and needed < least_missed:
                self._note(kind, build, "not tried: a larger build of this kind missed the target")
            else:
                contender = self._built(kind, build)
                if contender is None:
                    continue
                if contender.reached or contender.is_slow:
                    return
                least_missed = max(needed, least_missed or 0)

    def decided(self) -> Tuned:
        """Returns the best, and says what is missing where it does not reach the goal."""
        best = self._best or self._beyond_budget()
        fits = self._goal.fits(best.resident_bytes)
        what = self._named(best)
        target = f"recall@{self._goal.k} {self._goal.target_recall:g}"
        wanted = f"{target} with {self._goal.budget()}"
        if best.reached and fits:
            message, verdict = (
                f"{what}: the fastest that reaches {wanted}",
                "chosen: the fastest that reaches the target",
            )
        elif fits:
            cure = "raise the memory budget" if self._kept_out else "lower the target, or allow more kinds"
            message = f"nothing reaches {wanted}; the best that does fit is {what}: {cure}"
            verdict = "chosen: it misses the target, by less than the others that fit"
        else:
            cure = "raise the memory budget, or train a model of fewer dimensions"
            message = f"nothing fits {self._goal.budget()} ({target} is wanted too); the smallest is {what}: {cure}"
            verdict = "chosen: over the budget, by less than the others"
        self._tried[best.place] = replace(self._tried[best.place], verdict=verdict)
        return Tuned(
            index=best.index,
            goal=self._goal,
            recall=best.measured.recall,
            reached=best.reached and fits,
            message=message,
            tried=tuple(self._tried),
        )

    def _built(self, kind: str, build: Setting) -> _Contender | None:
        """Builds and measures; None where it cannot be built or is over the budget."""
        started = time.perf_counter()
        try:
            index = self._made(kind, build)
        except MissingBackendError as error:
            self._note(kind, build, f"not tried: {error}")
            return None
        seconds = time.perf_counter() - started
        if not self._goal.fits(index.resident_bytes()):
            self._over_budget(kind, build, index.resident_bytes(), build_seconds=seconds)
            return None
        contender = self._climbed(index, seconds)
        if self._best is None or self._is_better(contender, self._best):
            self._best = contender
        return contender

    def _climbed(self, index: BaseIndex, build_seconds: float) -> _Contender:
        """Finds the first setting of the ladder that reaches the target, or the one that comes nearest."""
        if index is self._exact:
            return self._contender(index, self._exact_measured, build_seconds)
        ladder = GRIDS[index.kind].ladder(index, self._goal.k)
        seen: dict[int, _Contender] = {}

        def reaches(step: int) -> bool:
            tuned = index.retuned(**ladder[step])
            seen[step] = self._contender(tuned, measure(tuned, self._sample), build_seconds)
            return seen[step].reached

        step = first_that(reaches, len(ladder), unless=lambda step: seen[step].is_slow)
        return seen[step] if step is not None else max(seen.values(), key=lambda found: found.measured.sure_recall)

    def _is_slow(self, index: BaseIndex, measured: Measured) -> bool:
        """Returns whether exact search, where it may be chosen, is clearly faster."""
        if not self._may_be_exact or measured.microseconds < self._exact_measured.microseconds:
            return False
        return time_over(index, self._exact, self._sample) > _CLEARLY

    def _contender(self, index: BaseIndex, measured: Measured, build_seconds: float) -> _Contender:
        reached = measured.sure_recall >= self._goal.target_recall
        is_slow = not reached and self._is_slow(index, measured)
        trial = Trial(
            kind=index.kind,
            parameters=index.parameters(),
            recall=measured.recall,
            microseconds=measured.microseconds,
            resident_bytes=index.resident_bytes(),
            build_seconds=build_seconds,
            verdict=self._verdict(measured, reached=reached, is_slow=is_slow),
        )
        self._tried.append(trial)
        place = len(self._tried) - 1
        return _Contender(
            index=index,
            measured=measured,
            resident_bytes=trial.resident_bytes,
            reached=reached,
            is_slow=is_slow,
            place=place,
        )

    def _verdict(self, measured: Measured, *, reached: bool, is_slow: bool) -> str:
        if reached:
            return "reaches the target"
        why = "within the noise of the sample" if measured.recall >= self._goal.target_recall else "too low"
        return f"misses the target: recall is {why}" + (", and exact search is faster" if is_slow else "")

    def _is_better(self, one: _Contender, other: _Contender) -> bool:
        if one.reached and other.reached:
            return time_over(one.index, other.index, self._sample) < 1.0
        if one.reached or other.reached:
            return one.reached
        return one.measured.sure_recall > other.measured.sure_recall

    def _over_budget(self, kind: str, build: Setting, num_bytes: int, *, build_seconds: float) -> None:
        self._kept_out = True
        if self._smallest is None or num_bytes < self._smallest[0]:
            self._smallest = (num_bytes, kind, build)
        verdict = "over the budget" if build_seconds else "not built: over the budget"
        trial = self._unmeasured(kind, build, f"{verdict} of {in_megabytes(self._goal.memory_budget_bytes or 0)}")
        self._tried.append(replace(trial, resident_bytes=num_bytes, build_seconds=build_seconds))

    def _beyond_budget(self) -> _Contender:
        """Builds the smallest, where nothing fits."""
        _, kind, build = self._smallest or (0, "flat", {})
        started = time.perf_counter()
        index = self._made(kind, build)
        return self._climbed(index, time.perf_counter() - started)

    def _made(self, kind: str, build: Setting) -> BaseIndex:
        if kind == "flat":
            return self._exact
        return build_kind(kind, self._exact.vectors, build, queries=self._sample.queries)

    def _note(self, kind: str, build: Setting, verdict: str) -> None:
        self._tried.append(self._unmeasured(kind, build, verdict))

    def _unmeasured(self, kind: str, build: Setting, verdict: str) -> Trial:
        parameters: Parameters = {**build}
        return Trial(kind=kind, parameters=parameters, resident_bytes=self._least_bytes(kind, build), verdict=verdict)

    def _least_bytes(self, kind: str, build: Setting) -> int:
        return least_bytes(kind, self._exact.num_rows, self._exact.dim, build)

    def _named(self, found: _Contender) -> str:
        measured = found.measured
        return (
            f"{found.index.kind} with recall {measured.recall:.4f}, {in_megabytes(found.resident_bytes)} and "
            f"{measured.microseconds:,.0f} microseconds a query"
        )


def first_that(holds: Callable[[int], bool], num_steps: int, *, unless: Callable[[int], bool]) -> int | None:
    """Returns the first of the steps 0 to `num_steps` - 1 that holds, None if none does.

    Steps are tried at distances that double, then between the last that failed and the first that held by bisection.

    Args:
        holds: Whether a step holds; once it does, later ones do.
        num_steps: At least 1.
        unless: Whether to give up after a step that failed.
    """
    failed, step, stride = -1, 0, 1
    while not holds(step):
        if step == num_steps - 1 or unless(step):
            return None
        failed, step = step, min(step + stride, num_steps - 1)
        stride *= 2
    held = step
    while held - failed > 1:
        middle = (failed + held) // 2
        if holds(middle):
            held = middle
        else:
            failed = middle
    return held
