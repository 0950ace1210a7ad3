"""The objective of a training run: from the vectors of a step to its loss, by the choices of `LossConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, one_hot

from recall.model.codes import IdArray
from training.config import LossConfig
from training.dataset import RowArray, TrainingData
from training.draws import LogQ, StepDraws
from training.hard_negatives import easy, weighted
from training.loss import (
    accidental_hits,
    bilateral_softmax,
    corrected_scores,
    positive_side,
    sampled_softmax,
    with_certain_targets,
    with_targets,
)
from training.memory import ItemMemory
from training.temperature import LearnedTemperature


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRows:
    """Which users and items the vectors of a step are of.

    Attributes:
        users: [n] int64 user row of each example.
        items: [m] int64 distinct item rows.
        targets: [n] int64, the place in `items` of each example's positive.
    """

    users: RowArray
    items: RowArray
    targets: RowArray


class Objective:
    """The loss of one step after the other."""

    def __init__(
        self, data: TrainingData, config: LossConfig, *, draws: StepDraws, keys: IdArray, device: torch.device
    ) -> None:
        """Prepares what stays the same over all steps.

        Args:
            data: What is trained on.
            config: The choices.
            draws: How batches and negatives are drawn.
            keys: [num_items] uint64 hashed ids of the items.
            device: Where the vectors will be.
        """
        self._config = config
        positives = data.seen()
        self._positives = (positives.indptr, positives.indices)
        self._num_items = len(data.item_ids)
        self._log_q = LogQ(draws, config, keys=keys)
        self._learned = LearnedTemperature().to(device) if config.temperature == "learned" else None
        steps, after = config.memory_steps, config.memory_after
        self._memory = ItemMemory(num_steps=steps, after=after) if steps else None

    def parameters(self) -> list[nn.Parameter]:
        """Returns what is learned beside the towers; the model does not need it once it is trained."""
        return [] if self._learned is None else list(self._learned.parameters())

    def temperature(self) -> float:
        """Returns the present temperature."""
        return float(self._temperature() if self._learned is None else self._learned().detach())

    def loss(self, users: Tensor, items: Tensor, rows: StepRows, *, own: Tensor | None = None) -> Tensor:
        """Returns the loss of a step, ready for its backward pass, and takes the step in.

        Args:
            users: [n, dim] float32 unit vectors, one an example.
            items: [m, dim] float32 unit vectors of the step's distinct items.
            rows: What they are of.
            own: [n, dim] float32, the positive of each example where an example is shown another vector of it than the
                rest of the step (`training.audience`); None takes those of `items`.
        """
        self._log_q.see(rows.items[rows.targets])
        columns, vectors, steps = self._columns(items, rows)
        masked = accidental_hits(rows.users, columns, rows.targets, self._positives, self._num_items).to(users.device)
        targets = torch.from_numpy(rows.targets).to(users.device)
        log_q = torch.from_numpy(self._log_q.of(columns, steps=steps)).to(users.device)
        temperature = self._temperature()
        scores = corrected_scores(users, vectors, log_q=log_q, temperature=temperature)
        cosines = (users * (embedding(targets, items) if own is None else own)).sum(dim=1)
        if own is not None:
            scores = with_targets(scores, targets, cosines / temperature - log_q[targets])
        if self._config.log_q_of == "presence":
            scores = with_certain_targets(scores, targets, log_q=log_q)
        if self._config.hard_negatives != "none":
            scores, masked = self._hardened(scores, masked, log_q=log_q, targets=targets)
        if self._config.form == "softmax":
            return sampled_softmax(scores, targets, masked=masked)
        positives = positive_side(cosines, rows.users, temperature=self._config.positive_temperature or temperature)
        excluded = masked | _is_target(targets, scores)
        weight = self._config.negative_weight
        return bilateral_softmax(scores, positives / temperature, excluded=excluded, negative_weight=weight)

    def state(self) -> dict[str, Tensor]:
        """Returns all that the next step depends on besides the towers; empty unless something is learned or kept."""
        frequencies = {f"frequency.{name}": torch.from_numpy(array) for name, array in self._log_q.state().items()}
        memory = {} if self._memory is None else self._memory.state()
        learned = {} if self._learned is None else self._learned.state_dict()
        return {
            **frequencies,
            **{f"memory.{name}": tensor for name, tensor in memory.items()},
            **{f"temperature.{name}": tensor.detach().clone() for name, tensor in learned.items()},
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned, with the same configuration."""
        self._log_q.restore({name: tensor.cpu().numpy() for name, tensor in _part(state, "frequency.").items()})
        if self._memory is not None:
            self._memory.restore(_part(state, "memory."))
        if self._learned is not None:
            self._learned.load_state_dict(_part(state, "temperature."))

    def _temperature(self) -> Tensor | float:
        if self._learned is not None:
            return cast(Tensor, self._learned())
        assert self._config.temperature != "learned"
        return self._config.temperature

    def _columns(self, items: Tensor, rows: StepRows) -> tuple[RowArray, Tensor, int]:
        """Returns rows and vectors of the loss's items, this step's first, and of how many steps they are."""
        if self._memory is None:
            return rows.items, items, 1
        older, vectors = self._memory.others(rows.items, items)
        steps = 1 + len(self._memory)
        self._memory.add(rows.items, items)
        return np.concatenate([rows.items, older]), torch.cat([items, vectors]), steps

    def _hardened(self, scores: Tensor, masked: Tensor, *, log_q: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scores and mask with the hard negatives counting more."""
        excluded = masked | _is_target(targets, scores)
        if self._config.hard_negatives == "weighted":
            return weighted(scores, log_q=log_q, excluded=excluded, hardness=self._config.hardness), masked
        return scores, masked | easy(scores + log_q, excluded=excluded, share=self._config.hard_share)


def _is_target(targets: Tensor, scores: Tensor) -> Tensor:
    return one_hot(targets, scores.shape[1]).bool()


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
