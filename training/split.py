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

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.dataset_config import SplitConfig
from recall.errors import DataError
from recall.model.hashing import hash_values
from recall.tables import ITEM_ID, SPLIT, TEST, TIMESTAMP, TRAIN, USER_ID, VALIDATION

CARVED_SHARE = 0.1
_PAIR_SEPARATOR = "\x1f"


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
    if config.test + config.validation >= 1:
        raise DataError(f"split.test {config.test} + split.validation {config.validation} leave no train; lower them")
    if config.rule == "time":
        parts = _by_time(interactions, config)
    elif config.rule == "leave-last-out":
        parts = _last_out(interactions, seed)
    else:
        parts = _drawn_parts(_draws_of_rule(interactions, config.rule, seed), config)
    split = interactions.with_columns(pl.Series(SPLIT, parts, dtype=pl.String))
    _refuse_empty_part(split, config)
    return split


def carve_validation(interactions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Moves a tenth of train to validation, by a hash of (user, item, seed), where there is no validation part.

    Args:
        interactions: With a `split` column.
        seed: Of the draws. They differ from those of the rule `random` with the same seed.
    """
    if (interactions[SPLIT] == VALIDATION).any():
        return interactions
    carved = pl.Series(_unit(f"carve:{seed}", _pairs(interactions)) < CARVED_SHARE)
    part = pl.when(carved & (pl.col(SPLIT) == TRAIN)).then(pl.lit(VALIDATION)).otherwise(pl.col(SPLIT))
    return interactions.with_columns(part.alias(SPLIT))


def _draws_of_rule(interactions: pl.DataFrame, rule: str, seed: int) -> NDArray[np.float64]:
    if rule == "random":
        return _unit(f"split:{seed}", _pairs(interactions))
    column = ITEM_ID if rule == "cold-items" else USER_ID
    return _unit(f"split:{column}:{seed}", interactions[column].to_list())


def _drawn_parts(draws: NDArray[np.float64], config: SplitConfig) -> NDArray[np.str_]:
    return np.select([draws < config.test, draws < config.test + config.validation], [TEST, VALIDATION], TRAIN)


def _by_time(interactions: pl.DataFrame, config: SplitConfig) -> NDArray[np.str_]:
    times = _timestamps(interactions, "time")
    ordered = np.sort(times)
    test_from = _moment(ordered, 1.0 - config.test)
    validation_from = _moment(ordered, 1.0 - config.test - config.validation)
    return np.select([times >= test_from, times >= validation_from], [TEST, VALIDATION], TRAIN)


def _moment(ordered: NDArray[np.int64], share: float) -> float:
    # A share such as 1 - .1 - .1 is a little below the number meant; 1e-9 of the rows make up for it.
    place = int(len(ordered) * (share + 1e-9))
    return float(ordered[place]) if place < len(ordered) else np.inf


def _last_out(interactions: pl.DataFrame, seed: int) -> NDArray[np.str_]:
    times = _timestamps(interactions, "leave-last-out")
    draws = _unit(f"split:{seed}", _pairs(interactions))
    users, user_rows = np.unique(interactions[USER_ID].to_numpy(), return_inverse=True)
    order = np.lexsort((draws, times, user_rows))
    counts = np.bincount(user_rows, minlength=len(users))
    # Place from the end of the user's own interactions: 0 is the last one.
    from_end = np.empty(len(order), dtype=np.int64)
    from_end[order] = np.cumsum(counts)[user_rows[order]] - 1 - np.arange(len(order))
    enough = counts[user_rows] >= 3
    return np.select([enough & (from_end == 0), enough & (from_end == 1)], [TEST, VALIDATION], TRAIN)


def _timestamps(interactions: pl.DataFrame, rule: str) -> NDArray[np.int64]:
    if TIMESTAMP not in interactions.columns:
        raise DataError(
            f"the split rule {rule!r} needs the column {TIMESTAMP!r}; add it, or use random, cold-items or cold-users"
        )
    return interactions[TIMESTAMP].to_numpy()


def _pairs(interactions: pl.DataFrame) -> list[str]:
    return interactions.select(pl.concat_str(USER_ID, ITEM_ID, separator=_PAIR_SEPARATOR)).to_series().to_list()


def _unit(domain: str, values: Sequence[str]) -> NDArray[np.float64]:
    return hash_values(domain, values) / 2.0**64


def _refuse_empty_part(split: pl.DataFrame, config: SplitConfig) -> None:
    for part, wanted in ((TRAIN, True), (TEST, config.test > 0 or config.rule == "leave-last-out")):
        if wanted and not (split[SPLIT] == part).any():
            raise DataError(
                f"the split rule {config.rule!r} (validation {config.validation}, test {config.test}) put none of the "
                f"{len(split)} interactions in {part}; change the shares or the rule"
            )
