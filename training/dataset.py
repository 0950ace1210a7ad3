"""A data folder as training wants it: dense rows for items and users, and interactions as row numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.errors import DataError
from recall.interactions import PARTS, Interactions
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from recall.tables import ITEM_ID, TRAIN, USER_ID, VALIDATION, DataFolder
from training.references import Side, with_references
from training.split import Parts, assign_parts, carve_parts

_FEW_VALUES = 20
_NO_FEATURES: FeatureMap = {}
_LOG = logging.getLogger(__name__)

RowArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Items, users and interactions by row.

    Attributes:
        schema: Features in use.
        item_ids: All items of the folder.
        items: Their features.
        user_ids: All users with a feature or an interaction.
        users: Their features.
        train: [num_train, 2] int64 (user row, item row), by user, each user's in time order.
        validation: [num_validation, 2] int64, likewise.
        refitted: `train` and `validation` together, where validation was carved out of train; otherwise `train`.
        carved: Whether the validation part was carved out of train.
        later_share: Share of the validation interactions that are no earlier than any train interaction of their user,
            where there are times that differ and the validation part is a given one; None where nothing tells.
    """

    schema: DataSchema
    item_ids: list[str]
    items: list[FeatureMap]
    user_ids: list[str]
    users: list[FeatureMap]
    train: RowArray
    validation: RowArray
    refitted: RowArray
    carved: bool
    later_share: float | None = None

    def item_counts(self) -> RowArray:
        """Returns training interactions an item, [num_items] int64."""
        return np.bincount(self.train[:, 1], minlength=len(self.item_ids)).astype(np.int64)

    def user_counts(self) -> RowArray:
        """Returns training interactions a user, [num_users] int64."""
        return np.bincount(self.train[:, 0], minlength=len(self.user_ids)).astype(np.int64)

    def histories(self, max_history: int) -> csr_matrix:
        """Returns how often each item is among a user's last `max_history` ones, [num_users, num_items] float32.

        A request that names an item twice counts it twice, so training does too.
        """
        items, counts = self.train[:, 1].astype(np.int32), self.user_counts()
        if counts.max(initial=0) > max_history:
            items = items[_latest(counts, max_history)]
            counts = np.minimum(counts, max_history)
        # Train is by user, so its rows are those of the matrix one after another.
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = csr_matrix((np.ones(len(items), dtype=np.float32), items, starts), shape=shape)
        matrix.sum_duplicates()
        return matrix

    def seen(self) -> csr_matrix:
        """Returns ones where a user has a training interaction with an item, [num_users, num_items] float32."""
        matrix = self.histories(max(len(self.train), 1))
        matrix.data[:] = 1.0
        return matrix

    def audiences(self, most: int | None = None) -> csr_matrix:
        """Returns ones where an item was had by a user, [num_items, num_users] float32.

        Args:
            most: Users of one item that are kept, the first ones by row; None keeps all.
        """
        matrix = self.seen().T.tocsr()
        matrix.sort_indices()
        if most is None:
            return matrix
        places = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
        matrix.data[places >= most] = 0.0
        matrix.eliminate_zeros()
        return matrix

    def for_refit(self) -> TrainingData:
        """Returns the data with the carved validation back in train and no validation part."""
        return replace(self, train=self.refitted, validation=self.validation[:0])


def read_training_data(folder: DataFolder, *, features: Sequence[str] | None, seed: int) -> TrainingData:
    """Reads a data folder for training.

    Args:
        folder: The checked folder.
        features: `items.NAME` and `users.NAME` to use; None means all of the schema, an empty sequence none.
        seed: Of the carved validation.

    Raises:
        DataError: A named feature does not exist, or there is no training interaction.
    """
    schema = select_features(folder.schema, features)
    item_ids, items, _ = folder.items()
    known_users, known_features = folder.users()
    interactions = folder.coded_interactions(keep_weights=False)
    parts = assign_parts(interactions, folder.config.split)
    carved = carve_parts(interactions, parts, seed)
    if not (carved == PARTS.index(TRAIN)).any():
        raise DataError(f"{folder.path} has no training interaction; check its split and interactions.min_weight")
    user_ids, users = _user_rows(known_users, interactions)
    order = _by_user_and_time(users, interactions)
    is_carved = not (parts == PARTS.index(VALIDATION)).any()
    train, validation = (_rows(order, carved, users, interactions, part=part) for part in (TRAIN, VALIDATION))
    data = TrainingData(
        schema=schema,
        item_ids=item_ids,
        items=items,
        user_ids=user_ids,
        users=known_features + [_NO_FEATURES] * (len(user_ids) - len(known_features)),
        train=train,
        validation=validation,
        refitted=_rows(order, parts, users, interactions, part=TRAIN) if is_carved else train,
        carved=is_carved,
        later_share=None if is_carved else later_share(parts, users, interactions.timestamps),
    )
    del interactions, parts, carved, users, order
    _notice_titles("items", data.schema.item_features, data.items)
    _notice_titles("users", data.schema.user_features, data.users)
    return _with_references(data, seed)


def later_share(parts: Parts, users: NDArray[np.int32], timestamps: NDArray[np.int64] | None) -> float | None:
    """Returns `TrainingData.later_share` of interactions with their parts, users and times.

    Users without a train interaction, and times that are all the same, tell nothing.
    """
    if timestamps is None or not len(users):
        return None
    train, validation = parts == PARTS.index(TRAIN), parts == PARTS.index(VALIDATION)
    bounds = np.iinfo(np.int64)
    last = np.full(int(users.max()) + 1, bounds.min)
    first = np.full(len(last), bounds.max)
    np.maximum.at(last, users[train], timestamps[train])
    np.minimum.at(first, users[train], timestamps[train])
    asked, times = users[validation], timestamps[validation]
    told = first[asked] < last[asked]
    return float((times[told] >= last[asked[told]]).mean()) if told.any() else None


def _latest(counts: RowArray, most: int) -> NDArray[np.bool_]:
    """Returns which of all users' interactions, one user after another, are among the last ones of each."""
    starts = np.cumsum(counts) - counts
    longer = counts > most
    steps = np.zeros(int(counts.sum()) + 1, dtype=np.int8)
    steps[starts[longer]] += 1
    steps[(starts + counts - most)[longer]] -= 1
    return np.asarray(np.cumsum(steps[:-1], dtype=np.int8) == 0)


def _notice_titles(table: str, specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap]) -> None:
    """Says so where a category looks like a text: nearly every value its own, most of several words."""
    for spec in specs:
        values = [str(row[spec.name]) for row in rows if spec.name in row] if spec.kind == "category" else []
        several = sum(" " in value for value in values)
        if len(values) >= _FEW_VALUES and len(set(values)) > 0.9 * len(values) and several > 0.5 * len(values):
            _LOG.warning(
                "%s.%s is read as a category though nearly every value differs; in dataset.toml, "
                '[%s_features] %s = "text" makes its words count',
                table, spec.name, table.removesuffix("s"), spec.name,
            )  # fmt: skip


def _with_references(data: TrainingData, seed: int) -> TrainingData:
    items = Side(id_domain=ITEM_ID, ids=data.item_ids, rows=data.items, seen=lambda: data.seen().T.tocsr())
    users = Side(id_domain=USER_ID, ids=data.user_ids, rows=data.users, seen=data.seen)
    features = {
        "item_features": with_references(data.schema.item_features, items, seed=seed),
        "user_features": with_references(data.schema.user_features, users, seed=seed),
    }
    return replace(data, schema=data.schema.model_copy(update=features))


def select_features(schema: DataSchema, names: Sequence[str] | None) -> DataSchema:
    """Returns the schema with only the named features: `items.NAME` or `users.NAME`; None keeps all.

    Raises:
        DataError: A name is of no feature; the message lists those there are.
    """
    if names is None:
        return schema
    known = [f"items.{s.name}" for s in schema.item_features] + [f"users.{s.name}" for s in schema.user_features]
    for name in names:
        if name not in known:
            raise DataError(f"feature {name!r} does not exist; choose from {', '.join(known) or 'none'}")
    return schema.model_copy(
        update={
            "item_features": tuple(s for s in schema.item_features if f"items.{s.name}" in names),
            "user_features": tuple(s for s in schema.user_features if f"users.{s.name}" in names),
        }
    )


def _user_rows(known: list[str], interactions: Interactions) -> tuple[list[str], NDArray[np.int32]]:
    """Returns known users, then all others in the order in which they are met; and the row of each interaction."""
    met = pl.Series(interactions.users).unique(maintain_order=True)
    ids = interactions.user_ids.gather(met)
    known_ids = pl.Series(known, dtype=pl.String)
    others = ids.filter(~ids.is_in(known_ids.implode()))
    table = pl.DataFrame({USER_ID: pl.concat([known_ids, others])}).with_row_index("row")
    rows = pl.DataFrame({USER_ID: ids}).join(table, on=USER_ID, how="left", maintain_order="left")["row"]
    row_of = np.zeros(len(interactions.user_ids), dtype=np.int32)
    row_of[met.to_numpy()] = rows.to_numpy()
    return table[USER_ID].to_list(), row_of[interactions.users]


def _by_user_and_time(users: NDArray[np.int32], interactions: Interactions) -> NDArray[np.int64]:
    """Returns the order of the interactions by user, then time, then place in the file."""
    if interactions.timestamps is None:
        return np.argsort(users, kind="stable")
    return np.lexsort((interactions.timestamps, users))


def _rows(
    order: NDArray[np.int64], parts: Parts, users: NDArray[np.int32], interactions: Interactions, *, part: str
) -> RowArray:
    """Returns (user row, item row) of one part in that order."""
    chosen = order[parts[order] == PARTS.index(part)]
    pairs = np.empty((len(chosen), 2), dtype=np.int64)
    pairs[:, 0], pairs[:, 1] = users[chosen], interactions.items[chosen]
    return pairs
