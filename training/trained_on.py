"""Whether a model may be evaluated on a split: what it was trained on must not hold what is asked of it.

An artifact names the interactions that its weights come from by `train_sha256`: the SHA-256 of all distinct pairs of
user and item, each written as `LENGTH:ID` of the user and then of the item (LENGTH in bytes of UTF-8), ascending by
bytes, one after the other. The order of rows does not matter, nor how often a pair occurs.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.errors import DataError
from recall.interactions import Interactions
from recall.model.artifact import ArtifactManifest, read_manifest
from recall.tables import SPLIT, TRAIN, VALIDATION
from training.split import carve_validation

TRAIN_SHA256 = "train_sha256"
"""Name of the digest among the training facts of an artifact."""

_CHUNK = 1 << 16
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedPart:
    """What a model is to be evaluated on.

    Attributes:
        data: Name of the data set.
        path: Its folder.
        split: All interactions with their `split` column, before any validation part is carved out of train.
        part: `validation` or `test`.
    """

    data: str
    path: Path
    split: pl.DataFrame
    part: str


def pairs_sha256(pairs: pl.DataFrame) -> str:
    """Returns the digest of the `user_id` and `item_id` of interactions; see the module's description."""
    coded = Interactions.of(pairs)
    return rows_sha256(np.stack([coded.users, coded.items], axis=1), coded.user_ids, coded.item_ids)


def rows_sha256(rows: NDArray[np.integer], user_ids: pl.Series, item_ids: pl.Series) -> str:
    """Returns the digest of interactions by row, in memory for two numbers of each.

    Args:
        rows: [n, 2] (user row, item row).
        user_ids: Ids by row, strings.
        item_ids: Likewise.
    """
    (users, user_places), (items, item_places) = (_by_bytes(ids) for ids in (user_ids, item_ids))
    # No written id begins another one, so pairs are in the order of their users and then of their items.
    keys = user_places[rows[:, 0]] * np.int64(max(len(items), 1))
    keys += item_places[rows[:, 1]]
    keys.sort()
    digest = hashlib.sha256()
    last = -1
    for start in range(0, len(keys), _CHUNK):
        some = np.unique(keys[start : start + _CHUNK])
        some = some[some > last]
        if not len(some):
            continue
        last = int(some[-1])
        written = users.gather(some // len(items)) + items.gather(some % len(items))
        digest.update("".join(written.to_list()).encode())
    return digest.hexdigest()


def _by_bytes(ids: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """Returns ids as they are written, ascending by bytes, and the place of each row's id among them."""
    written = ids.str.len_bytes().cast(pl.String) + ":" + ids
    order = written.arg_sort().to_numpy()
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return written.gather(order), places


def refuse_other_split(model: Path, evaluated: EvaluatedPart) -> None:
    """Refuses a model that may have been trained on what it is to be evaluated on.

    A model of another data set is let pass with a notice: its ids mean something else. So is an artifact of an earlier
    release, which does not say what it was trained on.

    Args:
        model: The artifact.
        evaluated: Data folder and part.

    Raises:
        ArtifactError: The manifest is missing or damaged.
        DataError: The model was trained on another train part of the same data set, or on the carved validation part
            that is evaluated.
    """
    manifest = read_manifest(model)
    trained_on = manifest.training.get(TRAIN_SHA256)
    if manifest.schema_.name != evaluated.data:
        if trained_on not in _train_digests(evaluated.split, manifest):
            _LOG.warning(
                "%s was trained on the data %r, not on %r; if these are the same users and items under another name, it"
                " may have seen what is evaluated", model, manifest.schema_.name, evaluated.data,
            )  # fmt: skip
        return
    if trained_on is None:
        _LOG.warning(
            "%s does not say which interactions it was trained on, as artifacts of this release do; figures on a split"
            " that it was not trained for are too high", model,
        )  # fmt: skip
        return
    whole, carved = _train_digests(evaluated.split, manifest)
    if trained_on == carved or (trained_on == whole and evaluated.part != VALIDATION):
        return
    if trained_on == whole:
        raise DataError(
            f"{model} was trained again on all of train (refit), which holds the validation part that is carved out of"
            " it; evaluate --split test, or a model trained without refit"
        )
    raise DataError(
        f"{model} was trained on another train part of {evaluated.data!r} (interactions {str(trained_on)[:12]}) than"
        f" that of {evaluated.path} ({whole[:12]}), so it may have seen what is evaluated; train on this folder, or"
        " evaluate on the one that it was trained on"
    )


def _train_digests(split: pl.DataFrame, manifest: ArtifactManifest) -> tuple[str, str]:
    """Returns the digests of all of train, and of what the model's seed leaves of it where validation is carved."""
    whole = pairs_sha256(split.filter(pl.col(SPLIT) == TRAIN))
    if (split[SPLIT] == VALIDATION).any():
        return whole, whole
    return whole, pairs_sha256(carve_validation(split, manifest.seed).filter(pl.col(SPLIT) == TRAIN))


def refuse_held_out_audiences(snapshot: Path, counted: Mapping[str, int], train: Mapping[str, int]) -> None:
    """Refuses a snapshot whose items were embedded with interactions that are held out.

    Args:
        snapshot: Named in the error.
        counted: Interactions by item that the catalogue held when the snapshot was made.
        train: Those of the train part that may be known.

    Raises:
        DataError: An item has more than it may have.
    """
    for item_id, count in counted.items():
        known = train.get(item_id, 0)
        if count > known:
            raise DataError(
                f"{snapshot}: item {item_id!r} was embedded with {count} interactions, and train has {known} of it: its"
                " vector may tell who had it in the part that is evaluated; evaluate the model (--model), or load the"
                " catalogue from a folder with a split column, whose train part alone is loaded"
            )
