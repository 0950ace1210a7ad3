"""The client itself: one method a call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from recall.client.requests import get_request, list_request, recall_request, similar_request
from recall.client.results import ItemReply, PageReply, result_of
from recall.client.status import StatusReply
from recall.client.writes import (
    delete_request,
    delete_result,
    delete_users_request,
    record_request,
    record_result,
    upsert_request,
    upsert_users_request,
    write_result,
)
from recall.errors import (
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    RecallError,
    TooLargeError,
    UnavailableError,
)
from recall.live.query import RecallQuery, Result, SimilarQuery
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.writes import DeleteResult, RecordResult, WriteResult
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.use_local_subchannel_pool", 1),  # else all clients of a process share one connection to a server
)
_ERRORS: Mapping[grpc.StatusCode, type[RecallError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: NotReadyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooLargeError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}

_ReplyT = TypeVar("_ReplyT", bound=Message)


class RecallClient:
    """A connection to one server; threads may share it.

    Each write takes a `request_id`, for example a UUID: sent again with the same content, on any server of the
    catalogue, it writes nothing and returns the first reply. Empty: every call writes.

    Every method raises kinds of `RecallError` only. Besides those that a method names, each can raise
    `UnavailableError` (no connection; the server is starting, stopping or too busy), `DeadlineError` (no answer in
    time), `NotReadyError` and `TooLargeError`.
    """

    def __init__(self, target: str, *, timeout_seconds: float = 5.0) -> None:
        """Prepares the connection; it is made with the first call.

        Args:
            target: `HOST:PORT`.
            timeout_seconds: Deadline of each call, waiting for `min_sequence` included.
        """
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._channel = grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._stub = recall_pb2_grpc.RecallServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def __enter__(self) -> RecallClient:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way fail."""
        self._channel.close()

    def wait_until_serving(self, timeout_seconds: float = 60.0) -> None:
        """Returns once the server is up and serves.

        Raises:
            DeadlineError: It does not within the time.
        """
        health = health_pb2_grpc.HealthStub(self._channel)
        deadline = time.perf_counter() + timeout_seconds
        state = "not reachable"
        while (left := deadline - time.perf_counter()) > 0:
            try:
                reply = health.Check(health_pb2.HealthCheckRequest(), timeout=left, wait_for_ready=True)
            except grpc.RpcError as error:
                state = _typed_error(error, self._target).args[0]
            else:
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                state = "it is starting or stopping"
            time.sleep(0.05)
        raise DeadlineError(f"{self._target} did not serve within {timeout_seconds:g} s: {state}")

    def recall(self, query: RecallQuery, *, min_sequence: int = 0) -> Result:
        """Returns the best items for a user.

        Args:
            query: The question; its features may hold every value that `checked_features` takes.
            min_sequence: Wait until this write is visible.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        return result_of(self._call(self._stub.Recall, recall_request(query, min_sequence)))

    def similar(self, query: SimilarQuery, *, min_sequence: int = 0) -> Result:
        """Returns the nearest neighbours or the twins of a stored item, or of features that need not be stored.

        Args:
            query: The question; its features may hold every value that `checked_features` takes.
            min_sequence: Wait until this write is visible.

        Raises:
            NotFoundError: No item has the id.
            InvalidRequestError: Fields are invalid; all of them are listed.
            NotReadyError: Twins are asked for, and the served snapshot was made before there were any.
        """
        return result_of(self._call(self._stub.SimilarItems, similar_request(query, min_sequence)))

    def upsert(
        self,
        items: Sequence[ItemRecord],
        *,
        update_mask: Sequence[str] | None = None,
        validate_only: bool = False,
        request_id: str = "",
    ) -> WriteResult:
        """Inserts or replaces 1 to 1,000 items, all or none; when it returns they are durable and retrievable.

        Args:
            items: Each id once; features and attributes may hold every value that `checked_features` takes.
            update_mask: Change only these fields of items that are stored: `features.NAME`, `attributes.NAME`,
                `available_from`, `available_until`, `features`, `attributes`.
            validate_only: Check and embed, but store nothing.
            request_id: Makes the call safe to repeat.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
            NotFoundError: There is a mask, and an item is not stored.
        """
        request = upsert_request(items, update_mask=update_mask, validate_only=validate_only, request_id=request_id)
        return write_result(self._call(self._stub.UpsertItems, request))

    def delete(self, item_ids: Sequence[str], *, request_id: str = "") -> DeleteResult:
        """Deletes 1 to 1,000 items, all or none; when it returns they are never returned again.

        Raises:
            InvalidRequestError: Ids are invalid; all of them are listed.
        """
        return delete_result(self._call(self._stub.DeleteItems, delete_request(item_ids, request_id)))

    def upsert_users(
        self, users: Sequence[UserRecord], *, validate_only: bool = False, request_id: str = ""
    ) -> WriteResult:
        """Inserts or replaces 1 to 1,000 users, all or none; their next recall reflects it.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        request = upsert_users_request(users, validate_only=validate_only, request_id=request_id)
        return write_result(self._call(self._stub.UpsertUsers, request))

    def delete_users(self, user_ids: Sequence[str], *, request_id: str = "") -> DeleteResult:
        """Erases 1 to 1,000 users with their interactions, all or none.

        Raises:
            InvalidRequestError: Ids are invalid; all of them are listed.
        """
        request = delete_users_request(user_ids, request_id)
        return delete_result(self._call(self._stub.DeleteUsers, request))

    def record(self, interactions: Sequence[InteractionRecord], *, request_id: str = "") -> RecordResult:
        """Records 1 to 1,000 events, all or none; the next recall of their users reflects them.

        Args:
            interactions: Events; one of time 0 is of the moment at which the server takes it.
            request_id: Makes the call safe to repeat.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        request = record_request(interactions, request_id)
        return record_result(self._call(self._stub.RecordInteractions, request))

    def get(self, item_id: str, *, min_sequence: int = 0) -> ItemReply:
        """Returns what is stored of one item.

        Raises:
            NotFoundError: No item has the id.
            InvalidRequestError: The id is invalid.
        """
        request = get_request(item_id, min_sequence)
        return ItemReply.from_message(self._call(self._stub.GetItem, request))

    def page(self, *, token: str = "", size: int = 0, min_sequence: int = 0) -> PageReply:
        """Returns one page of the stored items, item id ascending in UTF-8 byte order.

        Args:
            token: Of the page before; empty for the first.
            size: Items wanted, 1 to 1,000; 0 means 100.
            min_sequence: Wait until this write is visible.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        return PageReply.from_message(self._call(self._stub.ListItems, list_request(size, token, min_sequence)))

    def items(self, *, min_sequence: int = 0) -> Iterator[ItemReply]:
        """Yields every stored item once, page by page; damaged ones are left out (see `page`)."""
        page = self.page(size=1_000, min_sequence=min_sequence)
        yield from page.items
        while page.next_token:
            page = self.page(token=page.next_token, size=1_000)
            yield from page.items

    def status(self) -> StatusReply:
        """Returns what the server serves."""
        return StatusReply.from_message(self._call(self._stub.GetStatus, pb.GetStatusRequest()))

    def _call(self, method: Callable[..., _ReplyT], request: Message) -> _ReplyT:
        try:
            return method(request, timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            raise _typed_error(error, self._target) from error


def _typed_error(error: grpc.RpcError, target: str) -> RecallError:
    if not isinstance(error, grpc.Call):
        return RecallError(f"{target}: {error}")
    status = rpc_status.from_call(error)
    code = error.code()
    if status is None:
        return _transport_error(code, error.details() or "", target)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        bad_request = error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(bad_request)
        listed = [FieldViolation(field=v.field, description=v.description) for v in bad_request.field_violations]
        return InvalidRequestError(listed or [FieldViolation(field="request", description=status.message)])
    return _ERRORS.get(code, RecallError)(status.message)


def _transport_error(code: grpc.StatusCode, details: str, target: str) -> RecallError:
    # Without details the answer is not from the service: the connection, the deadline or a limit of gRPC itself.
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnavailableError(f"{target} cannot be reached; check the address and that the server runs ({details})")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"{target} did not answer in time; allow more or ask for less ({details})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
        return UnavailableError(f"{target} has too many calls under way; try again later ({details})")
    return _ERRORS.get(code, RecallError)(f"{target}: {code.name}: {details}")
