"""Why a result has fewer items than were asked for, in words."""

from __future__ import annotations

from index.live import LiveIndex
from index.protocols import SearchOptions


def short_reason(index: LiveIndex, options: SearchOptions, *, limit: int, num_found: int) -> str:
    """Returns how many items were eligible and what left the others out; empty where `limit` is reached."""
    if num_found >= limit:
        return ""
    excluded = set(options.exclude)
    if options.candidates is None:
        num_held = index.num_items
        pool = f"the catalogue holds {num_held} retrievable items"
    else:
        candidates = set(options.candidates)
        excluded &= candidates
        num_held = sum(item_id in index for item_id in candidates)
        pool = f"{num_held} of {len(candidates)} candidates are retrievable items"
    num_excluded = sum(item_id in index for item_id in excluded)
    left = f", {num_excluded} of them excluded" if num_excluded else ""
    return f"{limit} items were wanted, {num_held - num_excluded} are eligible: {pool}{left}"
