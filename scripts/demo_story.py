"""What the demo asks a server: a recall, a cold item that comes and goes, and a few hundred timed calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import polars as pl

from latency import Latencies
from recall.client import ItemRecord, RecallClient, RecallQuery, Result, SimilarQuery
from recall.errors import NotFoundError, RecallError
from recall.schema import FeatureMap, FeatureSpec
from recall.tables import ITEM_ID, SPLIT, TRAIN, USER_ID, DataFolder
from unseen import unseen_features

NEW_ITEM = ItemRecord(
    item_id="brand-new-item",
    features={
        "title": "Hard-bop swing LP, brass",
        "tags": ("bebop", "brass", "hard bop"),
        "brand": "Lowlight",
        "price": 24.0,
    },
)
LIMIT = 100

_NUM_FANS = 50
_NUM_CALLS = 300
_SEED = 0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The data folder, as the demo needs it.

    Attributes:
        features: Raw features by item id.
        specs: Item features.
        histories: Train items of each user.
        num_interactions: All interactions, those held out included.
        num_cold: Items without a train interaction.
    """

    features: Mapping[str, FeatureMap]
    specs: tuple[FeatureSpec, ...]
    histories: Mapping[str, tuple[str, ...]]
    num_interactions: int
    num_cold: int

    @classmethod
    def open(cls, folder: DataFolder) -> Shop:
        """Reads it."""
        item_ids, features, _ = folder.items()
        interactions = folder.interactions()
        train = interactions.filter(pl.col(SPLIT) == TRAIN)
        histories = train.group_by(USER_ID, maintain_order=True).agg(pl.col(ITEM_ID))
        return cls(
            features=dict(zip(item_ids, features, strict=True)),
            specs=folder.schema.item_features,
            histories={user_id: tuple(items) for user_id, items in histories.iter_rows()},
            num_interactions=len(interactions),
            num_cold=len(item_ids) - train[ITEM_ID].n_unique(),
        )

    def suited_users(self, item: ItemRecord) -> list[str]:
        """Returns users by how many items they had that share a tag with `item`, most first; those with none go."""
        counts = {user: len(self.alike(user, item)) for user in self.histories}
        return sorted((user for user in counts if counts[user] > 0), key=lambda user: (-counts[user], user))

    def alike(self, user_id: str, item: ItemRecord) -> list[str]:
        """Returns the items of a user's history that share a tag with `item`."""
        tags = _tags(item.features)
        return [item_id for item_id in self.histories[user_id] if tags & _tags(self.features[item_id])]


def _tags(features: FeatureMap) -> frozenset[str]:
    value = features.get("tags", ())
    return frozenset(value) if isinstance(value, tuple) else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Where the new item stands in the lists of some users, from 1; None where it is not in the first `LIMIT`.

    Attributes:
        before: By user, before the upsert.
        after: By user, after it.
        gone: By user, after the deletion.
    """

    before: Mapping[str, int | None]
    after: Mapping[str, int | None]
    gone: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened to the new item.

    Attributes:
        user_id: The user whose lists are shown: the one of the suited users who gets it highest.
        before: That user's items before the upsert.
        after: And after it.
        similar: Items most like the new one.
        fans: Ranks for the users it suits.
        others: Ranks for as many random users.
        upsert_sequence: Sequence of the upsert.
        refusal: What the server says of the item after its deletion.
    """

    user_id: str
    before: Result
    after: Result
    similar: Result
    fans: Ranks
    others: Ranks
    upsert_sequence: int
    refusal: str


def tell(client: RecallClient, shop: Shop) -> Story:
    """Upserts, recalls and deletes the new item.

    Raises:
        RecallError: An answer is not what it must be.
    """
    fans = shop.suited_users(NEW_ITEM)[:_NUM_FANS]
    rest = sorted(shop.histories.keys() - set(fans))
    others = [rest[row] for row in np.random.default_rng(_SEED).permutation(len(rest))[:_NUM_FANS]]
    before = _recalls(client, fans + others)
    sequence = client.upsert([NEW_ITEM]).sequence
    after = _recalls(client, fans + others)
    similar = client.similar(SimilarQuery(item_id=NEW_ITEM.item_id, limit=5))
    client.delete([NEW_ITEM.item_id])
    gone = _recalls(client, fans + others)
    shown = min(fans, key=lambda user: _rank(after[user]) or LIMIT + 1)
    told = Story(
        user_id=shown,
        before=before[shown],
        after=after[shown],
        similar=similar,
        fans=_ranks(fans, before, after, gone),
        others=_ranks(others, before, after, gone),
        upsert_sequence=sequence,
        refusal=_refusal(client),
    )
    _check(told)
    return told


def measure(client: RecallClient, shop: Shop) -> dict[str, Latencies]:
    """Times single calls one after the other: upserts of unseen items, recalls, deletions."""
    features = islice(unseen_features(list(shop.features.values()), shop.specs, seed=_SEED), _NUM_CALLS)
    items = [ItemRecord(item_id=f"timed-{number:04d}", features=f) for number, f in enumerate(features)]
    users = np.random.default_rng(_SEED).choice(sorted(shop.histories), _NUM_CALLS)
    queries = [RecallQuery(user_id=str(user), limit=LIMIT) for user in users]
    return {
        "upsert": _timed(client.upsert, [[item] for item in items]),
        "recall": _timed(client.recall, queries),
        "delete": _timed(client.delete, [[item.item_id] for item in items]),
    }


def _timed(call: Callable[[_T], object], arguments: Sequence[_T]) -> Latencies:
    latencies = Latencies()
    for argument in arguments:
        with latencies.measured():
            call(argument)
    return latencies


def _recalls(client: RecallClient, users: Sequence[str]) -> dict[str, Result]:
    return {user: client.recall(RecallQuery(user_id=user, limit=LIMIT)) for user in users}


def _ranks(
    users: Sequence[str], before: Mapping[str, Result], after: Mapping[str, Result], gone: Mapping[str, Result]
) -> Ranks:
    lists = ({user: _rank(results[user]) for user in users} for results in (before, after, gone))
    first, second, third = lists
    return Ranks(before=first, after=second, gone=third)


def _rank(result: Result) -> int | None:
    return result.item_ids.index(NEW_ITEM.item_id) + 1 if NEW_ITEM.item_id in result.item_ids else None


def _refusal(client: RecallClient) -> str:
    try:
        client.get(NEW_ITEM.item_id)
    except NotFoundError as error:
        return str(error)
    raise RecallError(f"{NEW_ITEM.item_id!r} is still stored after its deletion")


def _check(story: Story) -> None:
    for ranks in (story.fans, story.others):
        for when, by_user in (("before its upsert", ranks.before), ("after its deletion", ranks.gone)):
            if any(rank is not None for rank in by_user.values()):
                raise RecallError(f"{NEW_ITEM.item_id!r} is recalled {when}")
    if all(rank is None for rank in story.fans.after.values()):
        raise RecallError(f"{NEW_ITEM.item_id!r} is in none of the first {LIMIT} items of the users it suits")
