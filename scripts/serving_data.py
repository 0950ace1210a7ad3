"""A deployment that serving is measured with: items by the hundred thousand, a small model, a graph over its vectors.

Items are draws around 2,000 centres (`index_data.clustered`), which stand among the features as an image vector, beside
a title of four words, two tags, a brand and a price. A user has chosen twenty items, most of them of three centres. The
model is trained for ten epochs on the first 5,000 items and 2,000 users: vectors of 64 dimensions, and no sparse part,
whose exact words would be a search of their own (`benchmark_profiles.py` measures that). Nothing here depends on what
the model has learned.

What is made is kept in a folder, each step once: a graph of 500,000 rows takes minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deployment import Deployment, train
from index.protocols import FloatArray
from index.snapshot import snapshot_names, write_folder
from index_data import NOISE, NUM_CENTRES
from recall.cli.output import say
from recall.live.records import ItemRecord
from recall.tables import CONFIG_FILE, INTERACTIONS_FILE, ITEM_ID, ITEMS_FILE, USER_ID, USERS_FILE
from server_process import run_recall

HISTORY = 20
"""Items that a user has chosen."""
IMAGE_DIM = 64
_NUM_WORDS, _NUM_TAGS, _NUM_BRANDS = 20_000, 500, 300
_COUNTRIES = ("DE", "DK", "FR", "GB", "JP", "NO", "PT", "US")
_TRAINED_ITEMS, _TRAINED_USERS = 5_000, 2_000
_GRAPH = "ef_search = 256\n"
"""Finds .97 of what exact search finds of the vectors of users."""
TRAINING = """\
epochs = 10

[towers]
dim = 64

[fusion]
content = "none"
"""
_DATASET = """\
name = "serving"

[item_features]
title = "text"
tags = "set"
brand = "category"
price = "number"
image = "vector"

[user_features]
country = "category"

[item_attributes]
brand = "category"
price = "number"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is made.

    Attributes:
        items: Items that are loaded and indexed.
        users: Users that are stored, with their histories.
    """

    items: int
    users: int


FULL = Sizes(items=500_000, users=20_000)
QUICK = Sizes(items=3_000, users=300)


def user_ids(sizes: Sizes) -> list[str]:
    """Returns the ids of the stored users."""
    return [f"user-{row:06}" for row in range(sizes.users)]


def new_items(count: int, *, stream: int) -> list[ItemRecord]:
    """Returns items that are not among those loaded, the same each time for a stream."""
    drawn = _Items.drawn(count, np.random.default_rng([1, stream]))
    return [
        ItemRecord(
            item_id=f"new-{stream:04}-{row:06}",
            features={
                "title": drawn.titles[row],
                "tags": tuple(drawn.tags[row]),
                "brand": drawn.brands[row],
                "price": float(drawn.prices[row]),
                "image": drawn.images[row],
            },
        )
        for row in range(count)
    ]


def serving_deployment(work: Path, sizes: Sizes) -> Deployment:
    """Returns a deployment with a catalogue and a snapshot of the kind `hnsw`, made below `work` where it is missing.

    Raises:
        ProcessError: A step failed.
    """
    folder = work / f"serving-{sizes.items}"
    folder.mkdir(parents=True, exist_ok=True)
    small = Sizes(items=min(sizes.items, _TRAINED_ITEMS), users=min(sizes.users, _TRAINED_USERS))
    made = Deployment(folder=folder, data=folder / "data", model=folder / "model")
    for data, size in ((made.data, sizes), (folder / "trained-on", small)):
        if not data.exists():
            say(f"making {size.items:,} items and {size.users:,} users")
            _write_data(data, size)
    if not made.model.exists():
        train(folder / "trained-on", made.model, config=TRAINING)
    if not (made.snapshots / "CURRENT").exists():
        made.catalog.unlink(missing_ok=True)
        say("loading the catalogue")
        run_recall(("load", "--data", made.data, "--catalog", made.catalog), log=folder / "load.log")
        say("building a snapshot, which takes minutes for many items")
        made.rebuild(made.model, kind="hnsw", parameters=_GRAPH)
    say(f"serving {snapshot_names(made.snapshots)[-1]} of {folder}")
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Items:
    """Features of items, one row each."""

    titles: Sequence[str]
    tags: Sequence[Sequence[str]]
    brands: Sequence[str]
    prices: NDArray[np.float64]
    images: FloatArray
    centres: NDArray[np.int64]

    @classmethod
    def drawn(cls, count: int, rng: np.random.Generator) -> _Items:
        middle = np.random.default_rng(0).standard_normal((NUM_CENTRES, IMAGE_DIM), dtype=np.float32)
        of = rng.integers(NUM_CENTRES, size=count)
        images = middle[of] + np.float32(NOISE) * rng.standard_normal((count, IMAGE_DIM), dtype=np.float32)
        # Words, tags and brands lean towards a centre: a third of the words of its items are its own.
        words = rng.integers(_NUM_WORDS, size=(count, 4))
        words[:, 0] = of * 7 % _NUM_WORDS
        tags = np.stack([of % _NUM_TAGS, rng.integers(_NUM_TAGS, size=count)], axis=1)
        return cls(
            titles=[" ".join(f"word{word}" for word in row) for row in words.tolist()],
            tags=[sorted({f"tag{tag}" for tag in row}) for row in tags.tolist()],
            brands=[f"brand{one}" for one in rng.integers(_NUM_BRANDS, size=count).tolist()],
            prices=np.round(np.exp(rng.normal(3.0, 0.7, count)), 2).astype(np.float64),
            images=images / np.linalg.norm(images, axis=1, keepdims=True),
            centres=of,
        )


def _write_data(folder: Path, sizes: Sizes) -> None:
    rng = np.random.default_rng(0)
    items = _Items.drawn(sizes.items, rng)
    item_ids = np.array([f"item-{row:08}" for row in range(sizes.items)], dtype=object)
    users = user_ids(sizes)
    chosen = _chosen(items.centres, sizes.users, rng)
    countries = [_COUNTRIES[row] for row in rng.integers(len(_COUNTRIES), size=sizes.users).tolist()]
    tables = {
        ITEMS_FILE: pl.DataFrame(
            {
                ITEM_ID: item_ids.tolist(),
                "title": items.titles,
                "tags": items.tags,
                "brand": items.brands,
                "price": items.prices,
                "image": pl.Series(items.images, dtype=pl.Array(pl.Float32, IMAGE_DIM)).cast(pl.List(pl.Float32)),
            }
        ),
        USERS_FILE: pl.DataFrame({USER_ID: users, "country": countries}),
        INTERACTIONS_FILE: pl.DataFrame(
            {
                USER_ID: np.repeat(np.array(users, dtype=object), HISTORY).tolist(),
                ITEM_ID: item_ids[chosen.reshape(-1)].tolist(),
            }
        ),
    }

    def fill(temporary: Path) -> None:
        for name, table in tables.items():
            table.write_parquet(temporary / name)
        (temporary / CONFIG_FILE).write_text(_DATASET, encoding="utf-8")

    write_folder(folder, fill)


def _chosen(centres: NDArray[np.int64], num_users: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the item rows of each user, [num_users, HISTORY], each once: most of three centres."""
    order = np.argsort(centres, kind="stable")
    ends = np.searchsorted(centres[order], np.arange(NUM_CENTRES + 1))
    rows = np.empty((num_users, HISTORY), dtype=np.int64)
    for user, liked in enumerate(rng.integers(NUM_CENTRES, size=(num_users, 3)).tolist()):
        near = np.concatenate([order[ends[centre] : ends[centre + 1]] for centre in set(liked)])
        near = rng.permutation(near)[: HISTORY - 4]
        rest = np.setdiff1d(rng.integers(len(centres), size=HISTORY * 3), near)
        rows[user] = np.concatenate([near, rng.permutation(rest)])[:HISTORY]
    return rows
