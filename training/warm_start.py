"""Start of a training run from the weights of an earlier model instead of from random ones.

Kept are the weights of both towers, the running statistics of their normalisation among them, and the hash functions,
which the seed chooses. Fitted anew on the new data are the counts of ids and tokens, the moments of numbers and the
projections of text and sets and of audiences; the state of the optimiser starts empty.

A new projection has other axes, and new moments another scale, so the first layer of a feature decoder, W x + b over
inputs x, is carried over to the new inputs x': W' = W R with x ~ R x', so that the towers begin where they ended. For
numbers and vectors R is exact: with means m and deviations d, x = x' d' / d + p (m' - m) / d, where p is the flag that
says whether there is a value (clipping aside). For projected bags R is the ridge regression of the old projections of
the new data's rows on their new ones, and for projected audiences likewise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from recall.column_names import USER_ID
from recall.errors import ConfigError
from recall.model.artifact import load_artifact
from recall.model.audience import AudienceEncoder
from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.model.features import FeatureEncoder
from recall.model.hashing import hash_values
from recall.model.inputs import SideEncoder
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from training.dataset import TrainingData

_KEPT_SIZES = (
    "dim",
    "id_encoder",
    "id_code",
    "id_decoder",
    "gate",
    "content",
    "content_code",
    "category_code",
    "feature_decoder",
    "audience",
    "audience_decoder",
)
_MAX_ROWS = 8192
_MAX_USERS = 1024
_RIDGE = 1e-3
_LOG = logging.getLogger(__name__)

Matrix: TypeAlias = NDArray[np.float64]


def load_start(folder: Path, *, config: TowerConfig, seed: int) -> EmbeddingModel:
    """Loads the model to start from.

    Args:
        folder: Its artifact.
        config: Sizes of the model to train.
        seed: Its seed.

    Raises:
        ArtifactError: The artifact cannot be used.
        ConfigError: Sizes or seed are others; all differences are named.
    """
    start = load_artifact(folder)
    differences = list(_size_differences(start.config, config))
    if start.seed != seed:
        differences.append(f"seed is {start.seed} there and {seed} here, which means other hash functions")
    if start.config.id_encoder in ("table", "hybrid"):
        differences.append(
            f"towers.id_encoder is {start.config.id_encoder!r}, whose rows belong to the ids of one training"
        )
    if differences:
        raise ConfigError(f"warm_start {folder} does not fit: {'; '.join(differences)}; make them equal or start cold")
    return start


def start_from(start: EmbeddingModel, model: EmbeddingModel, data: TrainingData) -> None:
    """Gives an untrained model the weights of another one.

    Args:
        start: The trained model.
        model: Fitted to `data` but for its weights, which are replaced.
        data: What will be trained on.

    Raises:
        ConfigError: The features of the two are others; all differences are named.
    """
    differences = list(_schema_differences(start.schema, model.schema))
    if differences:
        cure = "give the data the same features, see --features and dataset.toml, or start cold"
        raise ConfigError(f"warm_start {start.model_id[:12]} does not fit: {'; '.join(differences)}; {cure}")
    weights = {name: tensor.detach().cpu().clone() for name, tensor in start.towers.state_dict().items()}
    first = "linear0" if model.config.feature_decoder.depth else "output"
    for name, old, new, rows in (
        ("item", start.items, model.items, _spread(data.item_ids, data.items)),
        ("user", start.users, model.users, _spread(data.user_ids, data.users)),
    ):
        key = f"{name}.features.decoder.layers.{first}.weight"
        weights[key] = _carried(weights[key], old, new, *rows)
    if start.items.audience is not None and model.items.audience is not None:
        turned = _audience_map(start.items.audience, model.items.audience, data)
        for key in ("linear", f"decoder.layers.{'linear0' if model.config.audience_decoder.depth else 'output'}"):
            name = f"item.audience_part.{key}.weight"
            weights[name] = torch.from_numpy(weights[name].double().numpy() @ turned.T).to(weights[name].dtype)
    model.towers.load_state_dict(weights)
    _LOG.info("starting from the weights of model %s", start.model_id[:12])


def _size_differences(old: TowerConfig, new: TowerConfig) -> Iterator[str]:
    for name in _KEPT_SIZES:
        before, now = old.model_dump()[name], new.model_dump()[name]
        if before != now:
            yield f"towers.{name} is {before} there and {now} here"


def _schema_differences(old: DataSchema, new: DataSchema) -> Iterator[str]:
    yield from _spec_differences("item", old.item_features, new.item_features)
    yield from _spec_differences("user", old.user_features, new.user_features)


def _spec_differences(side: str, old: Sequence[FeatureSpec], new: Sequence[FeatureSpec]) -> Iterator[str]:
    before, now = {spec.name: spec for spec in old}, {spec.name: spec for spec in new}
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{side} feature {name!r} is {_shown(before.get(name))} there and {_shown(now.get(name))} here"
    if before == now and list(before) != list(now):
        yield f"{side} features stand in the order {', '.join(before)} there and {', '.join(now)} here"


def _shown(spec: FeatureSpec | None) -> str:
    if spec is None:
        return "absent"
    return f"{spec.kind}{f' of {spec.dim} numbers' if spec.dim else ''} in domain {spec.domain!r}"


def _spread(ids: Sequence[str], rows: Sequence[FeatureMap]) -> tuple[list[str], list[FeatureMap]]:
    """Returns at most so many rows as the regression needs, spread over all."""
    places = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _MAX_ROWS)).astype(np.int64))
    return [ids[place] for place in places], [rows[place] for place in places]


def _carried(
    weight: torch.Tensor, old: SideEncoder, new: SideEncoder, ids: Sequence[str], rows: Sequence[FeatureMap]
) -> torch.Tensor:
    """Returns the weights of a first layer over the inputs of `new`; what is not content or numbers keeps its own."""
    content, dense = old.features.content_width, old.features.dense_width
    values = weight.double().numpy()
    parts = (
        values[:, :content] @ _content_map(old, new, ids, rows).T,
        values[:, content : content + dense] @ _dense_map(old.features, new.features).T,
        values[:, content + dense :],
    )
    return torch.from_numpy(np.concatenate(parts, axis=1)).to(weight.dtype)


def _content_map(old: SideEncoder, new: SideEncoder, ids: Sequence[str], rows: Sequence[FeatureMap]) -> Matrix:
    """Returns R transposed, [new content width, old content width]."""
    if old.features.projection is None or new.features.projection is None:
        return np.eye(new.features.content_width)
    return _ridge_map(old.prepare(ids, rows).features.content, new.prepare(ids, rows).features.content)


def _audience_map(old: AudienceEncoder, new: AudienceEncoder, data: TrainingData) -> Matrix:
    """Returns R transposed, [new rank, old rank]: from audiences of the new data as both models see them."""
    audiences, users = data.audiences(_MAX_USERS), hash_values(USER_ID, data.user_ids)
    rows = np.unique(np.linspace(0, audiences.shape[0] - 1, min(audiences.shape[0], _MAX_ROWS)).astype(np.int64))
    some = audiences[rows]
    hashes, offsets = users[some.indices], some.indptr.astype(np.int64)
    return _ridge_map(*(encoder.encode_bags(encoder.bags(hashes, offsets)).codes for encoder in (old, new)))


def _ridge_map(old: NDArray[np.float32], new: NDArray[np.float32]) -> Matrix:
    """Returns R transposed, [new width, old width], the ridge regression of old inputs on new ones of the same rows."""
    before, now = old.astype(np.float64), new.astype(np.float64)
    ridge = _RIDGE * len(now) * np.eye(now.shape[1])
    return np.asarray(np.linalg.solve(now.T @ now + ridge, now.T @ before), dtype=np.float64)


def _dense_map(old: FeatureEncoder, new: FeatureEncoder) -> Matrix:
    """Returns R transposed, [dense width, dense width]: scale and shift of each number; flags stay as they are."""
    num_numbers, width = len(old.means), old.dense_width
    matrix = np.eye(width)
    matrix[range(num_numbers), range(num_numbers)] = new.deviations / old.deviations
    start = 0
    dense = [spec for spec in old.specs if spec.kind in ("number", "vector")]
    for flag, spec in enumerate(dense, start=num_numbers):
        columns = slice(start, start + (spec.dim or 1))
        matrix[flag, columns] = (new.means[columns] - old.means[columns]) / old.deviations[columns]
        start = columns.stop
    return matrix
