"""Whether a new snapshot is worth building now, with the numbers that say so, as a value that clients share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Whether to rebuild, and what that follows from.

    Attributes:
        rebuild: Whether `recall rebuild` is worth running now.
        reason: Why, or why not, in words.
        share_fresh: Items written since the base was built or merged, over all items.
        share_deleted: Rows of the base that were deleted or replaced, over its rows.
        share_unsaved: Rows written and rows deleted or replaced since the snapshot, merges included, over all items;
            what a start has to do again, at most.
        audited_recall: Of the last audit; None where there was none.
        merges: Merges in memory since the snapshot was loaded.
        last_merge_seconds: Time of the last one; 0 without any.
        last_merge_error: Why the last attempt failed; empty where it did not.
        is_merging: Whether one is under way.
    """

    rebuild: bool
    reason: str
    share_fresh: float
    share_deleted: float
    share_unsaved: float
    audited_recall: float | None
    merges: int
    last_merge_seconds: float
    last_merge_error: str
    is_merging: bool
