"""Works out from numbers whether a new snapshot is worth building now."""

from __future__ import annotations

from dataclasses import dataclass

from index.factory import TARGET_RECALL
from index.live import IndexCounts
from recall.live.advice import Advice
from recall.live.audit_figures import LEAST_AUDITED, AuditFigures
from recall.live.config import ServeConfig
from recall.live.tuning import TuningFacts
from recall.live.upkeep import UpkeepState, is_due


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What advice follows from.

    Attributes:
        counts: Sizes of the parts of the index.
        upkeep: What was done for it.
        tuning: How its base was chosen; None where its kind was given.
        audit: How much of the exact answers live recalls returned; None without any.
    """

    counts: IndexCounts
    upkeep: UpkeepState
    tuning: TuningFacts | None = None
    audit: AuditFigures | None = None


def advice_of(evidence: Evidence, config: ServeConfig) -> Advice:
    """Returns advice; what tells most comes first."""
    counts, upkeep = evidence.counts, evidence.upkeep
    reason = _reason_to_rebuild(evidence, config)
    return Advice(
        rebuild=bool(reason),
        reason=reason or _reason_not_to(evidence, config),
        share_fresh=counts.fresh / max(counts.items, 1),
        share_deleted=counts.deleted / max(counts.base, 1),
        share_unsaved=_share_unsaved(evidence),
        audited_recall=None if evidence.audit is None else evidence.audit.recall,
        merges=upkeep.merges,
        last_merge_seconds=upkeep.last_merge_seconds,
        last_merge_error=upkeep.last_error,
        is_merging=upkeep.is_merging,
    )


def _reason_to_rebuild(evidence: Evidence, config: ServeConfig) -> str:
    target = TARGET_RECALL if evidence.tuning is None else evidence.tuning.target_recall
    audit = evidence.audit
    if audit is not None and audit.num_recalls >= LEAST_AUDITED and audit.high < target:
        seen = f"{audit.recall:.3f} over {audit.num_recalls} recalls, at most {audit.high:.3f} with 95% confidence"
        return f"the audited recall is {seen}, below {target:g}: the index no longer fits its items"
    unsaved = _share_unsaved(evidence)
    if unsaved > config.rebuild_share:
        share = f"{unsaved:.1%} of the items were written or deleted since the snapshot"
        return f"{share}, more than {config.rebuild_share:.0%}: a start has to apply them again"
    if not is_due(evidence.counts, config):
        return ""
    if not config.merge:
        return f"{_shares(evidence.counts)}, and merging is off"
    if evidence.upkeep.last_error:
        return f"{_shares(evidence.counts)}, and merging fails: {evidence.upkeep.last_error}"
    return ""


def _reason_not_to(evidence: Evidence, config: ServeConfig) -> str:
    if evidence.upkeep.is_merging:
        return f"{_shares(evidence.counts)}; they are being merged"
    if is_due(evidence.counts, config):
        return f"{_shares(evidence.counts)}; they will be merged"
    return f"{_shares(evidence.counts)}: few"


def _share_unsaved(evidence: Evidence) -> float:
    counts = evidence.counts
    if counts.fresh + counts.deleted + evidence.upkeep.merged_rows == 0:
        return 0.0
    return (counts.fresh + counts.deleted + evidence.upkeep.merged_rows) / max(counts.items, 1)


def _shares(counts: IndexCounts) -> str:
    fresh, deleted = counts.fresh / max(counts.items, 1), counts.deleted / max(counts.base, 1)
    return f"{fresh:.1%} of the items are fresh and {deleted:.1%} of the base are deleted"
