"""Rules that put each interaction in a part of the split: train, validation or test.

Draws are hashes, never row order: `unit(x)` is xxh3_64 of x in a domain that holds the seed, divided by 2^64. So the
same interaction lands in the same part whatever else the table holds, and an item or user keeps its part as data grow.
With shares `test` and `validation`, a draw below `test` goes to test, one below `test + validation` to validation.

- `random` draws each (user, item) pair.
- `cold-items` draws each item; all its interactions go with it, so items of test and validation are cold.
- `cold-users` draws each user; all their interactions go with them.
- `time` has two moments: the timestamps at places floor(n (1 - test - validation)) and floor(n (1 - test)) of all n in
  ascending order. Rows at or after the later moment are test, other rows at or after the earlier one validation.
- `leave-last-out` makes each user's last interaction test and the one before it validation. Users with fewer than three
  stay in train. Ties in time are broken by the draw of the pair; shares are not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.dataset_config import SplitConfig
from recall.errors import DataError
from recall.interactions import PARTS, Interactions
from recall.model.hashing import hash_values
from recall.tables import ITEM_ID, SPLIT, TEST, TIMESTAMP, TRAIN, USER_ID, VALIDATION

CARVED_SHARE = 0.1
_PAIR_SEPARATOR = "\x1f"
_CHUNK = 1 << 18
_TRAIN, _VALIDATION, _TEST = (PARTS.index(part) for part in (TRAIN, VALIDATION, TEST))

Parts: TypeAlias = NDArray[np.int8]
"""Places in `recall.interactions.PARTS`."""


def assign_split(interactions: pl.DataFrame, config: SplitConfig, *, seed: int = 0) -> pl.DataFrame:
    """Returns the interactions with a `split` column; one that is there already stays as it is.

    Args:
        interactions: As `DataFolder.interactions` returns them.
        config: Rule and shares.
        seed: Of the draws.

    Raises:
        DataError: The rule needs timestamps and there are none, the shares leave no train part, or train or test came
            out empty.
    """
    if SPLIT in interactions.columns:
        return interactions
    parts = assign_parts(Interactions.of(interactions), config, seed=seed)
    return interactions.with_columns(pl.Series(PARTS).gather(parts).alias(SPLIT))


def carve_validation(interactions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Moves a tenth of train to validation, by a hash of (user, item, seed), where there is no validation part.

    Args:
        interactions: With a `split` column.
        seed: Of the draws. They differ from those of the rule `random` with the same seed.
    """
    if (interactions[SPLIT] == VALIDATION).any():
        return interactions
    carved = pl.Series(_carved(Interactions.of(interactions), seed))
    part = pl.when(carved & (pl.col(SPLIT) == TRAIN)).then(pl.lit(VALIDATION)).otherwise(pl.col(SPLIT))
    return interactions.with_columns(part.alias(SPLIT))


def assign_parts(interactions: Interactions, config: SplitConfig, *, seed: int = 0) -> Parts:
    """Does for coded interactions what `assign_split` does for a table.

    Raises:
        DataError: As `assign_split`.
    """
    if interactions.parts is not None:
        return interactions.parts
    if config.test + config.validation >= 1:
        raise DataError(f"split.test {config.test} + split.validation {config.validation} leave no train; lower them")
    if config.rule == "time":
        parts = _by_time(interactions, config)
    elif config.rule == "leave-last-out":
        parts = _last_out(interactions, seed)
    else:
        parts = _drawn(interactions, config, seed)
    _refuse_empty_part(parts, config)
    return parts


def carve_parts(interactions: Interactions, parts: Parts, seed: int) -> Parts:
    """Does for coded interactions what `carve_validation` does for a table."""
    if (parts == _VALIDATION).any():
        return parts
    return np.where(_carved(interactions, seed) & (parts == _TRAIN), np.int8(_VALIDATION), parts)


def _carved(interactions: Interactions, seed: int) -> NDArray[np.bool_]:
    carved = np.empty(len(interactions), dtype=np.bool_)
    for rows, draws in _pair_draws(interactions, f"carve:{seed}"):
        carved[rows] = draws < CARVED_SHARE
    return carved


def _drawn(interactions: Interactions, config: SplitConfig, seed: int) -> Parts:
    if config.rule == "random":
        parts = np.empty(len(interactions), dtype=np.int8)
        for rows, draws in _pair_draws(interactions, f"split:{seed}"):
            parts[rows] = _drawn_parts(draws, config)
        return parts
    by_item = config.rule == "cold-items"
    ids, codes = (interactions.item_ids, interactions.items) if by_item else (interactions.user_ids, interactions.users)
    draws = _unit(f"split:{ITEM_ID if by_item else USER_ID}:{seed}", ids)
    return _drawn_parts(draws, config)[codes]


def _drawn_parts(draws: NDArray[np.float64], config: SplitConfig) -> Parts:
    return _parts_where(draws < config.test, draws < config.test + config.validation)


def _parts_where(is_test: NDArray[np.bool_], is_validation: NDArray[np.bool_]) -> Parts:
    """Returns parts; what is of both is test, what is of neither train."""
    parts = np.full(len(is_test), _TRAIN, dtype=np.int8)
    parts[is_validation] = _VALIDATION
    parts[is_test] = _TEST
    return parts


def _by_time(interactions: Interactions, config: SplitConfig) -> Parts:
    times = _timestamps(interactions, "time")
    ordered = np.sort(times)
    test_from = _moment(ordered, 1.0 - config.test)
    validation_from = _moment(ordered, 1.0 - config.test - config.validation)
    return _parts_where(times >= test_from, times >= validation_from)


def _moment(ordered: NDArray[np.int64], share: float) -> float:
    # A share such as 1 - .1 - .1 is a little below the number meant; 1e-9 of the rows make up for it.
    place = int(len(ordered) * (share + 1e-9))
    return float(ordered[place]) if place < len(ordered) else np.inf


def _last_out(interactions: Interactions, seed: int) -> Parts:
    times, users = _timestamps(interactions, "leave-last-out"), interactions.users
    draws = np.empty(len(interactions), dtype=np.float64)
    for rows, some in _pair_draws(interactions, f"split:{seed}"):
        draws[rows] = some
    order = np.lexsort((draws, times, users))
    counts = np.bincount(users, minlength=len(interactions.user_ids))
    # Place from the end of the user's own interactions: 0 is the last one.
    from_end = np.empty(len(order), dtype=np.int64)
    from_end[order] = np.cumsum(counts)[users[order]] - 1 - np.arange(len(order))
    enough = counts[users] >= 3
    return _parts_where(enough & (from_end == 0), enough & (from_end == 1))


def _timestamps(interactions: Interactions, rule: str) -> NDArray[np.int64]:
    if interactions.timestamps is None:
        raise DataError(
            f"the split rule {rule!r} needs the column {TIMESTAMP!r}; add it, or use random, cold-items or cold-users"
        )
    return interactions.timestamps


def _pair_draws(interactions: Interactions, domain: str) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yields some rows after others with the draw of each pair, so that not all pairs need be strings at once."""
    for start in range(0, len(interactions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        users = interactions.user_ids.gather(interactions.users[rows])
        pairs = users + _PAIR_SEPARATOR + interactions.item_ids.gather(interactions.items[rows])
        yield rows, _unit(domain, pairs)


def _unit(domain: str, values: pl.Series) -> NDArray[np.float64]:
    return hash_values(domain, values.to_list()) / 2.0**64


def _refuse_empty_part(parts: Parts, config: SplitConfig) -> None:
    for part, wanted in ((TRAIN, True), (TEST, config.test > 0 or config.rule == "leave-last-out")):
        if wanted and not (parts == PARTS.index(part)).any():
            raise DataError(
                f"the split rule {config.rule!r} (validation {config.validation}, test {config.test}) put none of the "
                f"{len(parts)} interactions in {part}; change the shares or the rule"
            )
