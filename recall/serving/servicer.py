"""The RPC methods of `recall.v1.RecallService`: check the request, ask the system, write the reply."""

from __future__ import annotations

import grpc

from recall.errors import UnavailableError
from recall.live.service import RecallSystem
from recall.serving import batch_messages, explain_messages, replies, requests, write_requests
from recall.serving.status import aborting
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

_MARGIN_SECONDS = 0.25  # left of the caller's deadline, so that a wait that fails can still say why


class RecallServicer(recall_pb2_grpc.RecallServiceServicer):
    """Answers from the attached system; UNAVAILABLE until there is one."""

    def __init__(self, max_wait_seconds: float) -> None:
        """Starts without a system; `max_wait_seconds` bounds the wait for `min_sequence`."""
        self._max_wait_seconds = max_wait_seconds
        self._system: RecallSystem | None = None

    def attach(self, system: RecallSystem) -> None:
        """Answers from `system` from now on."""
        self._system = system

    def Recall(self, request: pb.RecallRequest, context: grpc.ServicerContext) -> pb.RecallResponse:
        """Returns the best items for a user."""
        with aborting(context):
            system = self._attached()
            query = requests.recall_query(request, system.schema, dim=system.dim)
            self._wait(system, request.min_sequence, context)
            return replies.recall_response(system.recall(query))

    def BatchRecall(self, request: pb.BatchRecallRequest, context: grpc.ServicerContext) -> pb.BatchRecallResponse:
        """Answers many recalls in one call."""
        with aborting(context):
            system = self._attached()
            queries = batch_messages.batch_queries(request, system.schema, dim=system.dim)
            self._wait(system, batch_messages.batch_sequence(request), context)
            return batch_messages.batch_response(system.recall_batch(queries))

    def SimilarItems(self, request: pb.SimilarItemsRequest, context: grpc.ServicerContext) -> pb.SimilarItemsResponse:
        """Returns the nearest neighbours of an item."""
        with aborting(context):
            system = self._attached()
            query = requests.similar_query(request, system.schema)
            self._wait(system, request.min_sequence, context)
            return replies.similar_response(system.similar(query))

    def UpsertItems(self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext) -> pb.UpsertItemsResponse:
        """Inserts or replaces items, all or none."""
        with aborting(context):
            system = self._attached()
            items = write_requests.items_to_upsert(request, system.schema)
            mask, key = write_requests.update_mask(request), write_requests.request_key(request)
            result = system.upsert(items, mask=mask, request=key, validate_only=request.validate_only)
            return replies.upsert_response(result)

    def DeleteItems(self, request: pb.DeleteItemsRequest, context: grpc.ServicerContext) -> pb.DeleteItemsResponse:
        """Deletes items, all or none."""
        with aborting(context):
            system = self._attached()
            item_ids, key = write_requests.ids_to_delete(request), write_requests.request_key(request)
            return replies.delete_response(system.delete(item_ids, request=key))

    def UpsertUsers(self, request: pb.UpsertUsersRequest, context: grpc.ServicerContext) -> pb.UpsertUsersResponse:
        """Inserts or replaces users, all or none."""
        with aborting(context):
            system = self._attached()
            users, key = write_requests.users_to_upsert(request, system.schema), write_requests.request_key(request)
            result = system.upsert_users(users, request=key, validate_only=request.validate_only)
            return replies.upsert_users_response(result)

    def DeleteUsers(self, request: pb.DeleteUsersRequest, context: grpc.ServicerContext) -> pb.DeleteUsersResponse:
        """Erases users with their interactions, all or none."""
        with aborting(context):
            system = self._attached()
            user_ids, key = write_requests.ids_to_delete(request), write_requests.request_key(request)
            return replies.delete_users_response(system.delete_users(user_ids, request=key))

    def RecordInteractions(
        self, request: pb.RecordInteractionsRequest, context: grpc.ServicerContext
    ) -> pb.RecordInteractionsResponse:
        """Records what users chose, all or none."""
        with aborting(context):
            system = self._attached()
            events, key = write_requests.interactions_to_record(request), write_requests.request_key(request)
            return replies.record_response(system.record(events, request=key))

    def GetItem(self, request: pb.GetItemRequest, context: grpc.ServicerContext) -> pb.GetItemResponse:
        """Returns what is stored of one item."""
        with aborting(context):
            system = self._attached()
            item_id = requests.id_to_get(request)
            self._wait(system, request.min_sequence, context)
            return replies.item_response(system.get(item_id))

    def ListItems(self, request: pb.ListItemsRequest, context: grpc.ServicerContext) -> pb.ListItemsResponse:
        """Returns one page of the stored items."""
        with aborting(context):
            system = self._attached()
            query = requests.page_to_list(request)
            self._wait(system, request.min_sequence, context)
            return replies.page_response(system.page(query))

    def ExplainItem(self, request: pb.ExplainItemRequest, context: grpc.ServicerContext) -> pb.ExplainItemResponse:
        """Returns why an item is or is not in the answer to a recall."""
        with aborting(context):
            system = self._attached()
            query = explain_messages.explained_query(request, system.schema, dim=system.dim)
            self._wait(system, request.recall.min_sequence, context)
            return explain_messages.explain_response(system.explain(query, request.item_id))

    def GetStatus(self, request: pb.GetStatusRequest, context: grpc.ServicerContext) -> pb.GetStatusResponse:
        """Returns what is served."""
        with aborting(context):
            return replies.status_response(self._attached().status())

    def _attached(self) -> RecallSystem:
        if self._system is None:
            raise UnavailableError("the server is starting; try again in a moment")
        return self._system

    def _wait(self, system: RecallSystem, sequence: int, context: grpc.ServicerContext) -> None:
        if sequence <= 0:
            return
        left = context.time_remaining()
        seconds = self._max_wait_seconds if left is None else min(self._max_wait_seconds, left - _MARGIN_SECONDS)
        system.wait_for(sequence, max(seconds, 0.0))
