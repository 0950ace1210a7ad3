"""Values to reply messages of `recall.v1`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from recall.live.convert import item_to_message
from recall.live.listing import ItemPage
from recall.live.query import Result
from recall.live.records import StoredItem
from recall.live.service import ItemView
from recall.live.status import Status
from recall.live.tuning import TuningFacts
from recall.live.wire_enums import ANSWERED_FROM
from recall.live.writes import DeleteResult, RecordResult, WriteResult, WriteWarning
from recall.serving.attribute_messages import attribute_columns
from recall.serving.channel_messages import channels_to_message
from recall.v1 import recall_pb2 as pb


def recall_response(result: Result) -> pb.RecallResponse:
    """Returns the answer of a `Recall` call."""
    return pb.RecallResponse(
        item_ids=result.item_ids,
        scores=result.scores.tolist(),
        model_id=result.model_id,
        sequence=result.sequence,
        short_reason=result.short_reason,
        answered_from=ANSWERED_FROM[result.answered_from],
        item_channels=channels_to_message(result.item_channels),
        attributes=attribute_columns(result.attributes),
    )


def similar_response(result: Result) -> pb.SimilarItemsResponse:
    """Returns the answer of a `SimilarItems` call."""
    return pb.SimilarItemsResponse(
        item_ids=result.item_ids,
        scores=result.scores.tolist(),
        model_id=result.model_id,
        sequence=result.sequence,
        short_reason=result.short_reason,
        attributes=attribute_columns(result.attributes),
    )


def upsert_response(result: WriteResult) -> pb.UpsertItemsResponse:
    """Returns the answer of an `UpsertItems` call."""
    warnings = _warnings(result.warnings)
    return pb.UpsertItemsResponse(sequence=result.sequence, model_id=result.model_id, warnings=warnings)


def delete_response(result: DeleteResult) -> pb.DeleteItemsResponse:
    """Returns the answer of a `DeleteItems` call."""
    return pb.DeleteItemsResponse(sequence=result.sequence, model_id=result.model_id, num_deleted=result.num_deleted)


def upsert_users_response(result: WriteResult) -> pb.UpsertUsersResponse:
    """Returns the answer of an `UpsertUsers` call."""
    warnings = _warnings(result.warnings)
    return pb.UpsertUsersResponse(sequence=result.sequence, model_id=result.model_id, warnings=warnings)


def delete_users_response(result: DeleteResult) -> pb.DeleteUsersResponse:
    """Returns the answer of a `DeleteUsers` call."""
    return pb.DeleteUsersResponse(sequence=result.sequence, model_id=result.model_id, num_deleted=result.num_deleted)


def record_response(result: RecordResult) -> pb.RecordInteractionsResponse:
    """Returns the answer of a `RecordInteractions` call."""
    return pb.RecordInteractionsResponse(
        sequence=result.sequence, model_id=result.model_id, num_recorded=result.num_recorded
    )


def page_response(page: ItemPage) -> pb.ListItemsResponse:
    """Returns the answer of a `ListItems` call."""
    return pb.ListItemsResponse(
        items=[_item(item) for item in page.items],
        item_sequences=[item.sequence for item in page.items],
        retrievable=page.retrievable,
        next_page_token=page.next_token,
        model_id=page.model_id,
        sequence=page.sequence,
        damaged_item_ids=page.damaged,
    )


def item_response(view: ItemView) -> pb.GetItemResponse:
    """Returns the answer of a `GetItem` call."""
    stored = view.item
    return pb.GetItemResponse(
        item=_item(stored),
        item_sequence=stored.sequence,
        model_id=view.model_id,
        sequence=view.sequence,
        retrievable=view.retrievable,
    )


def status_response(status: Status) -> pb.GetStatusResponse:
    """Returns the answer of a `GetStatus` call."""
    return pb.GetStatusResponse(
        model_id=status.model_id,
        sequence=status.sequence,
        snapshot=status.snapshot,
        catalog_uuid=status.catalog_uuid,
        num_base=status.num_base,
        num_fresh=status.num_fresh,
        num_deleted=status.num_deleted,
        num_items=status.num_items,
        num_skipped=status.num_skipped,
        index_kind=status.index_kind,
        index_parameters={name: str(value) for name, value in status.index_parameters.items()},
        dim=status.dim,
        item_features=[pb.Feature(name=spec.name, kind=spec.kind) for spec in status.item_features],
        item_attributes=[pb.Feature(name=spec.name, kind=spec.kind) for spec in status.item_attributes],
        user_features=[pb.Feature(name=spec.name, kind=spec.kind) for spec in status.user_features],
        last_switch_error=status.last_switch_error,
        index_tuning=None if status.index_tuning is None else _tuning(status.index_tuning),
        audit=None if status.audit is None else pb.Audit(**asdict(status.audit)),
        advice=pb.Advice(**asdict(status.advice)),
        catalog_sequence=status.catalog_sequence,
        lag_seconds=status.lag_seconds,
    )


def _tuning(tuning: TuningFacts) -> pb.IndexTuning:
    return pb.IndexTuning(
        target_recall=tuning.target_recall,
        k=tuning.k,
        memory_budget_bytes=tuning.memory_budget_bytes,
        recall=tuning.recall,
        reached=tuning.reached,
        message=tuning.message,
        tried=[
            pb.IndexTrial(
                kind=trial.kind,
                parameters={name: str(value) for name, value in trial.parameters.items()},
                recall=trial.recall,
                microseconds=trial.microseconds,
                resident_bytes=trial.resident_bytes,
                build_seconds=trial.build_seconds,
                verdict=trial.verdict,
            )
            for trial in tuning.tried
        ],
    )


def _item(item: StoredItem) -> pb.Item:
    window = item.available_from, item.available_until
    return item_to_message(item.item_id, item.features, attributes=item.attributes, window=window)


def _warnings(warnings: Sequence[WriteWarning]) -> list[pb.Warning]:
    return [pb.Warning(item_id=w.item_id, user_id=w.user_id, code=w.code, message=w.message) for w in warnings]
