"""The trained model as its users see it: raw features in, vectors out. Training, rebuild and serving share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recall.model.bags import Bags
from recall.model.config import TowerConfig
from recall.model.content_part import ContentPart
from recall.model.fusion import FusionWeights, marked
from recall.model.inputs import PreparedRows, SideEncoder
from recall.model.item_encoding import ItemEncoding
from recall.model.towers import ItemTower, Towers, UserTower
from recall.schema import DataSchema, FeatureMap

_BATCH = 1024
_LEAST_USERS = 16
"""Rows of a batch of users at least, the last one repeated: with fewer, products take other kernels, and the same user
gets other last bits. So a user's vector does not depend on who else is asked for at that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInput:
    """What a user vector is made from.

    Attributes:
        user_id: The user; None for an anonymous one.
        features: Raw user features.
        history: [h, dim] float32 vectors of the items of the history; h may be 0.
    """

    user_id: str | None
    features: FeatureMap
    history: NDArray[np.float32]


class EmbeddingModel:
    """Both towers with everything fitted around them.

    Attributes:
        schema: Features of items and users.
        config: Sizes.
        seed: Chose hash functions and first weights.
        items: Encoding of items.
        users: Encoding of users.
        towers: The networks.
        model_id: Digest of the artifact; empty before it is saved.
        max_history: Longest history used, in items: the latest ones count.
        fusion: What matching exact tokens adds to the product of the vectors; fitted after the towers are trained.
        content_part: What stands beside the learned part of each vector; None for nothing. Fitted likewise.
    """

    def __init__(self, schema: DataSchema, config: TowerConfig, *, items: SideEncoder, users: SideEncoder) -> None:
        """Builds untrained towers from the global random state of torch; seed it around the call."""
        self.schema = schema
        self.config = config
        self.seed = items.seed
        self.items = items
        self.users = users
        self.towers = Towers(ItemTower(items.sizes(), config), UserTower(users.sizes(), config))
        self.device = torch.device("cpu")
        self.model_id = ""
        self.max_history = config.max_history
        self.fusion = FusionWeights()
        self.content_part: ContentPart | None = None

    @property
    def dim(self) -> int:
        """Length of item and user vectors."""
        return self.config.dim + (0 if self.content_part is None else self.content_part.dim)

    def to(self, device: torch.device) -> None:
        """Moves the towers to `device`."""
        self.device = device
        self.towers.to(device)

    def embed_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> NDArray[np.float32]:
        """Returns item vectors, [n, dim] float32: learned parts of length 1, and what `content_part` puts beside them.

        Args:
            item_ids: The ids; an unseen or empty one leaves the vector to the features alone.
            features: Raw features of each; unknown ones are ignored.
        """
        return self.encode_items(item_ids, features).vectors

    def encode_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> ItemEncoding:
        """Returns vectors as `embed_items` does and, where `fusion` is on, bags as an index holds them.

        Args:
            item_ids: The ids; an unseen or empty one leaves the vector to the features alone.
            features: Raw features of each; unknown ones are ignored.
        """
        vectors = np.empty((len(item_ids), self.dim), dtype=np.float32)
        parts = [slice(start, start + _BATCH) for start in range(0, len(item_ids), _BATCH)]
        if not self.fusion.is_on:
            for part in parts:
                vectors[part] = self._item_vectors(self.items.prepare(item_ids[part], features[part]))
            return ItemEncoding(vectors=vectors, bags=None)
        bags: list[Bags] = []
        for part in parts:
            rows, part_bags = self.items.prepare_with_bags(item_ids[part], features[part])
            vectors[part] = self._item_vectors(rows)
            bags.append(marked(part_bags, rows.counts == 0))
        return ItemEncoding(vectors=vectors, bags=Bags.joined(bags))

    def bag_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> Bags:
        """Returns the items' weighted tokens, each bag of length 1 or empty, whatever `fusion` is.

        Args:
            item_ids: The ids; only one that was seen in training is a token of its own, where sets refer to items.
            features: Raw features of each; unknown ones are ignored.
        """
        return self.items.bags(item_ids, features)

    def embed_prepared_items(self, rows: PreparedRows) -> NDArray[np.float32]:
        """Returns the learned vectors of already prepared items, [n, config.dim] float32, of length 1."""
        out = np.empty((len(rows.id_hashes), self.config.dim), dtype=np.float32)
        self._freeze()
        with torch.inference_mode():
            for start in range(0, len(out), _BATCH):
                batch = rows.take(np.arange(start, min(start + _BATCH, len(out))))
                vectors: torch.Tensor = self.towers.item(self.items.tower_input(batch, self.device))
                out[start : start + _BATCH] = vectors.cpu().numpy()
        return out

    def embed_users(self, users: Sequence[UserInput]) -> NDArray[np.float32]:
        """Returns user vectors, [n, dim] float32: learned parts of length 1, and what `content_part` puts beside them.

        Of a history longer than `max_history` the last items count.
        """
        history = np.stack([self._mean(user.history) for user in users]) if users else np.zeros((0, self.dim))
        rows = self.users.prepare([user.user_id or "" for user in users], [user.features for user in users])
        means = history.astype(np.float32, copy=False)
        learned = self.embed_prepared_users(rows, means[:, : self.config.dim])
        part = self.content_part
        return learned if part is None else part.joined(learned, means[:, self.config.dim :])

    def embed_prepared_users(self, rows: PreparedRows, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns learned user vectors, [n, config.dim] float32, of length 1.

        Args:
            rows: Prepared users.
            history: [n, config.dim] float32, mean of the learned vectors of each history.
        """
        out = np.empty((len(rows.id_hashes), self.config.dim), dtype=np.float32)
        self._freeze()
        with torch.inference_mode():
            for start in range(0, len(out), _BATCH):
                size = min(_BATCH, len(out) - start)
                places = np.minimum(np.arange(start, start + max(size, _LEAST_USERS)), len(out) - 1)
                pooled = torch.from_numpy(history[places]).to(self.device)
                batch = self.users.tower_input(rows.take(places), self.device)
                vectors: torch.Tensor = self.towers.user(batch, pooled)
                out[start : start + size] = vectors[:size].cpu().numpy()
        return out

    def knows_user(self, user_id: str) -> bool:
        """Returns whether the user was seen in training."""
        return bool(self.users.counts([user_id])[0] > 0)

    def item_count(self, item_id: str) -> int:
        """Returns about how many training interactions the item had; 0 for an unseen one."""
        return round(float(self.item_counts([item_id])[0]))

    def item_counts(self, item_ids: Sequence[str]) -> NDArray[np.float32]:
        """Returns about how many training interactions each item had, [n] float32; exactly 0 for an unseen one."""
        return self.items.counts(item_ids)

    def _item_vectors(self, rows: PreparedRows) -> NDArray[np.float32]:
        learned, part = self.embed_prepared_items(rows), self.content_part
        return learned if part is None else part.joined(learned, rows.features.content)

    def _mean(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(history) == 0:
            return np.zeros(self.dim, dtype=np.float32)
        read = history[-self.max_history :]
        mean: NDArray[np.float32] = np.add.reduce(read, axis=0, dtype=np.float32) / np.float32(len(read))
        return mean

    def _freeze(self) -> None:
        """Has BatchNorm use what it learned, and not the batch."""
        if self.towers.training:  # telling every layer takes as long as some of them
            self.towers.eval()
