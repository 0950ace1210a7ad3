"""Who had an item, as an input of its tower: behaviour without a table of items, and without training anew.

The audience of an item is the set of users who interacted with it. It enters as content does: a bag of hashed users in
a number of buckets that does not grow with the catalogue, projected by a truncated SVD fitted in training. A user
counts 1 / sqrt(items the user had), and the columns of the projection are scaled to equal spread, so the projected bag
is the item's part of the low-pass graph filter of Shen et al., How powerful is graph convolution for recommendation?
(CIKM 2021, equations 8 to 10): the leading singular vectors of the interactions, normalised by both degrees. Where they
take it as the answer, the tower takes it as an input.

Whoever embeds an item says who had it: training its train interactions, a rebuild and a write those of the catalogue.
So an item that nobody had at training gets an audience as soon as it has one, while an item without any has a vector
that does not depend on this part at all. Users that training never saw say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recall.column_names import USER_ID
from recall.model.bags import Bags
from recall.model.codes import IdArray, mixed
from recall.model.hashing import hash_values
from recall.model.projection import ContentProjection
from recall.model.sketch import CountSketch

AudienceSource: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Returns the users who had each item, by item id; nobody for an unknown one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceBatch:
    """Audiences of some items.

    Attributes:
        codes: [n, rank] float32, projected; zeros for an item that nobody had.
        sizes: [n] float32, how many known users each has.
    """

    codes: NDArray[np.float32]
    sizes: NDArray[np.float32]

    @classmethod
    def none(cls, num_items: int, rank: int) -> AudienceBatch:
        """Returns items that nobody had."""
        return cls(codes=np.zeros((num_items, rank), np.float32), sizes=np.zeros(num_items, np.float32))

    def take(self, rows: NDArray[np.int64]) -> AudienceBatch:
        """Returns some items, in their order."""
        return AudienceBatch(codes=self.codes[rows], sizes=self.sizes[rows])

    def followed_by(self, other: AudienceBatch) -> AudienceBatch:
        """Returns the items of both, one after another."""
        return AudienceBatch(
            codes=np.concatenate([self.codes, other.codes]), sizes=np.concatenate([self.sizes, other.sizes])
        )

    def silenced(self, dropped: NDArray[np.bool_]) -> AudienceBatch:
        """Returns the same with nobody for the items that are `dropped`, [n] bool; their codes are not read then."""
        return replace(self, sizes=np.where(dropped, np.float32(0), self.sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceEncoder:
    """What was fitted on the training interactions, and the encoding with it.

    Attributes:
        projection: Of bags of hashed users.
        user_counts: How many training interactions each user has.
        max_users: Most users of one item that count; of more, those whose hashes mix to the smallest values.
    """

    projection: ContentProjection
    user_counts: CountSketch
    max_users: int

    def encode(self, audiences: Sequence[Iterable[str]]) -> AudienceBatch:
        """Encodes the users who had each item; a user named twice counts once."""
        if not any(audiences):  # new items, whom nobody had
            return AudienceBatch.none(len(audiences), self.projection.rank)
        distinct = [list(dict.fromkeys(users)) for users in audiences]
        offsets = np.zeros(len(distinct) + 1, dtype=np.int64)
        np.cumsum([len(users) for users in distinct], out=offsets[1:])
        hashes = hash_values(USER_ID, list(chain.from_iterable(distinct)))
        return self.encode_bags(self.bags(hashes, offsets))

    def bags(self, users: IdArray, offsets: NDArray[np.int64]) -> Bags:
        """Returns the weighted bags of hashed users, `users[offsets[i]:offsets[i + 1]]` being those of item i."""
        return audience_bags(users, offsets, self.user_counts, max_users=self.max_users)

    def encode_bags(self, bags: Bags) -> AudienceBatch:
        """Returns the audiences that bags of this encoder hold."""
        sizes = np.diff(bags.offsets).astype(np.float32)
        return AudienceBatch(codes=self.projection.project(bags), sizes=sizes)


def audience_bags(users: IdArray, offsets: NDArray[np.int64], user_counts: CountSketch, *, max_users: int) -> Bags:
    """Returns bags of hashed users: known ones, at most so many an item, each with weight count^-1/2.

    Args:
        users: [num_tokens] uint64 hashes.
        offsets: [num_items + 1] int64, as in `Bags`.
        user_counts: Training interactions of each user.
        max_users: Most users of one item.
    """
    counts = user_counts.counts(users)
    weights = np.where(counts > 0, 1.0 / np.sqrt(np.maximum(counts, 1.0)), 0.0).astype(np.float32)
    weights[_beyond(users, offsets, weights > 0, max_users)] = 0.0
    return Bags(tokens=users, weights=weights, offsets=offsets).without_zeros()


def _beyond(
    users: IdArray, offsets: NDArray[np.int64], counted: NDArray[np.bool_], max_users: int
) -> NDArray[np.int64]:
    """Returns the places of the counted users that are too many for their item."""
    items = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    kept = np.flatnonzero(counted)
    sizes = np.bincount(items[kept], minlength=len(offsets) - 1)
    if not len(kept) or sizes.max() <= max_users:
        return np.empty(0, dtype=np.int64)
    order = kept[np.lexsort((mixed(users[kept]), items[kept]))]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place >= max_users]
