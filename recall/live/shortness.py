"""Why a result has fewer items than were asked for, in words."""

from __future__ import annotations

from dataclasses import dataclass

from index.live import LiveIndex
from index.protocols import SearchOptions
from recall.live.availability import described
from recall.live.reserved import hidden_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The items that an answer may hold.

    Attributes:
        num_eligible: How many they are.
        described: What left the others out.
    """

    num_eligible: int
    described: str


def pool_of(index: LiveIndex, options: SearchOptions) -> Pool:
    """Returns what may be returned under some options."""
    held = index if options.filter is None else index.filtered(options.filter)
    hidden = hidden_in(held)
    excluded = set(options.exclude).difference(hidden)
    what = f"retrievable items{described(options.filter)}"
    if options.candidates is None:
        num_held = held.num_items - len(hidden)
        pool = f"the catalogue holds {num_held} {what}"
    else:
        candidates = set(options.candidates).difference(hidden)
        excluded &= candidates
        num_held = sum(item_id in held for item_id in candidates)
        pool = f"{num_held} of {len(candidates)} candidates are {what}"
    num_excluded = sum(item_id in held for item_id in excluded)
    left = f", {num_excluded} of them excluded" if num_excluded else ""
    return Pool(num_eligible=num_held - num_excluded, described=f"{pool}{left}")


def short_reason(
    index: LiveIndex, options: SearchOptions, *, limit: int, num_found: int, of_content: bool = False
) -> str:
    """Returns how many items were eligible and what left the others out; empty where `limit` is reached.

    Args:
        index: What was searched.
        options: What might be returned.
        limit: Items wanted.
        num_found: Items returned.
        of_content: Whether only items were looked for that have words in common with the history.
    """
    if num_found >= limit:
        return ""
    pool = pool_of(index, options)
    common = ""
    if of_content and num_found < pool.num_eligible:
        common = f", {num_found} of them have words or set values in common with the history"
    return f"{limit} items were wanted, {pool.num_eligible} are eligible{common}: {pool.described}"
