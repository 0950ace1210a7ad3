"""A data folder made from a seed, with tastes that a model can find and features that only partly show them.

How it is drawn, all of it from one seed:

- Items belong to one of 24 topics (`training.synthetic_topics`) and one of 3 styles in it. Style decides most words and
  tags. Popularity falls with a Zipf law; price depends on the topic; brands belong to a world of topics.
- Features are noisy: some titles are generic, some tags are missing, general or of another topic, some prices and
  brands are missing.
- A user likes a few topics, mostly of one world, one style of each, a price level and two brands. Country and age band
  lean towards worlds, weakly. How much a user does varies (log-normal).
- A user's items are drawn without repetition with probability proportional to
  popularity x taste for the topic x style x price x brand (Gumbel top-n).

An eighth of the items is cold: a third of these has all interactions in validation, the rest in test. The interactions
of the other items are drawn 80 / 10 / 10. There are no timestamps: the split is not one by time.

The same seed and sizes give the same bytes with the same versions of numpy and polars.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from index.snapshot import write_folder
from recall.tables import (
    CONFIG_FILE,
    INTERACTIONS_FILE,
    ITEM_ID,
    ITEMS_FILE,
    SPLIT,
    TEST,
    TRAIN,
    USER_ID,
    USERS_FILE,
    VALIDATION,
)
from training.synthetic_topics import ADJECTIVES, BRANDS, GENERAL_TAGS, GENERIC_NOUNS, TOPICS, WORLDS, Topic

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

COUNTRIES = ("DE", "DK", "FR", "GB", "JP", "NO", "PT", "US")
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
NUM_STYLES = 3

COLD_SHARE = 0.125
COLD_VALIDATION_SHARE = 1 / 3
WARM_TEST_SHARE = 0.1
WARM_VALIDATION_SHARE = 0.1

_MEAN_INTERACTIONS = 36.0
_ZIPF_EXPONENT = 0.8
_WORLD_OF_TOPIC = np.array([WORLDS.index(topic.world) for topic in TOPICS])

_CONFIG = """\
# Made from a seed by training/synthetic.py. The split is in interactions.parquet.
name = "synthetic-shop"

[item_features]
title = "text"
tags = "set"
brand = "category"
price = "number"

[user_features]
country = "category"
age_band = "category"

[item_attributes]
tags = "set"
brand = "category"
price = "number"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Items:
    """What is true of items, whatever their features say; all arrays [num_items]."""

    topic: IntArray
    style: IntArray
    brand: IntArray
    price_level: FloatArray
    log_popularity: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Users:
    """What is true of users; all arrays start with [num_users]."""

    country: IntArray
    age_band: IntArray
    taste: FloatArray
    style: IntArray
    brands: IntArray
    price_level: FloatArray
    num_interactions: IntArray


def write_synthetic(folder: Path, *, seed: int, num_items: int = 3000, num_users: int = 2500) -> None:
    """Writes a data folder that appears whole or not at all.

    Args:
        folder: Folder to make; must not exist.
        seed: Another one gives other items, users and tastes.
        num_items: At least 50.
        num_users: At least 1.

    Raises:
        FileExistsError: `folder` is there already.
        ValueError: A size is too small.
    """
    if num_items < 50 or num_users < 1:
        raise ValueError(f"num_items is {num_items} and num_users {num_users}; want at least 50 and 1")
    item_rng, feature_rng, user_rng, choice_rng, split_rng = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(5)
    )
    items = _draw_items(item_rng, num_items)
    users = _draw_users(user_rng, num_users)
    pairs = _draw_interactions(choice_rng, items, users)
    tables = {
        ITEMS_FILE: _item_table(feature_rng, items),
        USERS_FILE: _user_table(users),
        INTERACTIONS_FILE: _interaction_table(split_rng, pairs, num_items),
    }

    def fill(temporary: Path) -> None:
        for name, table in tables.items():
            table.write_parquet(temporary / name)
        (temporary / CONFIG_FILE).write_text(_CONFIG, encoding="utf-8")

    write_folder(folder, fill)


def _draw_items(rng: np.random.Generator, num_items: int) -> _Items:
    topic = rng.integers(0, len(TOPICS), num_items)
    num_brands = len(BRANDS[WORLDS[0]])
    topic_price = rng.normal(0.0, 0.5, len(TOPICS))
    return _Items(
        topic=topic,
        style=rng.integers(0, NUM_STYLES, num_items),
        brand=_WORLD_OF_TOPIC[topic] * num_brands + rng.integers(0, num_brands, num_items),
        price_level=topic_price[topic] + rng.normal(0.0, 1.0, num_items),
        log_popularity=-_ZIPF_EXPONENT * np.log(1.0 + rng.permutation(num_items)),
    )


def _draw_users(rng: np.random.Generator, num_users: int) -> _Users:
    country = rng.integers(0, len(COUNTRIES), num_users)
    age_band = rng.integers(0, len(AGE_BANDS), num_users)
    lean = rng.normal(0.0, 0.8, (len(COUNTRIES), len(WORLDS)))[country]
    lean = lean + rng.normal(0.0, 0.8, (len(AGE_BANDS), len(WORLDS)))[age_band]
    home = np.argmax(lean + rng.gumbel(size=lean.shape), axis=1)
    # Topics of the home world weigh more; a small Dirichlet parameter leaves a few topics with most of the weight.
    weight = np.where(home[:, None] == _WORLD_OF_TOPIC, 1.0, 0.06)
    taste = rng.standard_gamma(0.5, weight.shape) * weight + 1e-4
    activity = rng.lognormal(0.0, 0.6, num_users)
    activity *= _MEAN_INTERACTIONS / np.exp(0.6**2 / 2)
    num_brands = len(BRANDS[WORLDS[0]])
    return _Users(
        country=country,
        age_band=age_band,
        taste=taste / taste.sum(axis=1, keepdims=True),
        style=rng.integers(0, NUM_STYLES, weight.shape),
        brands=home[:, None] * num_brands + rng.integers(0, num_brands, (num_users, 2)),
        price_level=rng.normal(0.0, 0.8, num_users),
        num_interactions=np.maximum(5, activity.round()).astype(np.int64),
    )


def _draw_interactions(rng: np.random.Generator, items: _Items, users: _Users) -> IntArray:
    """Returns [num_interactions, 2]: user and item rows, user after user."""
    chosen = []
    most = len(items.topic) // 3
    for user, wanted in enumerate(np.minimum(users.num_interactions, most)):
        logits = items.log_popularity + np.log(users.taste[user, items.topic])
        logits = logits + 1.2 * (users.style[user, items.topic] == items.style)
        logits = logits + 0.8 * np.isin(items.brand, users.brands[user])
        logits = logits - 0.5 * np.abs(items.price_level - users.price_level[user])
        order = np.argsort(-(logits + rng.gumbel(size=len(logits))), kind="stable")[:wanted]
        chosen.append(np.column_stack([np.full(wanted, user), rng.permutation(order)]))
    return np.concatenate(chosen)


def _item_table(rng: np.random.Generator, items: _Items) -> pl.DataFrame:
    brands = [brand for world in WORLDS for brand in BRANDS[world]]
    titles, tags, brand_names, prices = [], [], [], []
    for topic, style, brand, level in zip(items.topic, items.style, items.brand, items.price_level, strict=True):
        titles.append(_title(rng, TOPICS[topic], int(style)))
        tags.append(_tags(rng, TOPICS[topic], int(style)))
        brand_names.append(brands[brand] if rng.random() > 0.1 else None)
        prices.append(round(float(30.0 * np.exp(0.6 * level)), 2) if rng.random() > 0.05 else None)
    columns = {
        ITEM_ID: _ids("item", len(titles)),
        "title": titles,
        "tags": tags,
        "brand": brand_names,
        "price": prices,
    }
    return pl.DataFrame(columns, schema_overrides={"tags": pl.List(pl.String), "price": pl.Float64})


def _title(rng: np.random.Generator, topic: Topic, style: int) -> str:
    adjective = _pick(rng, ADJECTIVES)
    if rng.random() < 0.2:
        return f"{adjective} {_pick(rng, GENERIC_NOUNS)}".capitalize()
    first, second = (_styled(rng, topic.words, style) for _ in range(2))
    noun = _pick(rng, topic.nouns)
    form = rng.integers(0, 3)
    if form == 0 or first == second:
        title = f"{adjective} {first} {noun}"
    elif form == 1:
        title = f"{first} {noun}, {second}"
    else:
        title = f"{first} {second} {noun}"
    return title[0].upper() + title[1:]


def _tags(rng: np.random.Generator, topic: Topic, style: int) -> list[str]:
    tags = []
    for _ in range(rng.integers(0, 4)):
        draw = rng.random()
        if draw < 0.2:
            tags.append(_pick(rng, GENERAL_TAGS))
        elif draw < 0.35:
            tags.append(_pick(rng, TOPICS[rng.integers(0, len(TOPICS))].tags))
        else:
            tags.append(_styled(rng, topic.tags, style))
    return sorted(set(tags))


def _styled(rng: np.random.Generator, words: tuple[str, ...], style: int) -> str:
    return _pick(rng, words[style::NUM_STYLES] if rng.random() < 0.7 else words)


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[rng.integers(0, len(words))]


def _user_table(users: _Users) -> pl.DataFrame:
    return pl.DataFrame(
        {
            USER_ID: _ids("user", len(users.country)),
            "country": [COUNTRIES[row] for row in users.country],
            "age_band": [AGE_BANDS[row] for row in users.age_band],
        }
    )


def _interaction_table(rng: np.random.Generator, pairs: IntArray, num_items: int) -> pl.DataFrame:
    num_cold = round(COLD_SHARE * num_items)
    cold = rng.permutation(num_items)[:num_cold]
    num_validation = round(COLD_VALIDATION_SHARE * num_cold)
    in_validation = np.isin(pairs[:, 1], cold[:num_validation])
    in_test = np.isin(pairs[:, 1], cold[num_validation:])
    warm = ~(in_validation | in_test)
    draw = rng.random(len(pairs))
    in_test |= warm & (draw < WARM_TEST_SHARE)
    in_validation |= warm & ~in_test & (draw < WARM_TEST_SHARE + WARM_VALIDATION_SHARE)
    users, items = _ids("user", int(pairs[:, 0].max()) + 1), _ids("item", num_items)
    return pl.DataFrame(
        {
            USER_ID: [users[row] for row in pairs[:, 0]],
            ITEM_ID: [items[row] for row in pairs[:, 1]],
            SPLIT: np.select([in_test, in_validation], [TEST, VALIDATION], TRAIN),
        },
        schema_overrides={SPLIT: pl.String},
    )


def _ids(word: str, count: int) -> list[str]:
    return [f"{word}-{row + 1:05d}" for row in range(count)]
