"""The trained model as its users see it: raw features in, vectors out. Training, rebuild and serving share it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recall.model.audience import AudienceBatch, AudienceSource
from recall.model.bags import Bags
from recall.model.config import TowerConfig
from recall.model.content_part import ContentPart
from recall.model.fusion import FusionWeights, marked
from recall.model.inputs import PreparedRows, SideEncoder
from recall.model.item_encoding import ItemEncoding
from recall.model.latest import newest_first
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
        audience_source: Who had an item, asked wherever items are embedded; None means nobody.
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
        self.audience_source: AudienceSource | None = None

    @property
    def dim(self) -> int:
        """Length of item and user vectors."""
        return self.config.dim + (0 if self.content_part is None else self.content_part.dim)

    def to(self, device: torch.device) -> None:
        """Moves the towers to `device`."""
        self.device = device
        self.towers.to(device)

    @property
    def reads_audiences(self) -> bool:
        """Whether the vector of an item depends on who had it."""
        return self.items.audience is not None

    def with_audiences(self, source: AudienceSource) -> EmbeddingModel:
        """Returns the same model, its weights shared, that asks `source` who had the items that it embeds."""
        other = copy(self)
        other.audience_source = source
        return other

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
                audience = self._audience(item_ids[part])
                vectors[part] = self._item_vectors(self.items.prepare(item_ids[part], features[part], audience))
            return ItemEncoding(vectors=vectors, bags=None)
        bags: list[Bags] = []
        for part in parts:
            rows, part_bags = self.items.prepare_with_bags(
                item_ids[part], features[part], self._audience(item_ids[part])
            )
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
        rows = self.users.prepare([user.user_id or "" for user in users], [user.features for user in users])
        histories, dim = [user.history[-self.max_history :] for user in users], self.config.dim
        learned = self.embed_prepared_users(rows, self._pooled([history[:, :dim] for history in histories]))
        part = self.content_part
        if part is None:
            return learned
        return part.joined(learned, _means([history[:, dim:] for history in histories], part.dim))

    def embed_prepared_users(self, rows: PreparedRows, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns learned user vectors, [n, config.dim] float32, of length 1.

        Args:
            rows: Prepared users.
            history: [n, config.dim] float32, mean of the learned vectors of each history; for the pooling `recent`
                [n, config.latest, config.dim], see `LatestPool`.
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

    def _audience(self, item_ids: Sequence[str]) -> AudienceBatch | None:
        encoder, source = self.items.audience, self.audience_source
        return None if encoder is None or source is None else encoder.encode(source(item_ids))

    def _item_vectors(self, rows: PreparedRows) -> NDArray[np.float32]:
        learned, part = self.embed_prepared_items(rows), self.content_part
        return learned if part is None else part.joined(learned, rows.features.content)

    def _pooled(self, histories: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Returns histories as the user tower takes them."""
        if self.config.pooling == "recent":
            return newest_first(histories, self.config.latest, self.config.dim)
        return _means(histories, self.config.dim)

    def _freeze(self) -> None:
        """Has BatchNorm use what it learned, and not the batch."""
        if self.towers.training:  # telling every layer takes as long as some of them
            self.towers.eval()


def _means(histories: Sequence[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    means = np.zeros((len(histories), dim), dtype=np.float32)
    for row, history in enumerate(histories):
        if len(history):
            means[row] = np.add.reduce(history, axis=0, dtype=np.float32) / np.float32(len(history))
    return means
