"""An untrained model, fitted to the training data: hashed counts, token statistics, moments, first weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from recall.model.audience import AudienceEncoder, audience_bags
from recall.model.bags import unit_weights
from recall.model.codes import IdArray
from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.model.features import FeatureEncoder, refers_to
from recall.model.golden import Golden
from recall.model.hashing import hash_values
from recall.model.id_table import IdTable
from recall.model.inputs import SideEncoder, hash_family, own_tokens
from recall.model.projection import ContentProjection
from recall.model.sketch import CountSketch
from recall.tables import ITEM_ID, USER_ID
from training.dataset import RowArray, TrainingData

_GOLDEN_ROWS = 6
_GOLDEN_AUDIENCE = 32


def build_model(data: TrainingData, config: TowerConfig, *, seed: int) -> EmbeddingModel:
    """Returns a model with everything fitted but the weights, which are drawn from `seed`."""
    users = _side(data, config, seed, items=False)
    items = _side(data, config, seed, items=True)
    if config.audience:
        items = replace(items, audience=_fitted_audience(data, config, users.id_counts, seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EmbeddingModel(data.schema, config, items=items, users=users)


def golden_inputs(data: TrainingData) -> Golden:
    """Returns a few items and users spread over the data, and an unseen one of each."""
    item_rows = np.unique(np.linspace(0, len(data.item_ids) - 1, _GOLDEN_ROWS).astype(np.int64))
    audiences = data.audiences(_GOLDEN_AUDIENCE)
    user_rows = np.unique(np.linspace(0, len(data.user_ids) - 1, _GOLDEN_ROWS).astype(np.int64))
    return Golden(
        item_ids=(*(data.item_ids[row] for row in item_rows), "\x1funseen"),
        items=(*(data.items[row] for row in item_rows), data.items[int(item_rows[0])]),
        user_ids=(*(data.user_ids[row] for row in user_rows), "\x1funseen"),
        users=(*(data.users[row] for row in user_rows), {}),
        audiences=tuple(
            tuple(data.user_ids[user] for user in audiences.indices[slice(*audiences.indptr[row : row + 2])])
            for row in item_rows
        ),
    )


def _fitted_audience(data: TrainingData, config: TowerConfig, user_counts: CountSketch, seed: int) -> AudienceEncoder:
    audiences, max_users = data.audiences(), config.max_audience
    hashes = hash_values(USER_ID, data.user_ids)[audiences.indices]
    bags = audience_bags(hashes, audiences.indptr.astype(np.int64), user_counts, max_users=max_users)
    bags = replace(bags, weights=unit_weights(bags.weights, bags.offsets))
    sizes, num_users = config.audience_projection, int((data.user_counts() > 0).sum())
    rank = sizes.rank_within(int((data.item_counts() > 0).sum()), num_users)
    projection = ContentProjection.fit(bags, buckets=sizes.buckets_for(num_users), rank=rank, seed=seed, whiten=True)
    return AudienceEncoder(projection=projection, user_counts=user_counts, max_users=max_users)


def _side(data: TrainingData, config: TowerConfig, seed: int, *, items: bool) -> SideEncoder:
    specs = data.schema.item_features if items else data.schema.user_features
    rows = data.items if items else data.users
    domain, ids = (ITEM_ID, data.item_ids) if items else (USER_ID, data.user_ids)
    counts = data.item_counts() if items else data.user_counts()
    own = own_tokens(domain, ids, counts > 0) if refers_to(specs, domain) else None
    family = hash_family(config.content_code, seed)
    features = FeatureEncoder.fit(specs, rows, family=family, config=config, own_tokens=own)
    if config.content == "svd":
        features = features.with_projection(config.content_projection, rows, own_tokens=own)
    hashes, seen = hash_values(domain, ids), counts > 0
    return SideEncoder(
        id_domain=domain,
        features=features,
        id_counts=CountSketch.build(hashes[seen], counts[seen], seed=seed, max_bytes=config.max_sketch_bytes),
        id_table=_id_table(hashes[seen], counts[seen], config),
        audience=None,
        config=config,
        seed=seed,
    )


def _id_table(hashes: IdArray, counts: RowArray, config: TowerConfig) -> IdTable | None:
    if config.id_encoder == "hybrid":
        return IdTable.of_most_frequent(hashes, counts, num_ids=config.hybrid_rows)
    return IdTable.of(hashes) if config.id_encoder == "table" else None
