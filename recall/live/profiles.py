"""What a user is matched with exactly: the sum of the bags of the history's items, its strongest tokens kept.

The score of an item is the product of its vector and the user's, plus the product of its bag and this profile, which
carries the weights of `recall.model.fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from index.bags import Bags
from index.live import LiveIndex
from recall.model.bags import unit_weights
from recall.model.fusion import UNSEEN, FusionWeights, in_space

PROFILE_TOKENS = 1024
"""Most tokens of a profile: more cost time with every posting, and say little (docs/benchmarks/profiles.md)."""

_ITEMS_AT_ONCE = 1 << 14
"""Items whose bags are held at once; their tokens take some 50 bytes each on the way to the profiles."""


def user_profiles(
    index: LiveIndex,
    histories: Sequence[Sequence[str]],
    weights: FusionWeights,
    *,
    num_tokens: int | None = PROFILE_TOKENS,
) -> Bags:
    """Returns one profile a history.

    Args:
        index: Holds the bags of the items.
        histories: Item ids; one that comes twice counts twice. Of one without tokens only an offset is left.
        weights: What the profiles carry.
        num_tokens: Most tokens of a profile, at least 1; None keeps all.
    """
    parts = [profiles_of(_sums(index, some), weights, num_tokens=num_tokens) for some in _parts(histories)]
    return Bags.joined(parts)


def _parts(histories: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Yields the histories in order, as many at once as hold `_ITEMS_AT_ONCE` items, at least one."""
    part: list[Sequence[str]] = []
    num_items = 0
    for history in histories:
        if part and num_items + len(history) > _ITEMS_AT_ONCE:
            yield part
            part, num_items = [], 0
        part.append(history)
        num_items += len(history)
    if part:
        yield part


def _sums(index: LiveIndex, histories: Sequence[Sequence[str]]) -> Bags:
    bags, held = index.gather_bags([item_id for history in histories for item_id in history])
    owners = np.repeat(np.arange(len(histories)), [len(history) for history in histories])[held]
    num_tokens = np.bincount(owners, weights=np.diff(bags.offsets), minlength=len(histories)).astype(np.int64)
    # The items of a history stand side by side, so their bags are one row already; equal tokens add up.
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(num_tokens)])
    return Bags(tokens=bags.tokens, weights=bags.weights, offsets=ends)


def profiles_of(sums: Bags, weights: FusionWeights, *, num_tokens: int | None = PROFILE_TOKENS) -> Bags:
    """Returns the profiles made of the tokens of each row, which may come several times and in any order."""
    rows, tokens, added = _rows(sums), sums.tokens[: sums.num_tokens], sums.weights[: sums.num_tokens]
    known = tokens != UNSEEN
    plain = Bags.of(in_space(tokens[known], unseen=False), added[known], _offsets(rows[known], len(sums)))
    return _weighted(unit_profiles(plain, num_tokens), weights)


def emptied(profiles: Bags, gone: NDArray[np.bool_]) -> Bags:
    """Returns the profiles with those of the `gone` queries, [num_queries], left empty."""
    rows = _rows(profiles)
    kept = ~gone[rows]
    return Bags.of(profiles.tokens[kept], profiles.weights[kept], _offsets(rows[kept], len(profiles)))


def _weighted(plain: Bags, weights: FusionWeights) -> Bags:
    """Returns the profiles with their tokens in both spaces and the mark of unseen items."""
    rows, every = _rows(plain), np.arange(len(plain))
    order = np.argsort(np.concatenate([rows, rows, every]), kind="stable")
    tokens = [plain.tokens, in_space(plain.tokens, unseen=True), np.full(len(plain), UNSEEN)]
    marks = np.where(np.diff(plain.offsets) > 0, weights.unseen_offset, weights.unseen_offset_alone)
    factors = [plain.weights * weights.seen, plain.weights * weights.unseen, marks]
    offsets = 2 * plain.offsets + np.arange(len(plain) + 1)
    return Bags.of(np.concatenate(tokens)[order], np.concatenate(factors).astype(np.float32)[order], offsets)


def unit_profiles(sums: Bags, num_tokens: int | None = PROFILE_TOKENS) -> Bags:
    """Returns the strongest tokens of each bag, None for all, scaled to length 1 where there are any."""
    kept = sums if num_tokens is None else strongest(sums, num_tokens)
    return Bags.of(kept.tokens, unit_weights(kept.weights, kept.offsets), kept.offsets)


def strongest(bags: Bags, num_tokens: int) -> Bags:
    """Returns the bags with their tokens of greatest weight, at most `num_tokens` each; of equal ones the lower."""
    if np.diff(bags.offsets).max(initial=0) <= num_tokens:
        return bags
    rows = _rows(bags)
    order = np.lexsort((-bags.weights, rows))  # stable: tokens ascend within a row
    kept = np.zeros(len(order), dtype=np.bool_)
    kept[order[np.arange(len(order)) - bags.offsets[rows] < num_tokens]] = True
    num_kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    return Bags.of(bags.tokens[kept], bags.weights[kept], num_kept[bags.offsets])


def _offsets(rows: NDArray[np.int64], num_rows: int) -> NDArray[np.int64]:
    """Returns where each row begins and ends among ascending row numbers."""
    offsets: NDArray[np.int64] = np.searchsorted(rows, np.arange(num_rows + 1))
    return offsets


def _rows(bags: Bags) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = np.repeat(np.arange(len(bags)), np.diff(bags.offsets))
    return rows
