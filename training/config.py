"""Settings of a training run: everything that is not a flag of `recall train`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recall.model.config import MAX_DIM, TowerConfig
from recall.model.fusion import MAX_WEIGHT


class LossConfig(BaseModel):
    """The objective.

    Attributes:
        temperature: Divides the cosine scores before the softmax.
        log_q: Whether to correct scores by how likely an item is to be drawn.
        uniform_negatives: Items a step drawn uniformly.
        negatives_from: `warm` draws them from the items with a training interaction, `catalogue` from all. An item that
            nobody could have had yet is then shown as unwanted, which pushes cold items out of mixed lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.07, gt=0)
    log_q: bool = True
    uniform_negatives: int = Field(default=1024, ge=0)
    negatives_from: Literal["warm", "catalogue"] = "warm"


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
    average_weights: bool = False
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
        item_id_dropout: Share of items a step whose id counts as unseen.
        user_id_dropout: The same for users.
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
    item_id_dropout: float = Field(default=0.5, ge=0, lt=1)
    user_id_dropout: float = Field(default=0.5, ge=0, lt=1)
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
