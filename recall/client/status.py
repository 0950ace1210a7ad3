"""What a server says of itself: the reply of `GetStatus` as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recall.live.advice import Advice
from recall.live.audit_figures import AuditFigures
from recall.live.tuning import TrialFacts, TuningFacts
from recall.v1 import recall_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply:
    """What a server serves; the fields are those of `recall.v1.GetStatusResponse`, columns as name to kind."""

    model_id: str
    sequence: int
    snapshot: str
    catalog_uuid: str
    num_base: int
    num_fresh: int
    num_deleted: int
    num_items: int
    num_skipped: int
    index_kind: str
    index_parameters: Mapping[str, str]
    dim: int
    item_features: Mapping[str, str]
    item_attributes: Mapping[str, str]
    user_features: Mapping[str, str]
    last_switch_error: str
    catalog_sequence: int
    lag_seconds: float
    index_tuning: TuningFacts | None = None
    advice: Advice | None = None
    audit: AuditFigures | None = None

    @classmethod
    def from_message(cls, reply: pb.GetStatusResponse) -> StatusReply:
        """Returns the reply as a value."""
        return cls(
            model_id=reply.model_id,
            sequence=reply.sequence,
            snapshot=reply.snapshot,
            catalog_uuid=reply.catalog_uuid,
            num_base=reply.num_base,
            num_fresh=reply.num_fresh,
            num_deleted=reply.num_deleted,
            num_items=reply.num_items,
            num_skipped=reply.num_skipped,
            index_kind=reply.index_kind,
            index_parameters=dict(reply.index_parameters),
            dim=reply.dim,
            item_features={feature.name: feature.kind for feature in reply.item_features},
            item_attributes={feature.name: feature.kind for feature in reply.item_attributes},
            user_features={feature.name: feature.kind for feature in reply.user_features},
            last_switch_error=reply.last_switch_error,
            catalog_sequence=reply.catalog_sequence,
            lag_seconds=reply.lag_seconds,
            index_tuning=_tuning_of(reply.index_tuning) if reply.HasField("index_tuning") else None,
            advice=_advice_of(reply.advice) if reply.HasField("advice") else None,
            audit=_audit_of(reply.audit) if reply.HasField("audit") else None,
        )


def _tuning_of(tuning: pb.IndexTuning) -> TuningFacts:
    return TuningFacts(
        target_recall=tuning.target_recall,
        k=tuning.k,
        memory_budget_bytes=tuning.memory_budget_bytes,
        recall=tuning.recall,
        reached=tuning.reached,
        message=tuning.message,
        tried=tuple(_trial_of(trial) for trial in tuning.tried),
    )


def _trial_of(trial: pb.IndexTrial) -> TrialFacts:
    return TrialFacts(
        kind=trial.kind,
        parameters=dict(trial.parameters),
        recall=trial.recall if trial.HasField("recall") else None,
        microseconds=trial.microseconds if trial.HasField("microseconds") else None,
        resident_bytes=trial.resident_bytes,
        build_seconds=trial.build_seconds,
        verdict=trial.verdict,
    )


def _advice_of(advice: pb.Advice) -> Advice:
    return Advice(
        rebuild=advice.rebuild,
        reason=advice.reason,
        share_fresh=advice.share_fresh,
        share_deleted=advice.share_deleted,
        share_unsaved=advice.share_unsaved,
        audited_recall=advice.audited_recall if advice.HasField("audited_recall") else None,
        merges=advice.merges,
        last_merge_seconds=advice.last_merge_seconds,
        last_merge_error=advice.last_merge_error,
        is_merging=advice.is_merging,
    )


def _audit_of(audit: pb.Audit) -> AuditFigures:
    return AuditFigures(
        recall=audit.recall,
        low=audit.low,
        high=audit.high,
        num_recalls=audit.num_recalls,
        num_audited=audit.num_audited,
        last_time=audit.last_time,
    )
