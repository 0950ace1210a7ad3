"""Embedding of raw items, where one that does not fit the model never stops the others.

An item does not fit where a feature has another kind than the model was trained with (the catalogue may have been made
from another data folder than the model), or where its vector comes out zero or not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.bags import Bags
from index.protocols import FloatArray
from recall.live.generation import Embedder
from recall.model.item_encoding import ItemEncoding
from recall.schema import FeatureMap, FeatureSpec, FeatureValue
from recall.values import checked_value


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFeatures:
    """Those features that a model reads.

    Attributes:
        features: Present values in the form the model wants.
        problems: What is wrong, by feature name.
    """

    features: FeatureMap
    problems: Mapping[str, str]


def known_features(specs: Sequence[FeatureSpec], features: FeatureMap) -> KnownFeatures:
    """Picks the features that `specs` name and checks them."""
    values: dict[str, FeatureValue] = {}
    problems: dict[str, str] = {}
    for spec in specs:
        try:
            value = checked_value(spec, features.get(spec.name))
        except ValueError as error:
            problems[spec.name] = str(error)
            continue
        if value is not None:
            values[spec.name] = value
    return KnownFeatures(features=values, problems=problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVectors:
    """Vectors of those items that could be embedded.

    Attributes:
        item_ids: Items in the order given.
        vectors: [len(item_ids), dim] float32.
        bags: One an item; None where the model has no sparse part.
        skipped: Reason by id of each item that could not be embedded.
    """

    item_ids: list[str]
    vectors: FloatArray
    bags: Bags | None
    skipped: dict[str, str]


def embed_stored(model: Embedder, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> ItemVectors:
    """Embeds items; those that do not fit the model are skipped with a reason."""
    known = [known_features(model.schema.item_features, raw) for raw in features]
    skipped = {i: _joined(k.problems) for i, k in zip(item_ids, known, strict=True) if k.problems}
    fitting = [(i, k.features) for i, k in zip(item_ids, known, strict=True) if not k.problems]
    if not fitting:
        bags = Bags.none(0) if model.fusion.is_on else None
        return ItemVectors(item_ids=[], vectors=np.empty((0, model.dim), np.float32), bags=bags, skipped=skipped)
    ids = [i for i, _ in fitting]
    encoded = model.encode_items(ids, [f for _, f in fitting])
    usable = usable_rows(encoded.vectors)
    skipped |= {ids[row]: "its vector is zero or not finite" for row in np.flatnonzero(~usable)}
    rows, bags = np.flatnonzero(usable), indexed_bags(encoded)
    return ItemVectors(
        item_ids=[ids[row] for row in rows],
        vectors=encoded.vectors[rows],
        bags=None if bags is None else bags.take(rows),
        skipped=skipped,
    )


def indexed_bags(encoded: ItemEncoding) -> Bags | None:
    """Returns the bags as an index takes them, one an item; None where the model has no sparse part."""
    bags = encoded.bags
    return None if bags is None else Bags.of(bags.tokens, bags.weights, bags.offsets)


def usable_rows(vectors: FloatArray) -> NDArray[np.bool_]:
    """Returns which rows of [n, dim] are finite and not zero: those that an index takes."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    usable: NDArray[np.bool_] = np.isfinite(squares) & (squares > 0)
    return usable


def _joined(problems: Mapping[str, str]) -> str:
    return "; ".join(f"feature {name!r}: {problem}" for name, problem in problems.items())


def same_features(left: FeatureMap, right: FeatureMap) -> bool:
    """Returns whether two feature maps hold equal values under equal names."""
    if left is right:
        return True
    return left.keys() == right.keys() and all(_equal(value, right[name]) for name, value in left.items())


def _equal(left: FeatureValue, right: FeatureValue) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and np.array_equal(left, right)
    return type(left) is type(right) and left == right
