"""One training step: which interactions and negatives it holds, and its loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recall.model.embedding import EmbeddingModel
from recall.model.inputs import PreparedRows
from training.audience import AudiencePool
from training.checkpoint import Arrays
from training.config import TrainConfig
from training.dataset import RowArray, TrainingData
from training.draws import StepDraws
from training.grouping import epoch_order
from training.history import histories_of
from training.objective import Objective, StepRows
from training.precision import autocast
from training.preparation import Source, prepare, prepare_with_bags
from training.rules import resolved
from training.token_dropout import TokenDropout

_ITEMS_A_REFRESH_STEP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one step.

    Attributes:
        places: [n] int64, which train interactions these are.
        pairs: [n, 2] int64 (user row, item row), the positives.
        negatives: [m] int64 item rows, uniform draws.
        without_item_id: [num_items] bool, items whose id and audience are dropped in this step.
        without_user_id: [num_users] bool, users likewise.
        without_history: [n] bool, examples whose history is emptied.
        token_seed: Chooses the tokens that are left out of items.
    """

    places: RowArray
    pairs: RowArray
    negatives: RowArray
    without_item_id: NDArray[np.bool_]
    without_user_id: NDArray[np.bool_]
    without_history: NDArray[np.bool_]
    token_seed: int


class Stepper:
    """Draws batches and computes their loss for one model on one data set.

    Attributes:
        items: All items, prepared once.
        users: All users, prepared once.
        pool: Histories from the current item vectors.
        objective: The loss of the vectors of a step.
        steps_per_epoch: Batches of one pass.
    """

    def __init__(self, model: EmbeddingModel, data: TrainingData, config: TrainConfig, *, seed: int) -> None:
        """Prepares items and users, and the probabilities of being drawn."""
        config = resolved(config, data)
        self._model = model
        self._data = data
        self._config = config
        assert config.item_id_dropout != "auto"
        self._item_id_dropout = config.item_id_dropout
        self._seed = seed
        self._audience = None if model.items.audience is None else AudiencePool(model.items.audience, data)
        alone = replace(model.items, audience=None)
        self.items, bags = prepare_with_bags(Source(side=alone, ids=data.item_ids, rows=data.items))
        if self._audience is not None:
            self.items = replace(self.items, audience=self._audience.audiences)
        projection, rate = model.items.features.projection, config.token_dropout
        self._token_dropout = TokenDropout(bags, projection, rate=rate) if projection is not None and rate else None
        self.users = prepare(Source(side=model.users, ids=data.user_ids, rows=data.users))
        self.pool = histories_of(data, model.config)
        self._draws = StepDraws.of(data, config)
        keys, device = self.items.id_hashes, model.device
        self.objective = Objective(data, config.loss, draws=self._draws, keys=keys, device=device)
        self.steps_per_epoch = len(data.train) // self._draws.batch_size
        self._refresh_steps = max(config.refresh_steps, len(data.item_ids) // _ITEMS_A_REFRESH_STEP)
        self._until_refresh = 0

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yields the batches of one pass over the training interactions, in a new order each epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        order = epoch_order(self._data.train[:, 0], self._config.loss.positives_per_user, rng)
        config, num_items, num_users = self._config, len(self._data.item_ids), len(self._data.user_ids)
        size = self._draws.batch_size
        for step in range(self.steps_per_epoch):
            chosen = order[step * size : (step + 1) * size]
            yield Batch(
                places=chosen,
                pairs=self._data.train[chosen],
                negatives=rng.choice(self._draws.drawable, size=config.loss.uniform_negatives),
                without_item_id=rng.random(num_items) < self._item_id_dropout,
                without_user_id=rng.random(num_users) < config.user_id_dropout,
                without_history=rng.random(len(chosen)) < config.history_dropout,
                token_seed=int(rng.integers(1 << 63)),
            )

    def loss(self, batch: Batch) -> Tensor:
        """Returns the loss of a batch, ready for its backward pass. Each distinct item and user is encoded once."""
        if self._until_refresh == 0:
            self.refresh()
        self._until_refresh -= 1
        self._model.towers.train()
        users, items = batch.pairs[:, 0], batch.pairs[:, 1]
        distinct = np.unique(np.concatenate([items, batch.negatives]))
        targets = np.searchsorted(distinct, items)
        user_vectors, item_vectors = self._embed_users(batch), self._embed_items(distinct, batch, targets)
        rows = StepRows(users=users, items=distinct, targets=targets)
        if self._audience is None:
            return self.objective.loss(user_vectors, item_vectors, rows)
        columns, own = item_vectors.tensor_split([len(distinct)])
        return self.objective.loss(user_vectors, columns, rows, own=own)

    def refresh(self) -> None:
        """Embeds the whole catalogue for the histories."""
        self.pool.refresh(self._model, self.items)
        self._until_refresh = self._refresh_steps

    def expire(self) -> None:
        """Makes the next step embed the catalogue again: it was last embedded with other weights."""
        self._until_refresh = 0

    def state(self) -> Arrays:
        """Returns all that `restore` needs for the next steps to be the same; the draws of a batch are not among it."""
        state: Arrays = {"until_refresh": np.array([self._until_refresh])}
        state |= {f"objective.{name}": tensor.cpu().numpy() for name, tensor in self.objective.state().items()}
        return state if self._until_refresh == 0 else {**state, "vectors": self.pool.vectors}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from where `state` was taken."""
        self._until_refresh = int(arrays["until_refresh"][0])
        prefix = "objective."
        kept = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        self.objective.restore({name: torch.from_numpy(np.array(array)) for name, array in kept.items()})
        if self._until_refresh:
            self.pool.hold(np.asarray(arrays["vectors"], dtype=np.float32))

    def _embed_items(self, rows: RowArray, batch: Batch, targets: RowArray) -> Tensor:
        """Returns the vectors of `rows` and, where audiences count, of each positive without its user behind them."""
        dropped = batch.without_item_id
        prepared, index = _without_ids(self.items.take(rows), dropped[rows]), None
        if self._token_dropout is not None:
            content = self._token_dropout.content(rows, seed=batch.token_seed)
            prepared = replace(prepared, features=replace(prepared.features, content=content))
        if self._audience is not None:
            users, items = batch.pairs.T
            positives = self._audience.without(items, users).silenced(dropped[items])
            prepared = replace(prepared, audience=prepared.audience.silenced(dropped[rows]).followed_by(positives))
            index = torch.from_numpy(np.concatenate([np.arange(len(rows)), targets])).to(self._model.device)
        inputs = self._model.items.tower_input(prepared, self._model.device)
        with autocast(self._config, self._model.device):
            out: Tensor = self._model.towers.item(inputs, index)
        return out.float()

    def _embed_users(self, batch: Batch) -> Tensor:
        rows, index = np.unique(batch.pairs[:, 0], return_inverse=True)
        history = self.pool.of_examples(batch.places)
        history[batch.without_history] = 0.0
        device = self._model.device
        prepared = _without_ids(self.users.take(rows), batch.without_user_id[rows])
        inputs = self._model.users.tower_input(prepared, device)
        means, places = torch.from_numpy(history).to(device), torch.from_numpy(index).to(device)
        with autocast(self._config, device):
            out: Tensor = self._model.towers.user(inputs, means, places)
        return out.float()


def _without_ids(rows: PreparedRows, dropped: NDArray[np.bool_]) -> PreparedRows:
    return replace(rows, has_id=rows.has_id & ~dropped, counts=np.where(dropped, np.float32(0), rows.counts))
