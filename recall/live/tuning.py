"""How the base index of a snapshot was chosen, as its manifest states it and `GetStatus` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # clients share these values, and load no index
    from index.tune_trial import Trial, Tuned


class TrialFacts(BaseModel):
    """One kind with one set of parameters, and what came of it; see `index.tune_trial.Trial`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    parameters: dict[str, int | float | str]
    recall: float | None
    microseconds: float | None
    resident_bytes: int
    build_seconds: float
    verdict: str

    @classmethod
    def of(cls, trial: Trial) -> TrialFacts:
        """Returns a trial with figures as exact as they are worth."""
        return cls(
            kind=trial.kind,
            parameters=trial.parameters,
            recall=None if trial.recall is None else round(trial.recall, 6),
            microseconds=None if trial.microseconds is None else round(trial.microseconds, 1),
            resident_bytes=trial.resident_bytes,
            build_seconds=round(trial.build_seconds, 3),
            verdict=trial.verdict,
        )


class TuningFacts(BaseModel):
    """Goal, outcome and trials; see `index.tune_trial.Tuned`. `memory_budget_bytes` is 0 where there was none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_recall: float
    k: int
    memory_budget_bytes: int
    recall: float
    reached: bool
    message: str
    tried: tuple[TrialFacts, ...]

    @classmethod
    def of(cls, tuned: Tuned) -> TuningFacts:
        """Returns what is worth keeping beside the index."""
        return cls(
            target_recall=tuned.goal.target_recall,
            k=tuned.goal.k,
            memory_budget_bytes=tuned.goal.memory_budget_bytes or 0,
            recall=round(tuned.recall, 6),
            reached=tuned.reached,
            message=tuned.message,
            tried=tuple(TrialFacts.of(trial) for trial in tuned.tried),
        )
