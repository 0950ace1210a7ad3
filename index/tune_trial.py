"""What tuning tried and what it chose, as values."""

from __future__ import annotations

from dataclasses import dataclass

from index.kinds import BaseIndex
from index.protocols import Parameters

MEGABYTE = 1_000_000


def in_megabytes(num_bytes: int) -> str:
    """Returns a number of bytes in words."""
    value = num_bytes / MEGABYTE
    return f"{value:,.1f} MB" if value >= 1 else f"{value:.3g} MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What an index has to reach.

    Attributes:
        target_recall: Share of the k nearest neighbors by exact search that a search should find.
        k: Neighbors asked for.
        memory_budget_bytes: Most bytes that it may keep in memory; None sets no limit.
    """

    target_recall: float
    k: int
    memory_budget_bytes: int | None

    def fits(self, num_bytes: int) -> bool:
        """Returns whether so many bytes are within the budget."""
        return self.memory_budget_bytes is None or num_bytes <= self.memory_budget_bytes

    def budget(self) -> str:
        """Returns the budget in words."""
        if self.memory_budget_bytes is None:
            return "no memory budget"
        return f"a memory budget of {in_megabytes(self.memory_budget_bytes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One kind with one set of parameters, and what came of it.

    Attributes:
        kind: Name of the kind.
        parameters: Those of the build and of the search; of one that was not built, those of the build that were set.
        recall: Of the k true neighbors, measured; None where nothing was.
        microseconds: Time of a search of one query; None where nothing was measured.
        resident_bytes: Held in memory; of one that was not built, the least that it would take.
        build_seconds: Time of its build, which the settings of one build share; 0 where it was not built.
        verdict: What was concluded; that of the one chosen begins with `chosen`.
    """

    kind: str
    parameters: Parameters
    recall: float | None = None
    microseconds: float | None = None
    resident_bytes: int
    build_seconds: float = 0.0
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """An index and how it was chosen.

    Attributes:
        index: Built over all vectors, with the chosen parameters.
        goal: What was asked for.
        recall: Measured of `index`; 1 for exact search.
        reached: Whether target and budget are both kept.
        message: What was chosen; where the goal was not reached, what is missing and the cure.
        tried: In the order of trying.
    """

    index: BaseIndex
    goal: Goal
    recall: float
    reached: bool
    message: str
    tried: tuple[Trial, ...]

    @property
    def kind(self) -> str:
        """The kind chosen."""
        return self.index.kind

    def parameters(self) -> Parameters:
        """Returns the parameters chosen."""
        return self.index.parameters()
