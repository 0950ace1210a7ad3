"""Settings of a training run: everything that is not a flag of `recall train`."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recall.model.config import MAX_DIM, TowerConfig
from recall.model.fusion import MAX_WEIGHT
from training.temperature import FIRST

Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]


class LossConfig(BaseModel):
    """The objective.

    Attributes:
        temperature: Divides the cosine scores before the softmax; `learned` makes it a parameter, which begins at .07
            (`training.temperature`).
        log_q: Whether to correct scores by how likely an item is to be drawn.
        log_q_of: `draws` corrects by the expected number of draws, the example's own positive too; `presence` by the
            probability that an item is in the step, which for the example's own positive is 1 (`training.draws`).
        frequency: Where the frequencies behind `log_q` come from: `counts` of the training interactions, or their
            estimate from the `stream` of batches, which needs no pass over the data (`training.frequency`).
        frequency_rate: Share of the newest gap between two occurrences in that estimate.
        frequency_cells: Cells of each of its two arrays.
        uniform_negatives: Items a step drawn uniformly.
        negatives_from: `warm` draws them from the items with a training interaction, `catalogue` from all. An item that
            nobody could have had yet is then shown as unwanted, which pushes cold items out of mixed lists.
        memory_steps: Steps before this one whose items are further negatives, by the vectors they had then
            (`training.memory`); 0 for none.
        memory_after: Steps of the run that pass before the memory begins.
        hard_negatives: `weighted` lets a negative count the more the higher it scores, `top` keeps the highest alone
            (`training.hard_negatives`).
        hardness: Exponent of the weights.
        hard_share: Share of each user's negatives that is kept.
        form: `softmax`, or `bilateral` (`training.loss.bilateral_softmax`), whose positives are weighed against each
            other within a user as softly as its negatives.
        positive_temperature: Of the positive side; None for that of the scores.
        negative_weight: Weight of the negative side.
        positives_per_user: Interactions of a user that are put together in a step (`training.grouping`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["learned"] = FIRST
    log_q: bool = True
    log_q_of: Literal["draws", "presence"] = "draws"
    frequency: Literal["counts", "stream"] = "counts"
    frequency_rate: float = Field(default=0.05, gt=0, le=1)
    frequency_cells: int = Field(default=1 << 18, ge=1 << 8, le=1 << 26)
    uniform_negatives: int = Field(default=1024, ge=0)
    negatives_from: Literal["warm", "catalogue"] = "warm"
    memory_steps: int = Field(default=0, ge=0, le=1000)
    memory_after: int = Field(default=0, ge=0)
    hard_negatives: Literal["none", "weighted", "top"] = "none"
    hardness: float = Field(default=1.0, gt=0, le=100)
    hard_share: float = Field(default=0.1, gt=0, lt=1)
    form: Literal["softmax", "bilateral"] = "softmax"
    positive_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    negative_weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    positives_per_user: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> Self:
        for name, (owner, wanted) in _EFFECTIVE_WITH.items():
            value, chosen = getattr(self, name), getattr(self, owner)
            if value != type(self).model_fields[name].default and chosen != wanted:
                raise ValueError(f"{name} = {value} has no effect with {owner} = {chosen}; remove one of them")
        if self.memory_after and not self.memory_steps:
            raise ValueError(f"memory_after = {self.memory_after} has no effect with memory_steps = 0")
        if self.form == "bilateral" and self.temperature == "learned":
            # Its positives are not in the sum, so it falls without end as the temperature does.
            raise ValueError("temperature = 'learned' does not go with form = 'bilateral'; give it a number")
        return self


_EFFECTIVE_WITH: dict[str, tuple[str, object]] = {
    "log_q_of": ("log_q", True),
    "frequency": ("log_q", True),
    "frequency_rate": ("frequency", "stream"),
    "frequency_cells": ("frequency", "stream"),
    "hardness": ("hard_negatives", "weighted"),
    "hard_share": ("hard_negatives", "top"),
    "positive_temperature": ("form", "bilateral"),
    "negative_weight": ("form", "bilateral"),
}
"""Settings of the objective that need a certain value of another one."""


class FusionConfig(BaseModel):
    """Content beside the learned score. `fitted` leaves a number to the validation part.

    Attributes:
        content: `sparse` adds the exact match of bags (`recall.model.fusion`), `dense` joins projected content to the
            vectors (`recall.model.content_part`; one weight, always fitted), `none` leaves it out. The other settings
            are those of `sparse`.
        seen: Weight for items that training saw.
        unseen: Weight for all other items.
        unseen_offset: Added to the score of items that training did not see.
        unseen_offset_alone: Added to it instead for users whose history has no words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: Literal["sparse", "dense", "none"] = "sparse"
    seen: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] | Literal["fitted"] = "fitted"
    unseen: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] | Literal["fitted"] = "fitted"
    unseen_offset: Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)] | Literal["fitted"] = "fitted"
    unseen_offset_alone: Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)] | Literal["fitted"] = "fitted"

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> Self:
        for name, value in self:
            if name != "content" and self.content != "sparse" and value != "fitted":
                raise ValueError(f"{name} = {value} has no effect with content = {self.content!r}; remove one of them")
        return self


class OptimizerConfig(BaseModel):
    """AdamW with a cosine schedule after a linear warm-up.

    Attributes:
        learning_rate: Peak rate.
        weight_decay: Decoupled decay.
        warmup_share: Share of all steps before the peak.
        average_weights: Whether the model is the mean of its weights over the steps (`training.averaging`).
        max_gradient_norm: Longest gradient, over all weights; a longer one is shortened to it. 0 leaves it as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    average_weights: bool = True
    max_gradient_norm: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class CheckpointConfig(BaseModel):
    """How often a run keeps what it needs to go on after it was killed; no part of what it gives.

    Attributes:
        epochs: Whether at the end of each epoch.
        seconds: Least time between two within an epoch; 0 for none within an epoch.
        steps: Steps between two within an epoch; 0 leaves it to `seconds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: bool = True
    seconds: float = Field(default=120.0, ge=0, allow_inf_nan=False)
    steps: int = Field(default=0, ge=0)


class TrainConfig(BaseModel):
    """All settings.

    Attributes:
        towers: Sizes of the towers.
        loss: The objective.
        fusion: What is added to the learned score.
        optimizer: How it is minimised.
        epochs: Most passes over the training interactions.
        batch_size: Interactions a step.
        patience: Epochs without a better validation score before it stops.
        validation_k: K of the validation recall; less where there are few candidates (`training.validation`).
        validation_users: Most users that validation looks at, chosen by hash.
        item_id_dropout: Share of items a step that count as unseen: without id and audience. `auto` follows the rule
            in `training.rules`.
        user_id_dropout: Share of users a step whose id counts as unseen. Ids of users are learned by heart sooner than
            their histories are understood.
        history_dropout: Share of examples whose history is emptied.
        token_dropout: Mean share of an item's words and tags that a step leaves out, where a projection is fitted.
        refresh_steps: Steps between two embeddings of the whole catalogue for the histories; more for a large one.
        refit: Whether to train again, for the epochs found best, on train and the validation part carved out of it;
            without effect where the data folder names a validation part.
        accumulate_steps: Steps whose mean gradient moves the weights once. The negatives of a step stay its own.
        max_steps: Most steps of all epochs together; 0 for no bound.
        precision: `bf16` has the towers compute a step's matrix products in bfloat16 (`training.precision`).
        compile: Whether torch compiles the towers; on CUDA alone.
        threads: CPU threads of torch; 0 takes all cores.
        warm_start: Folder of a model whose weights the towers start from (`training.warm_start`); empty starts cold.
        checkpoint: How often the run can go on from, if it is killed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    towers: TowerConfig = TowerConfig()
    loss: LossConfig = LossConfig()
    fusion: FusionConfig = FusionConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=1024, ge=2)
    patience: int = Field(default=3, ge=1)
    validation_k: int = Field(default=20, ge=1)
    validation_users: int = Field(default=5000, ge=1)
    item_id_dropout: Share | Literal["auto"] = "auto"
    user_id_dropout: Share = 0.9
    history_dropout: float = Field(default=0.05, ge=0, lt=1)
    token_dropout: float = Field(default=0.3, ge=0, le=0.5)
    refresh_steps: int = Field(default=20, ge=1)
    refit: bool = False
    accumulate_steps: int = Field(default=1, ge=1)
    max_steps: int = Field(default=0, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    threads: int = Field(default=0, ge=0)
    warm_start: str = ""
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="after")
    def _dense_content_fits(self) -> Self:
        if self.fusion.content == "dense" and (self.towers.content != "svd" or self.towers.dim >= MAX_DIM):
            raise ValueError(
                f"fusion.content = 'dense' with towers.content = {self.towers.content!r} and towers.dim = "
                f"{self.towers.dim}: it needs 'svd' and less than {MAX_DIM}"
            )
        return self
