"""Why a result has fewer items than were asked for, in words."""

from __future__ import annotations

from index.live import LiveIndex
from index.protocols import SearchOptions
from recall.live.availability import described


def short_reason(index: LiveIndex, options: SearchOptions, *, limit: int, num_found: int) -> str:
    """Returns how many items were eligible and what left the others out; empty where `limit` is reached."""
    if num_found >= limit:
        return ""
    excluded = set(options.exclude)
    held = index if options.filter is None else index.filtered(options.filter)
    what = f"retrievable items{described(options.filter)}"
    if options.candidates is None:
        num_held = held.num_items
        pool = f"the catalogue holds {num_held} {what}"
    else:
        candidates = set(options.candidates)
        excluded &= candidates
        num_held = sum(item_id in held for item_id in candidates)
        pool = f"{num_held} of {len(candidates)} candidates are {what}"
    num_excluded = sum(item_id in held for item_id in excluded)
    left = f", {num_excluded} of them excluded" if num_excluded else ""
    return f"{limit} items were wanted, {num_held - num_excluded} are eligible: {pool}{left}"
