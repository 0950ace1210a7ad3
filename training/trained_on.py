"""Whether a model may be evaluated on a split: what it was trained on must not hold what is asked of it.

An artifact names the interactions that its weights come from by `train_sha256`: the SHA-256 of all distinct pairs of
user and item, each written as `LENGTH:ID` of the user and then of the item (LENGTH in bytes of UTF-8), ascending by
bytes, one after the other. The order of rows does not matter, nor how often a pair occurs.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recall.errors import DataError
from recall.model.artifact import ArtifactManifest, read_manifest
from recall.tables import ITEM_ID, SPLIT, TRAIN, USER_ID, VALIDATION
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
    written = (part for column in (USER_ID, ITEM_ID) for part in (pl.col(column).str.len_bytes(), pl.lit(":"), column))
    ordered = pairs.select(pl.concat_str(*written).unique().sort())
    digest = hashlib.sha256()
    for chunk in ordered.iter_slices(_CHUNK):
        digest.update("".join(chunk.to_series().to_list()).encode())
    return digest.hexdigest()


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
