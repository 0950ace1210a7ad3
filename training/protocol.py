"""Who is evaluated, on which items, among which candidates: full ranking, never against sampled negatives.

- A user is evaluated who has a relevant item among the candidates: an item of the evaluated part that the user does not
  have in another part as well.
- A user's interactions of the other parts are left out of the ranking.
- The history that a recommender sees is train when validation is evaluated. When test is evaluated it is train and
  validation under the rules `time` and `leave-last-out`, and train alone under the others. For a split that came with
  the table, timestamps tell which: with them it is taken as a split by time.
- An item is warm with a train interaction and cold without one, a user likewise, whatever the history holds.

Candidates: `all` items of `items.parquet`; `warm`; `cold`; `cold-split`, those cold items that occur in the evaluated
part; or a UTF-8 file with one item id a line.

Slices of one ranking: `warm_items` and `cold_items` count only relevant items of that kind, in the places they got
among all candidates; `warm_users` and `cold_users` take only those users; `all` takes everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recall.errors import DataError
from recall.schema import FeatureMap
from recall.tables import ITEM_ID, SPLIT, TEST, TIMESTAMP, TRAIN, USER_ID, VALIDATION
from training.recommender import CandidateSet, EvaluationUser

CANDIDATE_NAMES = ("all", "warm", "cold", "cold-split")
SLICE_NAMES = ("all", "warm_items", "cold_items", "warm_users", "cold_users")
_RULES_BY_TIME = ("time", "leave-last-out")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationData:
    """One part of a split, ready to be ranked for.

    Attributes:
        part: The evaluated part.
        item_ids: All items, ascending in UTF-8 byte order.
        warm_items: Items with a train interaction.
        part_items: Items that occur in the evaluated part.
        warm_users: Users with a train interaction.
        users: Users with an item in the evaluated part, ascending by id.
        relevant: The relevant items of each of `users`; may be empty.
    """

    part: str
    item_ids: tuple[str, ...]
    warm_items: frozenset[str]
    part_items: frozenset[str]
    warm_users: frozenset[str]
    users: tuple[EvaluationUser, ...]
    relevant: tuple[frozenset[str], ...]

    def with_last_of_history(self, num_items: int) -> EvaluationData:
        """Returns the same with only the last `num_items`, 0 or more, of each history; all of it stays left out."""
        users = tuple(
            replace(user, history=user.history[max(0, len(user.history) - num_items) :]) for user in self.users
        )
        return replace(self, users=users)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationCase:
    """One candidate set with the users that can be evaluated on it.

    Attributes:
        candidates: What is ranked.
        users: Users with a relevant candidate.
        relevant: Relevant candidates of each user, never empty.
    """

    candidates: CandidateSet
    users: tuple[EvaluationUser, ...]
    relevant: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a case that gets its own figures.

    Attributes:
        name: One of `SLICE_NAMES`.
        rows: [num_users] int64, places in `EvaluationCase.users`.
        relevant: Relevant items of those users within the slice, never empty.
    """

    name: str
    rows: NDArray[np.int64]
    relevant: tuple[frozenset[str], ...]


def history_parts(interactions: pl.DataFrame, part: str, *, rule: str | None) -> tuple[str, ...]:
    """Returns the parts whose interactions a recommender may see when `part` is evaluated.

    Args:
        interactions: Looked at for timestamps only.
        part: `validation` or `test`.
        rule: The split rule that was applied; None where the table came with its split.
    """
    by_time = rule in _RULES_BY_TIME if rule is not None else TIMESTAMP in interactions.columns
    return (TRAIN, VALIDATION) if part == TEST and by_time else (TRAIN,)


def evaluation_data(
    interactions: pl.DataFrame,
    item_ids: Iterable[str],
    *,
    user_features: Mapping[str, FeatureMap],
    part: str = TEST,
    rule: str | None = None,
) -> EvaluationData:
    """Works out users, histories, exclusions and relevant items of one part.

    Args:
        interactions: With a `split` column.
        item_ids: All items of `items.parquet`.
        user_features: Raw features by user id; users may be absent.
        part: `validation` or `test`.
        rule: The split rule that was applied; None where the table came with its split.

    Raises:
        DataError: The part has no interactions, or there is no train part.
    """
    for needed in (TRAIN, part):
        if not (interactions[SPLIT] == needed).any():
            raise DataError(f"the split has no {needed} part; name another part, or give the table or its rule one")
    train = interactions.filter(pl.col(SPLIT) == TRAIN)
    wanted = interactions.filter(pl.col(SPLIT) == part)
    seen = pl.col(SPLIT).is_in(history_parts(interactions, part, rule=rule))
    histories = _items_by_user(interactions.filter(seen))
    others = _items_by_user(interactions.filter(pl.col(SPLIT) != part))
    relevant = {user_id: frozenset(items) for user_id, items in _items_by_user(wanted).items()}
    users = [
        EvaluationUser(
            user_id=user_id,
            features=user_features.get(user_id, {}),
            history=histories.get(user_id, ()),
            exclude=frozenset(others.get(user_id, ())),
        )
        for user_id in sorted(relevant)
    ]
    return EvaluationData(
        part=part,
        item_ids=tuple(sorted(item_ids)),
        warm_items=frozenset(train[ITEM_ID].to_list()),
        part_items=frozenset(wanted[ITEM_ID].to_list()),
        warm_users=frozenset(train[USER_ID].to_list()),
        users=tuple(users),
        relevant=tuple(relevant[user.user_id] - user.exclude for user in users),
    )


def candidate_set(data: EvaluationData, name: str) -> CandidateSet:
    """Returns the candidates of that name, or those listed in the file of that name.

    Raises:
        DataError: There is no such file, it names an item that the data folder lacks, or the set is empty.
    """
    cold = [item_id for item_id in data.item_ids if item_id not in data.warm_items]
    if name == "all":
        chosen = list(data.item_ids)
    elif name == "warm":
        chosen = [item_id for item_id in data.item_ids if item_id in data.warm_items]
    elif name == "cold":
        chosen = cold
    elif name == "cold-split":
        chosen = [item_id for item_id in cold if item_id in data.part_items]
    else:
        chosen = _listed_items(Path(name), frozenset(data.item_ids))
    if not chosen:
        raise DataError(f"candidates {name!r} are empty for the {data.part} part: {_why_empty(name)}")
    return CandidateSet(name=name, item_ids=tuple(chosen), is_everything=len(chosen) == len(data.item_ids))


def _why_empty(name: str) -> str:
    if name in ("cold", "cold-split"):
        return "all of its items have a train interaction; take all or warm, or hold whole items out (rule cold-items)"
    return f"name item ids, or choose from {CANDIDATE_NAMES}"


def evaluation_case(data: EvaluationData, candidates: CandidateSet) -> EvaluationCase:
    """Returns the users that have a relevant item among the candidates.

    Raises:
        DataError: There are none.
    """
    among = frozenset(candidates.item_ids)
    pairs = [(user, items & among) for user, items in zip(data.users, data.relevant, strict=True)]
    kept = [(user, items) for user, items in pairs if items]
    if not kept:
        raise DataError(f"no user has an item of the {data.part} part among the candidates {candidates.name!r}")
    return EvaluationCase(
        candidates=candidates, users=tuple(user for user, _ in kept), relevant=tuple(items for _, items in kept)
    )


def slices_of(case: EvaluationCase, data: EvaluationData) -> list[Slice]:
    """Returns the slices of a case in the order of `SLICE_NAMES`, without those that have no users."""
    warm = [user.user_id in data.warm_users for user in case.users]
    relevant = list(case.relevant)
    none: frozenset[str] = frozenset()
    by_name = {
        "all": relevant,
        "warm_items": [items & data.warm_items for items in relevant],
        "cold_items": [items - data.warm_items for items in relevant],
        "warm_users": [items if is_warm else none for items, is_warm in zip(relevant, warm, strict=True)],
        "cold_users": [none if is_warm else items for items, is_warm in zip(relevant, warm, strict=True)],
    }
    return [_slice(name, by_name[name]) for name in SLICE_NAMES if any(by_name[name])]


def _slice(name: str, relevant: list[frozenset[str]]) -> Slice:
    rows = np.array([row for row, items in enumerate(relevant) if items], dtype=np.int64)
    return Slice(name=name, rows=rows, relevant=tuple(items for items in relevant if items))


def _items_by_user(interactions: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    if TIMESTAMP in interactions.columns:
        interactions = interactions.sort(TIMESTAMP, maintain_order=True)
    grouped = interactions.group_by(USER_ID, maintain_order=True).agg(pl.col(ITEM_ID))
    return {user_id: tuple(items) for user_id, items in grouped.iter_rows()}


def _listed_items(file: Path, known: frozenset[str]) -> list[str]:
    if not file.is_file():
        raise DataError(f"candidates {str(file)!r} are neither one of {CANDIDATE_NAMES} nor a file of item ids")
    try:
        listed = [line.strip() for line in file.read_text(encoding="utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text at byte {error.start}; write one item id a line") from error
    for number, item_id in enumerate(listed, start=1):
        if item_id and item_id not in known:
            raise DataError(f"{file}, line {number}: item {item_id!r} is not in the data folder; remove the line")
    return sorted({item_id for item_id in listed if item_id})
