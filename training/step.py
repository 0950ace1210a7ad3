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
from training.checkpoint import Arrays
from training.config import TrainConfig
from training.dataset import RowArray, TrainingData
from training.history import HistoryPool
from training.loss import accidental_hits, corrected_scores, log_draws, sampled_softmax
from training.precision import autocast
from training.preparation import Source, prepare, prepare_with_bags
from training.token_dropout import TokenDropout

_ITEMS_A_REFRESH_STEP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one step.

    Attributes:
        pairs: [n, 2] int64 (user row, item row), the positives.
        negatives: [m] int64 item rows, uniform draws.
        without_item_id: [num_items] bool, items whose id is dropped in this step.
        without_user_id: [num_users] bool, users likewise.
        without_history: [n] bool, examples whose history is emptied.
        token_seed: Chooses the tokens that are left out of items.
    """

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
        steps_per_epoch: Batches of one pass.
    """

    def __init__(self, model: EmbeddingModel, data: TrainingData, config: TrainConfig, *, seed: int) -> None:
        """Prepares items and users, and the probabilities of being drawn."""
        self._model = model
        self._data = data
        self._config = config
        self._seed = seed
        self._temperature = config.loss.temperature
        self.items, bags = prepare_with_bags(Source(side=model.items, ids=data.item_ids, rows=data.items))
        projection, rate = model.items.features.projection, config.token_dropout
        self._token_dropout = TokenDropout(bags, projection, rate=rate) if projection is not None and rate else None
        self.users = prepare(Source(side=model.users, ids=data.user_ids, rows=data.users))
        self.pool = HistoryPool(data.histories(config.towers.max_history), config.towers.dim)
        positives = data.seen()
        self._positives = (positives.indptr, positives.indices)
        batch_size = min(config.batch_size, len(data.train))
        self._batch_size = batch_size
        self.steps_per_epoch = len(data.train) // batch_size
        counts, num_negatives = data.item_counts(), config.loss.uniform_negatives
        is_drawable = counts > 0 if config.loss.negatives_from == "warm" else np.ones_like(counts, dtype=np.bool_)
        self._drawable = np.flatnonzero(is_drawable)
        log_q = log_draws(counts, batch_size=batch_size, uniform_negatives=num_negatives, drawable=self._drawable)
        self._log_q = log_q if config.loss.log_q else np.zeros_like(log_q)
        self._refresh_steps = max(config.refresh_steps, len(data.item_ids) // _ITEMS_A_REFRESH_STEP)
        self._until_refresh = 0

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yields the batches of one pass over the training interactions, in a new order each epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._data.train))
        config, num_items, num_users = self._config, len(self._data.item_ids), len(self._data.user_ids)
        for step in range(self.steps_per_epoch):
            chosen = order[step * self._batch_size : (step + 1) * self._batch_size]
            yield Batch(
                pairs=self._data.train[chosen],
                negatives=rng.choice(self._drawable, size=config.loss.uniform_negatives),
                without_item_id=rng.random(num_items) < config.item_id_dropout,
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
        masked = accidental_hits(users, distinct, targets, self._positives, len(self._data.item_ids))
        device = self._model.device
        scores = corrected_scores(
            self._embed_users(batch),
            self._embed_items(distinct, batch),
            log_q=torch.from_numpy(self._log_q[distinct]).to(device),
            temperature=self._temperature,
        )
        return sampled_softmax(scores, torch.from_numpy(targets).to(device), masked=masked.to(device))

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
        return state if self._until_refresh == 0 else {**state, "vectors": self.pool.vectors}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from where `state` was taken."""
        self._until_refresh = int(arrays["until_refresh"][0])
        if self._until_refresh:
            self.pool.hold(np.asarray(arrays["vectors"], dtype=np.float32))

    def _embed_items(self, rows: RowArray, batch: Batch) -> Tensor:
        prepared = _without_ids(self.items.take(rows), batch.without_item_id[rows])
        if self._token_dropout is not None:
            content = self._token_dropout.content(rows, seed=batch.token_seed)
            prepared = replace(prepared, features=replace(prepared.features, content=content))
        inputs = self._model.items.tower_input(prepared, self._model.device)
        with autocast(self._config, self._model.device):
            out: Tensor = self._model.towers.item(inputs)
        return out.float()

    def _embed_users(self, batch: Batch) -> Tensor:
        rows, index = np.unique(batch.pairs[:, 0], return_inverse=True)
        history = self.pool.means(batch.pairs[:, 0], batch.pairs[:, 1])
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
