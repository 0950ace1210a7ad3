"""All that a fit changes from step to step, as arrays and facts of a checkpoint and back.

Draws need no state of their own: those of an epoch follow from the seed and its number, and a fit that goes on within
an epoch draws again what was drawn before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from recall.model.content_part import ContentPart
from recall.model.embedding import EmbeddingModel
from recall.model.fusion import FusionWeights
from training.checkpoint import Arrays
from training.optimization import Optimization
from training.step import Stepper

Stage: TypeAlias = Literal["fit", "refit"]
FIT: Stage = "fit"
REFIT: Stage = "refit"

Weights: TypeAlias = dict[str, torch.Tensor]


@dataclass(slots=True)
class Best:
    """The epoch kept so far.

    Attributes:
        epoch: Its number, from 1; 0 before the first one ended.
        score: Its validation score; NaN without a validation part.
        weights: Of the towers at its end.
        interrupted: Whether an interrupt ended the fit early.
    """

    epoch: int = 0
    score: float = -math.inf
    weights: Weights | None = None
    interrupted: bool = False

    def keep_better(self, model: EmbeddingModel, *, epoch: int, score: float) -> None:
        """Takes the model as it is where its score is better."""
        # Without a validation part the last epoch is as good a choice as any.
        if math.isnan(score) or score > self.score:
            self.epoch, self.score = epoch, score
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.towers.state_dict().items()}


class Chosen(BaseModel):
    """What the first fit gave, which a refit goes by.

    Attributes:
        epoch: The epoch kept.
        score: Its validation score; None without a validation part.
        fusion: Fitted beside the towers.
        content_part: Likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    score: float | None
    fusion: FusionWeights
    content_part: ContentPart | None


class Position(BaseModel):
    """Where a run stands.

    Attributes:
        stage: Which of its fits.
        epoch: The epoch being run, from 1.
        step: Steps of it that are done.
        loss_sum: Sum of their losses.
        best_epoch: See `Best`.
        best_score: See `Best`; None without an epoch or a validation part.
        chosen: In the stage `refit`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_score: float | None = None
    chosen: Chosen | None = None


@dataclass(slots=True, kw_only=True)
class FitState:
    """What a fit changes, in use.

    Attributes:
        model: Its towers are trained.
        stepper: Holds the histories.
        optimization: Moves the weights.
        best: The epoch kept so far.
        position: Where the fit stands.
    """

    model: EmbeddingModel
    stepper: Stepper
    optimization: Optimization
    position: Position
    best: Best = field(default_factory=Best)

    def moved(self, *, epoch: int, step: int = 0, loss_sum: float = 0.0) -> None:
        """Says how far the fit is."""
        done = {"epoch": epoch, "step": step, "loss_sum": loss_sum}
        best = {"best_epoch": self.best.epoch, "best_score": number_or_none(self.best.score)}
        self.position = self.position.model_copy(update=done | best)

    def arrays(self) -> Arrays:
        """Returns everything that a fit at this position needs to go on as if it had never stopped."""
        parts: dict[str, Arrays] = {
            "towers": weight_arrays(self.model.towers.state_dict()),
            "optimization": self.optimization.state(),
            "stepper": self.stepper.state(),
            "best": weight_arrays(self.best.weights or {}),
        }
        return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self, arrays: Arrays, position: Position) -> None:
        """Puts the fit where it was when `arrays` and `position` were taken."""
        self.position = position
        self.model.towers.load_state_dict(weights_in(arrays, "towers"))
        self.optimization.restore(part_of(arrays, "optimization"))
        self.stepper.restore(part_of(arrays, "stepper"))
        score = math.nan if position.best_score is None else position.best_score
        if position.best_epoch:
            self.best = Best(epoch=position.best_epoch, score=score, weights=weights_in(arrays, "best"))


def part_of(arrays: Arrays, part: str) -> Arrays:
    """Returns the arrays of one part by their names in it."""
    return {name.removeprefix(f"{part}."): array for name, array in arrays.items() if name.startswith(f"{part}.")}


def weights_in(arrays: Arrays, part: str) -> Weights:
    """Returns the weights of one part as tensors of their own."""
    return {name: torch.from_numpy(np.array(array)) for name, array in part_of(arrays, part).items()}


def weight_arrays(weights: Weights) -> Arrays:
    """Returns weights as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}


def number_or_none(score: float) -> float | None:
    """Returns a score as JSON holds it."""
    return score if math.isfinite(score) else None
