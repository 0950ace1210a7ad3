"""Checks of what is to be written against the served model, and the embedding of items before they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.bags import Bags
from index.protocols import FloatArray
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.generation import Embedder
from recall.live.item_vectors import KnownFeatures, indexed_bags, known_features, usable_rows
from recall.live.records import ItemRecord, UserRecord
from recall.live.writes import WarningCode, WriteWarning
from recall.schema import FeatureMap, FeatureSpec

MAX_REMARKS_BYTES = 2**20
"""Longest list of unknown features in one reply: gRPC clients take 4 MiB at most unless they say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One item that was embedded before it was stored.

    Attributes:
        features: What was embedded.
        vector: [dim] float32.
        bag: Its one bag; None where the model has no sparse part.
    """

    features: FeatureMap
    vector: FloatArray
    bag: Bags | None


def tried_items(model: Embedder, items: Sequence[ItemRecord]) -> tuple[dict[str, Trial], tuple[WriteWarning, ...]]:
    """Embeds items and returns trials by id, and remarks in the order of the items.

    Raises:
        InvalidRequestError: Some do not fit the model; all of them are listed.
    """
    known = _checked(model.schema.item_features, [item.features for item in items], path="items")
    remarks = (w for item, k in zip(items, known, strict=True) for w in _item_remarks(model, item, k))
    return _tried(model, items, known), _bounded(tuple(remarks))


def check_users(model: Embedder, users: Sequence[UserRecord]) -> None:
    """Checks that the model can read the features of users.

    Raises:
        InvalidRequestError: Some do not fit the model; all of them are listed.
    """
    _checked(model.schema.user_features, [user.features for user in users], path="users")


def user_remarks(model: Embedder, users: Sequence[UserRecord]) -> tuple[WriteWarning, ...]:
    """Returns remarks about users, in their order."""
    remarks = (
        WriteWarning(user_id=user.user_id, code=WarningCode.UNKNOWN_FEATURE, message=_unknown(name))
        for user in users
        for name in _unknown_names(model.schema.user_features, user.features)
    )
    return _bounded(tuple(remarks))


def _checked(specs: Sequence[FeatureSpec], features: Sequence[FeatureMap], *, path: str) -> list[KnownFeatures]:
    known = [known_features(specs, raw) for raw in features]
    violations = [
        FieldViolation(field=f"{path}[{position}].features.{name}", description=problem)
        for position, found in enumerate(known)
        for name, problem in found.problems.items()
    ]
    if violations:
        raise InvalidRequestError(violations)
    return known


def _tried(model: Embedder, items: Sequence[ItemRecord], known: Sequence[KnownFeatures]) -> dict[str, Trial]:
    if not items:
        return {}
    encoded = model.encode_items([item.item_id for item in items], [k.features for k in known])
    unusable = np.flatnonzero(~usable_rows(encoded.vectors))
    if len(unusable):
        text = "the served model makes no usable vector of its features; look for extreme numbers"
        raise InvalidRequestError([FieldViolation(field=f"items[{p}].features", description=text) for p in unusable])
    bags = indexed_bags(encoded)
    return {
        item.item_id: Trial(
            features=item.features,
            vector=encoded.vectors[row],
            bag=None if bags is None else bags.take(np.array([row])),
        )
        for row, item in enumerate(items)
    }


def _item_remarks(model: Embedder, item: ItemRecord, known: KnownFeatures) -> list[WriteWarning]:
    remarks = [
        WriteWarning(item_id=item.item_id, code=WarningCode.UNKNOWN_FEATURE, message=_unknown(name))
        for name in _unknown_names(model.schema.item_features, item.features)
    ]
    if not known.features:
        message = "no feature of the item is known to the served model; its vector says nothing about it"
        remarks.append(WriteWarning(item_id=item.item_id, code=WarningCode.LOW_INFORMATION, message=message))
    return remarks


def _unknown_names(specs: Sequence[FeatureSpec], features: Mapping[str, object]) -> list[str]:
    return sorted(features.keys() - {spec.name for spec in specs})


def _unknown(name: str) -> str:
    return f"feature {name!r} is not known to the served model; it is stored for the next one"


def _bounded(remarks: Sequence[WriteWarning]) -> tuple[WriteWarning, ...]:
    """Returns remarks with the unknown features that would make the list too long counted in one last remark."""
    kept: list[WriteWarning] = []
    left: list[WriteWarning] = []
    size_bytes = 0
    for remark in remarks:
        if remark.code == WarningCode.UNKNOWN_FEATURE:
            size_bytes += sum(
                len(text.encode()) for text in (remark.item_id, remark.user_id, remark.code, remark.message)
            )
            if size_bytes > MAX_REMARKS_BYTES:
                left.append(remark)
                continue
        kept.append(remark)
    if left:
        first = left[0]
        message = (
            f"and {len(left):,} more unknown features, from this entry on; all of them are stored for the next model"
        )
        kept.append(replace(first, message=message))
    return tuple(kept)
