"""The three periods of the loop: what a first model learns from, what is recorded while it serves, what comes later."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recall.model.hashing import hash_values
from recall.tables import (
    CONFIG_FILE,
    INTERACTIONS_FILE,
    ITEM_ID,
    ITEMS_FILE,
    SPLIT,
    TEST,
    TIMESTAMP,
    TRAIN,
    USER_ID,
    USERS_FILE,
    VALIDATION,
    DataFolder,
)
from training.split import assign_split
from training.synthetic import write_synthetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Interactions by period.

    Attributes:
        past: The train part.
        recorded: The validation part, in the order of time where there is one.
        later: The test part.
    """

    past: pl.DataFrame
    recorded: pl.DataFrame
    later: pl.DataFrame

    @classmethod
    def of(cls, data: Path, *, num_users: int | None) -> Periods:
        """Reads a data folder.

        Args:
            data: The folder.
            num_users: How many users to keep, drawn by a hash of their ids; None keeps all.
        """
        folder = DataFolder.open(data)
        table = assign_split(folder.interactions(), folder.config.split)
        if num_users is not None:
            users = table[USER_ID].unique().sort()
            order = pl.Series(hash_values("loop", users.to_list())).arg_sort()
            table = table.join(users[order[:num_users]].to_frame(), on=USER_ID, how="semi", maintain_order="left")
        parts = {part: table.filter(pl.col(SPLIT) == part) for part in (TRAIN, VALIDATION, TEST)}
        recorded = parts[VALIDATION]
        if TIMESTAMP in table.columns:
            recorded = recorded.sort(TIMESTAMP, maintain_order=True)
        return cls(past=parts[TRAIN], recorded=recorded, later=parts[TEST])

    def wanted(self) -> dict[str, frozenset[str]]:
        """Returns the later items of each user."""
        grouped = self.later.group_by(USER_ID, maintain_order=True).agg(pl.col(ITEM_ID))
        return {user_id: frozenset(item_ids) for user_id, item_ids in grouped.iter_rows()}

    def write_past(self, data: Path, out: Path) -> Path:
        """Writes a data folder like `data` with the interactions of the past alone and returns it."""
        out.mkdir()
        for name in (ITEMS_FILE, USERS_FILE, CONFIG_FILE):
            if (data / name).exists():
                shutil.copyfile(data / name, out / name)
        self.past.write_parquet(out / INTERACTIONS_FILE)
        return out


def write_halved_synthetic(folder: Path) -> Path:
    """Writes a small synthetic folder of which every other train interaction is recorded later, and returns it."""
    write_synthetic(folder, seed=0, num_items=600, num_users=300)
    table = pl.read_parquet(folder / INTERACTIONS_FILE)
    is_moved = (pl.col(SPLIT) == TRAIN) & (pl.int_range(pl.len()) % 2 == 1)
    moved = table.with_columns(pl.when(is_moved).then(pl.lit(VALIDATION)).otherwise(pl.col(SPLIT)).alias(SPLIT))
    moved.write_parquet(folder / INTERACTIONS_FILE)
    return folder
