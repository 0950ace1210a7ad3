"""One side of the model before its tower: ids and raw features of items, or of users, to tower inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recall.model.codes import HashFamily, IdArray
from recall.model.config import CodeConfig, TowerConfig
from recall.model.features import FeatureBatch, FeatureEncoder
from recall.model.hashing import hash_values
from recall.model.sketch import CountSketch
from recall.model.tokens import set_tokens
from recall.model.towers import InputSizes, TowerInput
from recall.schema import FeatureMap


def hash_family(config: CodeConfig, seed: int) -> HashFamily:
    """Returns the hash family of a code configuration."""
    return HashFamily(k=config.k, m=config.m, seed=seed, distribution=config.distribution)


def own_tokens(id_domain: str, ids: Sequence[str], seen: NDArray[np.bool_]) -> IdArray:
    """Returns the token by which a set of ids would name each row, [n] uint64; 0 for a row that was never seen."""
    tokens: IdArray = np.where(seen, hash_values(id_domain, set_tokens(ids)), np.uint64(0))
    return tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRows:
    """Items or users, hashed and encoded as far as it goes without a network.

    Attributes:
        id_hashes: [n] uint64.
        counts: [n] float32, how often each id was seen in training.
        features: Encoded features of the n rows.
    """

    id_hashes: IdArray
    counts: NDArray[np.float32]
    features: FeatureBatch

    def take(self, rows: NDArray[np.int64]) -> PreparedRows:
        """Returns some rows, in their order."""
        return PreparedRows(id_hashes=self.id_hashes[rows], counts=self.counts[rows], features=self.features.take(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class SideEncoder:
    """How one side turns ids and raw features into tower inputs.

    Attributes:
        id_domain: Hash domain of the ids, which is the id column's name.
        features: Fitted feature encoding.
        id_counts: How often each id was seen in training.
        config: Code sizes.
        seed: Chooses the hash functions.
    """

    id_domain: str
    features: FeatureEncoder
    id_counts: CountSketch
    config: TowerConfig
    seed: int

    def sizes(self) -> InputSizes:
        """Returns the widths that the tower needs."""
        return InputSizes(
            content=self.features.content_width,
            categories=self.features.num_categories,
            dense=self.features.dense_width,
        )

    def counts(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Returns how often each id was seen in training, [n] float32; 0 for an unseen one."""
        return self.id_counts.counts(hash_values(self.id_domain, ids))

    def prepare(self, ids: Sequence[str], rows: Sequence[FeatureMap]) -> PreparedRows:
        """Hashes ids and encodes features. An empty id counts as unseen."""
        hashes = hash_values(self.id_domain, ids)
        counts = self.id_counts.counts(hashes)
        # An unseen row gets no token of its own, so that its vector does not depend on its id.
        own = own_tokens(self.id_domain, ids, counts > 0) if self.features.refers_to(self.id_domain) else None
        return PreparedRows(id_hashes=hashes, counts=counts, features=self.features.encode(rows, own))

    def tower_input(self, rows: PreparedRows, device: torch.device) -> TowerInput:
        """Returns the tower input of `rows` on `device`: codes of ids and categories, and the features."""
        features = rows.features
        codes = hash_family(self.config.category_code, self.seed).codes(features.categories.reshape(-1))
        codes = (
            codes.reshape(*features.categories.shape, self.config.category_code.k) * features.has_category[:, :, None]
        )
        id_codes = hash_family(self.config.id_code, self.seed).codes(rows.id_hashes)
        return TowerInput(
            id_codes=torch.from_numpy(id_codes).to(device),
            counts=torch.from_numpy(rows.counts).to(device),
            content=torch.from_numpy(features.content).to(device),
            categories=torch.from_numpy(codes.astype(np.float32, copy=False)).to(device),
            dense=torch.from_numpy(features.dense).to(device),
        )
