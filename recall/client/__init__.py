"""The Python client of `recall.v1.RecallService`: plain values in, frozen values out, typed errors.

    with RecallClient("localhost:50051") as client:
        client.upsert([ItemRecord(item_id="new", features={"title": "A new thing", "tags": ("a", "b")})])
        result = client.recall(RecallQuery(user_id="u1", limit=10, filter=Not(AnyOf("tags", ("a",)))))

It needs gRPC and numpy; neither torch nor FAISS is imported.
"""

from __future__ import annotations

from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.client.credentials import Credentials
from recall.client.features import checked_features
from recall.client.recall_client import RecallClient
from recall.client.results import ItemReply, PageReply
from recall.client.retries import RetryPolicy
from recall.client.status import StatusReply
from recall.live.advice import Advice
from recall.live.audit_figures import AuditFigures
from recall.live.explanation import Explanation, Missing, MissingReason
from recall.live.query import AnsweredFrom, Channel, RecallQuery, Result, SimilarBy, SimilarQuery
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.writes import DeleteResult, RecordResult, WriteResult, WriteWarning

__all__ = [
    "Advice",
    "AllOf",
    "And",
    "AnsweredFrom",
    "AnyOf",
    "AuditFigures",
    "Channel",
    "Condition",
    "Credentials",
    "DeleteResult",
    "Equals",
    "Explanation",
    "In",
    "InteractionRecord",
    "ItemIn",
    "ItemRecord",
    "ItemReply",
    "Missing",
    "MissingReason",
    "Not",
    "Or",
    "PageReply",
    "Present",
    "Range",
    "RecallClient",
    "RecallQuery",
    "RecordResult",
    "Result",
    "RetryPolicy",
    "SimilarBy",
    "SimilarQuery",
    "StatusReply",
    "UserRecord",
    "WriteResult",
    "WriteWarning",
    "checked_features",
]
