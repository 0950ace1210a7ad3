"""Parameters from a goal: the fastest kind, and its parameters, that reach a recall on given data within a budget.

Nothing is guessed that can be measured: each kind is built over the data itself, and searched one query at a time
along its ladder of search-time settings (`index.tune_grid`), by galloping and then bisection, since recall rises along
a ladder but for noise. A setting counts as reaching the target where what it found, less two standard errors, does
(`index.tune_sample`), so that other queries are answered as well as those of the sample. Kinds that cannot fit the
budget are left out before they are built. Two that reach the target are timed in turns.

Searching costs little beside building: a sample of 256 queries, some ten settings a build, and none beyond the first
that is clearly slower than exact search, where that may be chosen.

Below `EXACT_ROWS` rows, exact search takes a fraction of a millisecond, and nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.checks import check_queries
from index.errors import InvalidIndexConfigError
from index.flat import FlatIndex
from index.protocols import FloatArray
from index.tune_contest import Contest
from index.tune_grid import GRIDS, least_bytes
from index.tune_sample import Sample, given_sample, made_sample
from index.tune_trial import Goal, Trial, Tuned

EXACT_ROWS = 20_000
"""Below this exact search takes a fraction of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """How tuning measures.

    Attributes:
        queries: [num_queries, dim] float32, as they will be asked, such as user vectors; None makes some near rows.
        kinds: Kinds to choose from; None takes all of `index.tune_grid.GRIDS`.
        seed: Of which rows and queries are drawn.
    """

    queries: FloatArray | None = None
    kinds: Sequence[str] | None = None
    seed: int = 0


def tune(
    vectors: FloatArray,
    *,
    target_recall: float = 0.98,
    k: int = 100,
    memory_budget_bytes: int | None = None,
    options: TuneOptions | None = None,
) -> Tuned:
    """Builds the fastest index whose recall reaches a target and whose bytes fit a budget.

    Where none does, it is the one that fits with the greatest recall, and `reached` and `message` say so.

    Args:
        vectors: [num_rows, dim] float32 of about equal length; kept, may be a memory map.
        target_recall: Share of the k nearest neighbors by exact search that a search should find, above 0, at most 1.
        k: Neighbors asked for.
        memory_budget_bytes: Most bytes that the index may keep in memory; None sets no limit. Building takes more.
        options: None means the defaults.

    Raises:
        InvalidIndexConfigError: An argument is out of range, or a kind is unknown.
        InvalidVectorError: A vector or query is not finite, or a query has another dimension.
    """
    options = options or TuneOptions()
    _check(target_recall, k, memory_budget_bytes, options.kinds)
    exact = FlatIndex(vectors)
    goal = Goal(target_recall=target_recall, k=min(k, max(exact.num_rows, 1)), memory_budget_bytes=memory_budget_bytes)
    num_bytes = least_bytes("flat", exact.num_rows, exact.dim, {})
    is_small = exact.num_rows < EXACT_ROWS and options.kinds is None and goal.fits(num_bytes)
    if is_small or not exact.num_rows:
        return _unmeasured(exact, goal, num_bytes)
    kinds = tuple(GRIDS) if options.kinds is None else options.kinds
    contest = Contest(exact, goal, _sample(exact, goal.k, options), may_be_exact="flat" in kinds)
    for kind in GRIDS:
        if kind in kinds:
            contest.enter(kind, named=options.kinds is not None)
    return contest.decided()


def _unmeasured(exact: FlatIndex, goal: Goal, num_bytes: int) -> Tuned:
    why = f"{exact.num_rows:,} rows are fewer than {EXACT_ROWS:,}: exact search takes a fraction of a millisecond"
    trial = Trial(kind="flat", parameters={}, recall=1.0, resident_bytes=num_bytes, verdict=f"chosen unmeasured: {why}")
    return Tuned(index=exact, goal=goal, recall=1.0, reached=True, message=f"flat: {why}", tried=(trial,))


def _sample(exact: FlatIndex, k: int, options: TuneOptions) -> Sample:
    if options.queries is None:
        return made_sample(exact, k=k, seed=options.seed)
    queries = check_queries(options.queries, k, dim=exact.dim)
    if not len(queries):
        raise InvalidIndexConfigError("queries has no row; give at least one, or None to have some made")
    return given_sample(exact, queries, k=k, seed=options.seed)


def _check(target_recall: float, k: int, memory_budget_bytes: int | None, kinds: Sequence[str] | None) -> None:
    if not 0 < target_recall <= 1:
        raise InvalidIndexConfigError(f"target_recall is {target_recall}; want above 0, at most 1")
    if k < 1:
        raise InvalidIndexConfigError(f"k is {k}; want at least 1")
    if memory_budget_bytes is not None and memory_budget_bytes < 1:
        raise InvalidIndexConfigError(
            f"memory_budget_bytes is {memory_budget_bytes}; want at least 1, or None for none"
        )
    unknown = [] if kinds is None else [kind for kind in kinds if kind not in GRIDS]
    if unknown or (kinds is not None and not kinds):
        raise InvalidIndexConfigError(f"kinds is {list(kinds or ())}; want some of {', '.join(GRIDS)}")
