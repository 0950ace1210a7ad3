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
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from recall.tables import ITEM_ID, SPLIT, TIMESTAMP, TRAIN, USER_ID, VALIDATION, DataFolder
from training.references import Side, with_references
from training.split import assign_split, carve_validation

_FEW_VALUES = 20
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
        users, items = self.train[:, 0], self.train[:, 1]
        counts = self.user_counts()
        place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = place >= np.repeat(counts, counts) - max_history
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = csr_matrix((np.ones(int(kept.sum()), dtype=np.float32), (users[kept], items[kept])), shape=shape)
        matrix.sum_duplicates()
        return matrix

    def seen(self) -> csr_matrix:
        """Returns ones where a user has a training interaction with an item, [num_users, num_items] float32."""
        matrix = self.histories(len(self.train))
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

    def train_pairs(self) -> pl.DataFrame:
        """Returns `user_id` and `item_id` of the training interactions."""
        users, items = self.train.T
        columns = {USER_ID: pl.Series(self.user_ids)[users], ITEM_ID: pl.Series(self.item_ids)[items]}
        return pl.DataFrame(columns, schema={USER_ID: pl.String, ITEM_ID: pl.String})

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
    split = assign_split(folder.interactions(), folder.config.split)
    carved = carve_validation(split, seed)
    user_ids = list(dict.fromkeys(known_users + split[USER_ID].to_list()))
    if not (carved[SPLIT] == TRAIN).any():
        raise DataError(f"{folder.path} has no training interaction; check its split and interactions.min_weight")
    data = TrainingData(
        schema=schema,
        item_ids=item_ids,
        items=items,
        user_ids=user_ids,
        users=known_features + [{} for _ in range(len(user_ids) - len(known_features))],
        train=_rows(carved, user_ids, item_ids, part=TRAIN),
        validation=_rows(carved, user_ids, item_ids, part=VALIDATION),
        refitted=_rows(split, user_ids, item_ids, part=TRAIN),
        carved=not split[SPLIT].eq(VALIDATION).any(),
        later_share=later_share(split),
    )
    _notice_titles("items", data.schema.item_features, data.items)
    _notice_titles("users", data.schema.user_features, data.users)
    return _with_references(data, seed)


def later_share(split: pl.DataFrame) -> float | None:
    """Returns `TrainingData.later_share` of interactions with their `split` column.

    Users without a train interaction, and times that are all the same, tell nothing.
    """
    if TIMESTAMP not in split.columns:
        return None
    train = split.filter(pl.col(SPLIT) == TRAIN)
    last = train.group_by(USER_ID).agg(pl.col(TIMESTAMP).max().alias("last"), pl.col(TIMESTAMP).min().alias("first"))
    compared = split.filter(pl.col(SPLIT) == VALIDATION).join(last.filter(pl.col("first") < pl.col("last")), on=USER_ID)
    return None if compared.is_empty() else int((compared[TIMESTAMP] >= compared["last"]).sum()) / len(compared)


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
    seen = data.seen()
    items = Side(id_domain=ITEM_ID, ids=data.item_ids, rows=data.items, seen=seen.T.tocsr())
    users = Side(id_domain=USER_ID, ids=data.user_ids, rows=data.users, seen=seen)
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


def _rows(split: pl.DataFrame, user_ids: list[str], item_ids: list[str], *, part: str) -> RowArray:
    """Returns (user row, item row) of one part, by user and within a user by time, then file order."""
    table = split.filter(pl.col(SPLIT) == part)
    if TIMESTAMP in table.columns:
        table = table.sort(TIMESTAMP, maintain_order=True)
    user_rows = {user_id: row for row, user_id in enumerate(user_ids)}
    item_rows = {item_id: row for row, item_id in enumerate(item_ids)}
    users = [user_rows[user_id] for user_id in table[USER_ID].to_list()]
    items = [item_rows[item_id] for item_id in table[ITEM_ID].to_list()]
    pairs = np.array([users, items], dtype=np.int64).T.reshape(-1, 2)
    return pairs[np.argsort(pairs[:, 0], kind="stable")]
