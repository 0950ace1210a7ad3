"""One side of the model before its tower: ids and raw features of items, or of users, to tower inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recall.model.audience import AudienceBatch, AudienceEncoder
from recall.model.bags import Bags
from recall.model.codes import HashFamily, IdArray
from recall.model.config import CodeConfig, TowerConfig
from recall.model.features import FeatureBatch, FeatureEncoder
from recall.model.hashing import hash_values
from recall.model.id_table import IdTable
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
        has_id: [n] bool, False for an empty id and for one left out of a training step.
        counts: [n] float32, how often each id was seen in training.
        features: Encoded features of the n rows.
        audience: Who had each of the n items; of users and without this part, nobody.
    """

    id_hashes: IdArray
    has_id: NDArray[np.bool_]
    counts: NDArray[np.float32]
    features: FeatureBatch
    audience: AudienceBatch

    def take(self, rows: NDArray[np.int64]) -> PreparedRows:
        """Returns some rows, in their order."""
        return PreparedRows(
            id_hashes=self.id_hashes[rows],
            has_id=self.has_id[rows],
            counts=self.counts[rows],
            features=self.features.take(rows),
            audience=self.audience.take(rows),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideEncoder:
    """How one side turns ids and raw features into tower inputs.

    Attributes:
        id_domain: Hash domain of the ids, which is the id column's name.
        features: Fitted feature encoding.
        id_counts: How often each id was seen in training.
        id_table: Ids with a row of their own; None where there is no table.
        audience: Encoding of who had an item; None for users and without this part.
        config: Code sizes.
        seed: Chooses the hash functions.
    """

    id_domain: str
    features: FeatureEncoder
    id_counts: CountSketch
    id_table: IdTable | None
    audience: AudienceEncoder | None
    config: TowerConfig
    seed: int

    def sizes(self) -> InputSizes:
        """Returns the sizes that the tower needs."""
        return InputSizes(
            known_ids=0 if self.id_table is None else len(self.id_table),
            content=self.features.content_width,
            categories=self.features.num_categories,
            dense=self.features.dense_width,
            audience=self.audience_width,
        )

    @property
    def audience_width(self) -> int:
        """Length of a projected audience; 0 without this part."""
        return 0 if self.audience is None else self.audience.projection.rank

    def counts(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Returns how often each id was seen in training, [n] float32; 0 for an unseen one."""
        return self.id_counts.counts(hash_values(self.id_domain, ids))

    def prepare(
        self, ids: Sequence[str], rows: Sequence[FeatureMap], audience: AudienceBatch | None = None
    ) -> PreparedRows:
        """Hashes ids and encodes features. An empty id counts as unseen, and no audience is one of nobody."""
        hashes, counts, own = self._known(ids)
        features = self.features.encode(rows, own)
        return PreparedRows(
            id_hashes=hashes,
            has_id=_has_id(ids),
            counts=counts,
            features=features,
            audience=audience or AudienceBatch.none(len(ids), self.audience_width),
        )

    def prepare_with_bags(
        self, ids: Sequence[str], rows: Sequence[FeatureMap], audience: AudienceBatch | None = None
    ) -> tuple[PreparedRows, Bags]:
        """Returns what `prepare` and `bags` return, reading the text once."""
        hashes, counts, own = self._known(ids)
        features, bags = self.features.encode_with_bags(rows, own)
        prepared = PreparedRows(
            id_hashes=hashes,
            has_id=_has_id(ids),
            counts=counts,
            features=features,
            audience=audience or AudienceBatch.none(len(ids), self.audience_width),
        )
        return prepared, bags

    def bags(self, ids: Sequence[str], rows: Sequence[FeatureMap]) -> Bags:
        """Returns the rows' bags; see `FeatureEncoder.bags`. An empty id counts as unseen."""
        _, _, own = self._known(ids)
        return self.features.bags(rows, own)

    def _known(self, ids: Sequence[str]) -> tuple[IdArray, NDArray[np.float32], IdArray | None]:
        """Returns the hashes of ids, how often each was seen, and their own tokens where sets may name them."""
        hashes = hash_values(self.id_domain, ids)
        counts = self.id_counts.counts(hashes)
        # An unseen row gets no token of its own, so that its vector does not depend on its id.
        own = own_tokens(self.id_domain, ids, counts > 0) if self.features.refers_to(self.id_domain) else None
        return hashes, counts, own

    def tower_input(self, rows: PreparedRows, device: torch.device) -> TowerInput:
        """Returns the tower input of `rows` on `device`: codes of ids and categories, and the features."""
        features = rows.features
        codes = hash_family(self.config.category_code, self.seed).codes(features.categories.reshape(-1))
        codes = (
            codes.reshape(*features.categories.shape, self.config.category_code.k) * features.has_category[:, :, None]
        )
        return TowerInput(
            id_codes=torch.from_numpy(self._id_codes(rows.id_hashes)).to(device),
            id_rows=torch.from_numpy(self._id_rows(rows.id_hashes)).to(device),
            has_id=torch.from_numpy(rows.has_id).to(device),
            counts=torch.from_numpy(rows.counts).to(device),
            content=torch.from_numpy(features.content).to(device),
            categories=torch.from_numpy(codes.astype(np.float32, copy=False)).to(device),
            dense=torch.from_numpy(features.dense).to(device),
            audience=torch.from_numpy(rows.audience.codes).to(device),
            audience_sizes=torch.from_numpy(rows.audience.sizes).to(device),
        )

    def _id_codes(self, hashes: IdArray) -> NDArray[np.float32]:
        if self.config.id_encoder not in ("dhe", "hybrid"):
            return np.zeros((len(hashes), 0), dtype=np.float32)
        return hash_family(self.config.id_code, self.seed).codes(hashes)

    def _id_rows(self, hashes: IdArray) -> NDArray[np.int64]:
        return np.zeros(len(hashes), dtype=np.int64) if self.id_table is None else self.id_table.rows(hashes)


def _has_id(ids: Sequence[str]) -> NDArray[np.bool_]:
    return np.fromiter(map(bool, ids), dtype=np.bool_, count=len(ids))
