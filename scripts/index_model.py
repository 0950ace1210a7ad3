"""The vectors of a trained model as a set of the index benchmark: items, with users as queries."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from index.protocols import FloatArray
from index_data import VectorSet, divided_set, queried_set
from recall.errors import DataError
from recall.tables import ITEM_ID, SPLIT, TRAIN, USER_ID, DataFolder

_NUM_QUERIES = 1_000


def model_set(work: Path, source: Path, data: Path | None) -> VectorSet:
    """Returns the set of a model.

    Args:
        work: Where it is kept.
        source: `.npy` file of [n, dim] float32 vectors, of which some, drawn by chance, are the queries; or the folder
            of a model, whose items are the vectors and whose users, drawn by chance among those with items in the
            train part, are the queries.
        data: Data folder of the model; only and always with one.

    Raises:
        ArtifactError: The model cannot be loaded.
        DataError: Source and data folder do not go together, or the file is no matrix of float32.
    """
    if source.is_dir() != (data is not None):
        raise DataError(
            f"{source} with data folder {data}; want a .npy file alone, or the folder of a model and --data"
        )
    if data is None:
        vectors = _matrix(source)
        return divided_set(work, f"{source.stem}-{_digest(vectors)}", vectors)
    vectors, queries = _embedded(source, data)
    return queried_set(work, f"{data.name}-{_digest(vectors)}", vectors, queries)


def _matrix(file: Path) -> FloatArray:
    try:
        vectors = np.load(file, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{file} is no .npy file: {error}") from None
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise DataError(f"{file} holds {vectors.dtype} {list(vectors.shape)}; want float32 of 2 axes")
    return np.asarray(vectors)


def _embedded(model_folder: Path, data: Path) -> tuple[FloatArray, FloatArray]:
    from recall.model.artifact import load_artifact
    from recall.model.embedding import UserInput

    model, folder = load_artifact(model_folder), DataFolder.open(data)
    item_ids, features, _ = folder.items()
    interactions = folder.interactions()
    if SPLIT in interactions.columns:
        interactions = interactions.filter(pl.col(SPLIT) == TRAIN)
    had = dict(interactions.group_by(ITEM_ID).agg(USER_ID).iter_rows())
    vectors = model.with_audiences(lambda ids: [had.get(i, ()) for i in ids]).embed_items(item_ids, features)
    rows = {item_id: row for row, item_id in enumerate(item_ids)}
    known = dict(zip(*folder.users(), strict=True))
    histories = interactions.group_by(USER_ID).agg(pl.col(ITEM_ID)).sort(USER_ID)
    drawn = np.random.default_rng(0).permutation(len(histories))[:_NUM_QUERIES]
    users = [
        UserInput(
            user_id=user_id,
            features=known.get(user_id, {}),
            history=vectors[[rows[item_id] for item_id in items][-model.max_history :]],
        )
        for user_id, items in histories[drawn.tolist()].iter_rows()
    ]
    return vectors, model.embed_users(users)


def _digest(vectors: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()[:8]
