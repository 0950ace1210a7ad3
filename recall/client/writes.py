"""Writes to request messages of `recall.v1`, and their replies to frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from recall.client.features import checked_features
from recall.client.requests import checked_strings, refusing_values
from recall.live.convert import features_to_messages, item_to_message
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.writes import DeleteResult, RecordResult, WriteResult, WriteWarning
from recall.v1 import recall_pb2 as pb


@refusing_values()
def upsert_request(
    items: Sequence[ItemRecord], *, update_mask: Sequence[str] | None, validate_only: bool, request_id: str
) -> pb.UpsertItemsRequest:
    """Returns the request of an `UpsertItems` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes.
    """
    messages = []
    for position, item in enumerate(items):
        features = checked_features(item.features, path=f"items[{position}].features")
        attributes = checked_features(item.attributes, path=f"items[{position}].attributes")
        window = item.available_from, item.available_until
        messages.append(item_to_message(item.item_id, features, attributes=attributes, window=window))
    request = pb.UpsertItemsRequest(items=messages, validate_only=validate_only, request_id=request_id)
    if update_mask is not None:
        request.update_mask.CopyFrom(FieldMask(paths=checked_strings(update_mask, "update_mask.paths")))
    return request


@refusing_values()
def delete_request(item_ids: Sequence[str], request_id: str) -> pb.DeleteItemsRequest:
    """Returns the request of a `DeleteItems` call."""
    return pb.DeleteItemsRequest(item_ids=checked_strings(item_ids, "item_ids"), request_id=request_id)


@refusing_values()
def upsert_users_request(users: Sequence[UserRecord], *, validate_only: bool, request_id: str) -> pb.UpsertUsersRequest:
    """Returns the request of an `UpsertUsers` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes.
    """
    messages = []
    for position, user in enumerate(users):
        features = features_to_messages(checked_features(user.features, path=f"users[{position}].features"))
        messages.append(pb.User(user_id=user.user_id, features=features))
    return pb.UpsertUsersRequest(users=messages, validate_only=validate_only, request_id=request_id)


@refusing_values()
def delete_users_request(user_ids: Sequence[str], request_id: str) -> pb.DeleteUsersRequest:
    """Returns the request of a `DeleteUsers` call."""
    return pb.DeleteUsersRequest(user_ids=checked_strings(user_ids, "user_ids"), request_id=request_id)


@refusing_values()
def record_request(interactions: Sequence[InteractionRecord], request_id: str) -> pb.RecordInteractionsRequest:
    """Returns the request of a `RecordInteractions` call; an event of time 0 goes without one."""
    events = (
        pb.Interaction(user_id=event.user_id, item_id=event.item_id, timestamp=event.timestamp or None)
        for event in interactions
    )
    return pb.RecordInteractionsRequest(interactions=events, request_id=request_id)


def write_result(reply: pb.UpsertItemsResponse | pb.UpsertUsersResponse) -> WriteResult:
    """Returns what an upsert did."""
    return WriteResult(sequence=reply.sequence, model_id=reply.model_id, warnings=_warnings(reply.warnings))


def delete_result(reply: pb.DeleteItemsResponse | pb.DeleteUsersResponse) -> DeleteResult:
    """Returns what a deletion did."""
    return DeleteResult(sequence=reply.sequence, model_id=reply.model_id, num_deleted=reply.num_deleted)


def record_result(reply: pb.RecordInteractionsResponse) -> RecordResult:
    """Returns what a record of events did."""
    return RecordResult(sequence=reply.sequence, model_id=reply.model_id, num_recorded=reply.num_recorded)


def _warnings(warnings: Iterable[pb.Warning]) -> tuple[WriteWarning, ...]:
    return tuple(WriteWarning(item_id=w.item_id, user_id=w.user_id, code=w.code, message=w.message) for w in warnings)
