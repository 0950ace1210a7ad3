"""What is served at one moment, for `GetStatus` and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.protocols import Parameters
from recall.live.advice import Advice
from recall.live.audit_figures import AuditFigures
from recall.live.catalog import Catalog
from recall.live.generation import Generation
from recall.live.reserved import CANARY_ID
from recall.live.tuning import TuningFacts
from recall.schema import FeatureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Names, sizes and parameters of what is served.

    Attributes:
        model_id: Model that embeds and answers.
        sequence: Last write that searches reflect.
        snapshot: Folder name of the snapshot.
        catalog_uuid: The catalogue.
        num_base: Rows of the base index, live or not.
        num_fresh: Live items written since the base was built, by a rebuild or a merge in memory.
        num_deleted: Rows of the base that were deleted or replaced.
        num_items: Items that can be retrieved.
        num_skipped: Stored items that are damaged or that the model cannot embed.
        index_kind: Kind of the base index.
        index_parameters: What it was built with.
        index_tuning: How they were chosen; None where they were given, or the snapshot does not say.
        dim: Length of a vector.
        item_features: Model inputs of an item that the model or the catalogue knows; those of the model first.
        item_attributes: Columns of an item that filters may use, features among them.
        user_features: Model inputs of a user, as those of an item.
        last_switch_error: Why the current snapshot is not served; empty where it is.
        advice: Whether to rebuild.
        audit: How much of the exact answers live recalls returned; None before the first audit.
        catalog_sequence: Last write in the catalogue.
        lag_seconds: For how long searches have lacked a write that is in the catalogue; 0 where they lack none.
    """

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
    index_parameters: Parameters
    index_tuning: TuningFacts | None
    dim: int
    item_features: tuple[FeatureSpec, ...]
    item_attributes: tuple[FeatureSpec, ...]
    user_features: tuple[FeatureSpec, ...]
    last_switch_error: str
    advice: Advice
    audit: AuditFigures | None
    catalog_sequence: int
    lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What the parts of the system say of themselves; the fields are those of `Status`."""

    num_skipped: int
    last_switch_error: str
    advice: Advice
    audit: AuditFigures | None
    catalog_sequence: int
    lag_seconds: float


def status_of(generation: Generation, catalog: Catalog, reports: Reports) -> Status:
    """Collects the status of a generation and its catalogue."""
    sequence, counts = generation.index.sequence, generation.index.counts(without=(CANARY_ID,))
    trained, stored = generation.model.schema, catalog.schema
    return Status(
        model_id=generation.model.model_id,
        sequence=sequence,
        snapshot=generation.snapshot,
        catalog_uuid=catalog.uuid,
        num_base=counts.base,
        num_fresh=counts.fresh,
        num_deleted=counts.deleted,
        num_items=counts.items,
        num_skipped=reports.num_skipped,
        index_kind=generation.index.base.kind,
        index_parameters=generation.index.base.parameters(),
        index_tuning=generation.tuning,
        dim=generation.model.dim,
        item_features=_merged(trained.item_features, stored.item_features),
        item_attributes=stored.item_attributes,
        user_features=_merged(trained.user_features, stored.user_features),
        last_switch_error=reports.last_switch_error,
        advice=reports.advice,
        audit=reports.audit,
        catalog_sequence=reports.catalog_sequence,
        lag_seconds=reports.lag_seconds,
    )


def _merged(first: Sequence[FeatureSpec], second: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    names = {spec.name for spec in first}
    return (*first, *(spec for spec in second if spec.name not in names))
