"""The client itself: one method a call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from recall.client.calls import Calls, CallSettings
from recall.client.credentials import BearerToken, Credentials
from recall.client.errors import typed_error
from recall.client.requests import (
    batch_request,
    explain_request,
    get_request,
    list_request,
    recall_request,
    similar_request,
)
from recall.client.results import ItemReply, PageReply, explanation_of, result_of
from recall.client.retries import RetryPolicy
from recall.client.status import StatusReply
from recall.client.targets import channel_to
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
from recall.errors import DeadlineError
from recall.live.explanation import Explanation
from recall.live.query import RecallQuery, Result, SimilarQuery
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.writes import DeleteResult, RecordResult, WriteResult
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

_DEFAULT_RETRY = RetryPolicy()
_NO_CREDENTIALS = Credentials()


class RecallClient:
    """Calls one server, or several of one catalogue in turn; threads may share it.

    **Deadlines.** Each call ends within `timeout_seconds` of the client or of the call, waiting and retries included.

    **Retries.** Where a server is UNAVAILABLE (it cannot be reached, is starting, stopping, or waits for a locked
    catalogue), the call is made again after a pause; no other failure is retried. So that a repeated write writes once,
    the client gives each write a `request_id` of its own; a caller's own, for example a UUID, is kept, with which a
    later process may repeat the write too. With `""` a write has none, and is attempted once.

    **Own writes.** Each call waits until the server reflects every write that a reply to this client named, on whatever
    server it was; `min_sequence` is for writes of others. The wait ends with the deadline.

    Every method raises kinds of `RecallError` only. Besides those that a method names, each can raise
    `UnavailableError` (no connection; the server is starting or stopping, or as `OverloadedError` too busy),
    `DeadlineError` (no answer in time), `NotReadyError`, `TooLargeError` and, where the server asks for tokens,
    `UnauthenticatedError`, `PermissionDeniedError` and `QuotaError`.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_seconds: float = 5.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        reads_own_writes: bool = True,
        credentials: Credentials = _NO_CREDENTIALS,
    ) -> None:
        """Prepares the connection; it is made with the first call.

        Args:
            target: `HOST:PORT`, or several with commas between: servers of one catalogue. They take calls in turn, and
                one that cannot be reached is passed over.
            timeout_seconds: Deadline of a call that names none.
            retry: How often, and after which pauses, a call is made again where no server could take it.
            reads_own_writes: Whether each call waits for the writes that this client has seen.
            credentials: Encryption and token. The default has neither.

        Raises:
            ConfigError: There are several targets, and one of them cannot be resolved; a file of the credentials cannot
                be read; or a token would go to another machine without encryption.
        """
        self._target = target
        settings = CallSettings(
            timeout_seconds=timeout_seconds,
            retry=retry,
            reads_own_writes=reads_own_writes,
            token=BearerToken(credentials) if credentials.has_token else None,
        )
        self._calls = Calls(target, settings)
        self._channel = channel_to(target, credentials)
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
        self._calls.close()
        self._channel.close()

    @property
    def sequence(self) -> int:
        """The last write that a reply to this client named; another client can wait for it. 0 before the first."""
        return self._calls.sequence

    def wait_until_serving(self, timeout_seconds: float = 60.0) -> None:
        """Returns once the server is up and serves; of several servers, one.

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
                state = typed_error(error, self._target).args[0]
            else:
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                state = "it is starting or stopping"
            time.sleep(0.05)
        raise DeadlineError(f"{self._target} did not serve within {timeout_seconds:g} s: {state}")

    def recall(self, query: RecallQuery, *, min_sequence: int = 0, timeout_seconds: float | None = None) -> Result:
        """Returns the best items for a user.

        Args:
            query: The question; its features may hold every value that `checked_features` takes.
            min_sequence: Wait until this write is visible.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        request = recall_request(query, self._calls.min_sequence(min_sequence))
        return result_of(self._calls.call(self._stub.Recall, request, timeout_seconds))

    def batch_recall(
        self, queries: Sequence[RecallQuery], *, min_sequence: int = 0, timeout_seconds: float | None = None
    ) -> list[Result]:
        """Returns the best items for each of 1 to 1,000 users, all of one moment.

        Args:
            queries: The questions, together for at most 100,000 items.
            min_sequence: Wait until this write is visible.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed, as `requests[3].limit`.
        """
        request = batch_request(queries, self._calls.min_sequence(min_sequence))
        return [result_of(one) for one in self._calls.call(self._stub.BatchRecall, request, timeout_seconds).responses]

    def explain(
        self, query: RecallQuery, item_id: str, *, min_sequence: int = 0, timeout_seconds: float | None = None
    ) -> Explanation:
        """Returns why an item is or is not in the answer to a recall.

        Args:
            query: The recall; its channels and attributes play no part.
            item_id: The item, stored or not.
            min_sequence: Wait until this write is visible.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        request = explain_request(query, item_id, min_sequence=self._calls.min_sequence(min_sequence))
        return explanation_of(self._calls.call(self._stub.ExplainItem, request, timeout_seconds))

    def similar(self, query: SimilarQuery, *, min_sequence: int = 0, timeout_seconds: float | None = None) -> Result:
        """Returns the nearest neighbours or the twins of a stored item, or of features that need not be stored.

        Args:
            query: The question; its features may hold every value that `checked_features` takes.
            min_sequence: Wait until this write is visible.
            timeout_seconds: Deadline.

        Raises:
            NotFoundError: No item has the id.
            InvalidRequestError: Fields are invalid; all of them are listed.
            NotReadyError: Twins are asked for, and the served snapshot was made before there were any.
        """
        request = similar_request(query, self._calls.min_sequence(min_sequence))
        return result_of(self._calls.call(self._stub.SimilarItems, request, timeout_seconds))

    def upsert(
        self,
        items: Sequence[ItemRecord],
        *,
        update_mask: Sequence[str] | None = None,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteResult:
        """Inserts or replaces 1 to 1,000 items, all or none; when it returns they are durable and retrievable.

        Args:
            items: Each id once; features and attributes may hold every value that `checked_features` takes.
            update_mask: Change only these fields of items that are stored: `features.NAME`, `attributes.NAME`,
                `available_from`, `available_until`, `features`, `attributes`.
            validate_only: Check and embed, but store nothing.
            request_id: Makes the call safe to repeat; None makes one.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
            NotFoundError: There is a mask, and an item is not stored.
        """
        key = _request_id(request_id)
        request = upsert_request(items, update_mask=update_mask, validate_only=validate_only, request_id=key)
        writes = None if validate_only else key
        return write_result(self._calls.call(self._stub.UpsertItems, request, timeout_seconds, request_id=writes))

    def delete(
        self, item_ids: Sequence[str], *, request_id: str | None = None, timeout_seconds: float | None = None
    ) -> DeleteResult:
        """Deletes 1 to 1,000 items, all or none; when it returns they are never returned again.

        Raises:
            InvalidRequestError: Ids are invalid; all of them are listed.
        """
        key = _request_id(request_id)
        request = delete_request(item_ids, key)
        return delete_result(self._calls.call(self._stub.DeleteItems, request, timeout_seconds, request_id=key))

    def upsert_users(
        self,
        users: Sequence[UserRecord],
        *,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteResult:
        """Inserts or replaces 1 to 1,000 users, all or none; their next recall reflects it.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        key = _request_id(request_id)
        request = upsert_users_request(users, validate_only=validate_only, request_id=key)
        writes = None if validate_only else key
        return write_result(self._calls.call(self._stub.UpsertUsers, request, timeout_seconds, request_id=writes))

    def delete_users(
        self, user_ids: Sequence[str], *, request_id: str | None = None, timeout_seconds: float | None = None
    ) -> DeleteResult:
        """Erases 1 to 1,000 users with their interactions, all or none.

        Raises:
            InvalidRequestError: Ids are invalid; all of them are listed.
        """
        key = _request_id(request_id)
        request = delete_users_request(user_ids, key)
        return delete_result(self._calls.call(self._stub.DeleteUsers, request, timeout_seconds, request_id=key))

    def record(
        self,
        interactions: Sequence[InteractionRecord],
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> RecordResult:
        """Records 1 to 1,000 events, all or none; the next recall of their users reflects them.

        Args:
            interactions: Events; one of time 0 is of the moment at which the server takes it.
            request_id: Makes the call safe to repeat; None makes one.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        key = _request_id(request_id)
        request = record_request(interactions, key)
        return record_result(self._calls.call(self._stub.RecordInteractions, request, timeout_seconds, request_id=key))

    def get(self, item_id: str, *, min_sequence: int = 0, timeout_seconds: float | None = None) -> ItemReply:
        """Returns what is stored of one item.

        Raises:
            NotFoundError: No item has the id.
            InvalidRequestError: The id is invalid.
        """
        request = get_request(item_id, self._calls.min_sequence(min_sequence))
        return ItemReply.from_message(self._calls.call(self._stub.GetItem, request, timeout_seconds))

    def page(
        self, *, token: str = "", size: int = 0, min_sequence: int = 0, timeout_seconds: float | None = None
    ) -> PageReply:
        """Returns one page of the stored items, item id ascending in UTF-8 byte order.

        Args:
            token: Of the page before; empty for the first.
            size: Items wanted, 1 to 1,000; 0 means 100.
            min_sequence: Wait until this write is visible.
            timeout_seconds: Deadline.

        Raises:
            InvalidRequestError: Fields are invalid; all of them are listed.
        """
        request = list_request(size, token, self._calls.min_sequence(min_sequence))
        return PageReply.from_message(self._calls.call(self._stub.ListItems, request, timeout_seconds))

    def items(self, *, min_sequence: int = 0, timeout_seconds: float | None = None) -> Iterator[ItemReply]:
        """Yields every stored item once, page by page; damaged ones are left out (see `page`)."""
        page = self.page(size=1_000, min_sequence=min_sequence, timeout_seconds=timeout_seconds)
        yield from page.items
        while page.next_token:
            page = self.page(token=page.next_token, size=1_000, timeout_seconds=timeout_seconds)
            yield from page.items

    def status(self, *, timeout_seconds: float | None = None) -> StatusReply:
        """Returns what the server serves; of several servers, the one whose turn it is."""
        request = pb.GetStatusRequest()
        return StatusReply.from_message(self._calls.call(self._stub.GetStatus, request, timeout_seconds))


def _request_id(given: str | None) -> str:
    return str(uuid.uuid4()) if given is None else given
