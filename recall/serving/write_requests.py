"""Messages of `recall.v1` that write, to values: every request is checked here, all fields at once.

Each function raises one `InvalidRequestError` with every violation it found; a value that comes out is valid.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

from recall.errors import FieldViolation, InvalidRequestError
from recall.live.convert import check_id, check_size, interaction_from_message, item_from_message, user_from_message
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.update_mask import UpdateMask
from recall.live.writes import RequestKey
from recall.schema import DataSchema
from recall.v1 import recall_pb2 as pb

MAX_BATCH = 1_000
MAX_REQUEST_ID_BYTES = 128

WriteRequest: TypeAlias = (
    pb.UpsertItemsRequest
    | pb.DeleteItemsRequest
    | pb.UpsertUsersRequest
    | pb.DeleteUsersRequest
    | pb.RecordInteractionsRequest
)

_Record = TypeVar("_Record")
_Checked: TypeAlias = tuple[_Record, list[FieldViolation]]


def items_to_upsert(request: pb.UpsertItemsRequest, schema: DataSchema) -> list[ItemRecord]:
    """Returns the items of an `UpsertItems` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    checked = (item_from_message(m, schema, path=f"items[{place}]")[:2] for place, m in enumerate(request.items))
    more = [v for place, item in enumerate(request.items) for v in check_size(item.ByteSize(), path=f"items[{place}]")]
    more += _mask_violations(request)
    more += _repeated_violations([message.item_id for message in request.items], "items", suffix=".item_id")
    return _records(checked, request, more, size=len(request.items), path="items")


def update_mask(request: pb.UpsertItemsRequest) -> UpdateMask | None:
    """Returns the checked mask of an `UpsertItems` call, None where items are replaced."""
    return UpdateMask.of(request.update_mask.paths) if request.HasField("update_mask") else None


def users_to_upsert(request: pb.UpsertUsersRequest, schema: DataSchema) -> list[UserRecord]:
    """Returns the users of an `UpsertUsers` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    checked = (user_from_message(m, schema, path=f"users[{place}]")[:2] for place, m in enumerate(request.users))
    more = _repeated_violations([message.user_id for message in request.users], "users", suffix=".user_id")
    return _records(checked, request, more, size=len(request.users), path="users")


def interactions_to_record(request: pb.RecordInteractionsRequest) -> list[InteractionRecord]:
    """Returns the events of a `RecordInteractions` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    now = int(time.time())
    checked = (
        interaction_from_message(message, now, path=f"interactions[{place}]")
        for place, message in enumerate(request.interactions)
    )
    return _records(checked, request, [], size=len(request.interactions), path="interactions")


def ids_to_delete(request: pb.DeleteItemsRequest | pb.DeleteUsersRequest) -> tuple[str, ...]:
    """Returns the ids of a `DeleteItems` or a `DeleteUsers` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    if isinstance(request, pb.DeleteItemsRequest):
        path, ids = "item_ids", request.item_ids
    else:
        path, ids = "user_ids", request.user_ids
    checked = ((value, check_id(value, path=f"{path}[{place}]")) for place, value in enumerate(ids))
    return tuple(_records(checked, request, _repeated_violations(ids, path), size=len(ids), path=path))


def request_key(request: WriteRequest) -> RequestKey | None:
    """Returns what names a request, None where it has no id."""
    if not request.request_id:
        return None
    content = request.SerializeToString(deterministic=True)
    digest = hashlib.sha256(type(request).__name__.encode() + b"\n" + content).digest()
    return RequestKey(request_id=request.request_id, digest=digest)


def _records(
    checked: Iterable[_Checked[_Record]],
    request: WriteRequest,
    violations: Sequence[FieldViolation],
    *,
    size: int,
    path: str,
) -> list[_Record]:
    """Returns the checked records of a request; entries are looked at only where there are not too many of them."""
    found = [*_id_violations(request.request_id), *_size_violations(size, path)]
    records = []
    for record, wrong in checked if size <= MAX_BATCH else ():
        records.append(record)
        found += wrong
    found += violations
    if found:
        raise InvalidRequestError(found)
    return records


def _mask_violations(request: pb.UpsertItemsRequest) -> list[FieldViolation]:
    try:
        update_mask(request)
    except InvalidRequestError as error:
        return list(error.violations)
    return []


def _id_violations(request_id: str) -> list[FieldViolation]:
    size_bytes = len(request_id.encode())
    if size_bytes <= MAX_REQUEST_ID_BYTES:
        return []
    text = f"it has {size_bytes} bytes of UTF-8; send at most {MAX_REQUEST_ID_BYTES}, for example a UUID"
    return [FieldViolation(field="request_id", description=text)]


def _size_violations(size: int, path: str) -> list[FieldViolation]:
    if 1 <= size <= MAX_BATCH:
        return []
    text = f"{size:,} entries are outside 1..{MAX_BATCH:,}; send at least one, and many in several calls"
    return [FieldViolation(field=path, description=text)]


def _repeated_violations(ids: Sequence[str], path: str, *, suffix: str = "") -> list[FieldViolation]:
    first: dict[str, int] = {}
    violations: list[FieldViolation] = []
    if len(ids) > MAX_BATCH:
        return violations
    for position, item_id in enumerate(ids):
        earlier = first.setdefault(item_id, position)
        if earlier != position and item_id:
            text = f"{item_id!r} stands at {path}[{earlier}] too; send each id once"
            violations.append(FieldViolation(field=f"{path}[{position}]{suffix}", description=text))
    return violations
