"""Golden inputs of an artifact: a few items and users with the hashes and vectors they had when the model was saved.

Loading encodes them again. Hashes must be equal to the bit, since one other bit makes every learned weight meaningless;
vectors may differ by rounding between machines, at most `TOLERANCE` in any element.

golden.json: {"items": [{"item_id", "features", "audience"}], "users": [{"user_id", "features"}], "hash_sha256": digest
of the hash values of all ids (int64, little-endian, items first), "item_vectors": [[float]], "user_vectors":
[[float]]}. A user's history is all golden items; an item's audience, absent where it is empty, some of those who had
it. A model with a sparse part has "item_bags" besides: [{"tokens": [int], "weights": [float]}] with tokens ascending;
tokens must be equal to the bit, weights within `TOLERANCE`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from recall.column_names import ITEM_ID, USER_ID
from recall.errors import ArtifactError
from recall.model.bags import Bags
from recall.model.embedding import EmbeddingModel, UserInput
from recall.model.hashing import hash_values
from recall.model.inputs import hash_family
from recall.model.item_encoding import ItemEncoding
from recall.schema import FeatureMap, FeatureSpec, FeatureValue
from recall.values import checked_value

TOLERANCE = 1e-4


class _BagRow(TypedDict):
    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Raw golden inputs.

    Attributes:
        item_ids: Some items, seen and unseen.
        items: Their features.
        user_ids: Some users.
        users: Their features.
        audiences: Users who had each item; nobody is named where there are none.
    """

    item_ids: tuple[str, ...]
    items: tuple[FeatureMap, ...]
    user_ids: tuple[str, ...]
    users: tuple[FeatureMap, ...]
    audiences: tuple[tuple[str, ...], ...] = ()

    def audience_of(self, item_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Returns the users who had each golden item."""
        known = dict(zip(self.item_ids, self.audiences, strict=False))
        return [known.get(item_id, ()) for item_id in item_ids]


def make_golden(model: EmbeddingModel, golden: Golden) -> bytes:
    """Encodes the golden inputs and returns the bytes of `golden.json`."""
    digest, items, users = _encode(model, golden)
    record: dict[str, object] = {
        "items": _item_rows(golden),
        "users": _rows(USER_ID, golden.user_ids, golden.users),
        "hash_sha256": digest,
        "item_vectors": items.vectors.astype(np.float64).tolist(),
        "user_vectors": users.astype(np.float64).tolist(),
    }
    if items.bags is not None:
        record["item_bags"] = _bag_rows(items.bags)
    return json.dumps(record, sort_keys=True).encode()


def check_golden(model: EmbeddingModel, data: bytes, file: Path) -> None:
    """Encodes the golden inputs of `data` again and compares.

    Raises:
        ArtifactError: A hash or token differs, or a vector or weight by more than `TOLERANCE`.
    """
    record = json.loads(data)
    golden = Golden(
        item_ids=tuple(row[ITEM_ID] for row in record["items"]),
        items=tuple(_features(row["features"], model.schema.item_features) for row in record["items"]),
        user_ids=tuple(row[USER_ID] for row in record["users"]),
        users=tuple(_features(row["features"], model.schema.user_features) for row in record["users"]),
        audiences=tuple(tuple(row.get("audience", ())) for row in record["items"]),
    )
    digest, items, users = _encode(model, golden)
    if digest != record["hash_sha256"]:
        raise ArtifactError(f"{file}: hashes differ from those at training; use the release that trained the model")
    for name, seen in (("item_vectors", items.vectors), ("user_vectors", users)):
        _check_close(seen, record[name], f"{file}: {name}")
    if items.bags is not None:
        _check_bags(_bag_rows(items.bags), record.get("item_bags", []), file)


def _check_bags(seen: Sequence[_BagRow], wanted: Sequence[_BagRow], file: Path) -> None:
    if [row["tokens"] for row in seen] != [row["tokens"] for row in wanted]:
        raise ArtifactError(
            f"{file}: tokens of item_bags differ from those at training; use the release that trained the model"
        )
    for row, expected in zip(seen, wanted, strict=True):
        _check_close(np.array(row["weights"], dtype=np.float32), expected["weights"], f"{file}: item_bags")


def _check_close(seen: NDArray[np.float32], wanted: object, place: str) -> None:
    expected = np.array(wanted, dtype=np.float32).reshape(seen.shape)
    difference = float(np.abs(seen - expected).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ArtifactError(
            f"{place} differ by {difference:.2g}, at most {TOLERANCE} is allowed; use the versions of torch"
            " and numpy that trained the model, or train anew"
        )


def _encode(model: EmbeddingModel, golden: Golden) -> tuple[str, ItemEncoding, NDArray[np.float32]]:
    hashes = np.concatenate([hash_values(ITEM_ID, golden.item_ids), hash_values(USER_ID, golden.user_ids)])
    values = hash_family(model.config.id_code, model.seed).hashes(hashes).astype("<i8")
    items = model.with_audiences(golden.audience_of).encode_items(golden.item_ids, golden.items)
    inputs = [
        UserInput(user_id=user_id, features=features, history=items.vectors)
        for user_id, features in zip(golden.user_ids, golden.users, strict=True)
    ]
    return hashlib.sha256(values.tobytes()).hexdigest(), items, model.embed_users(inputs)


def _bag_rows(bags: Bags) -> list[_BagRow]:
    rows: list[_BagRow] = []
    for start, end in pairwise(bags.offsets.tolist()):
        tokens, weights = bags.tokens[start:end], bags.weights[start:end]
        order = np.argsort(tokens)
        rows.append({"tokens": tokens[order].tolist(), "weights": weights[order].astype(np.float64).tolist()})
    return rows


def _item_rows(golden: Golden) -> list[dict[str, object]]:
    rows = _rows(ITEM_ID, golden.item_ids, golden.items)
    for row, audience in zip(rows, golden.audience_of(golden.item_ids), strict=True):
        if audience:
            row["audience"] = list(audience)
    return rows


def _rows(key: str, ids: Sequence[str], rows: Sequence[FeatureMap]) -> list[dict[str, object]]:
    return [
        {key: row_id, "features": {name: _json(value) for name, value in row.items()}}
        for row_id, row in zip(ids, rows, strict=True)
    ]


def _json(value: FeatureValue) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _features(row: dict[str, object], specs: Sequence[FeatureSpec]) -> FeatureMap:
    kinds = {spec.name: spec for spec in specs}
    return {name: cast(FeatureValue, checked_value(kinds[name], value)) for name, value in row.items() if name in kinds}
