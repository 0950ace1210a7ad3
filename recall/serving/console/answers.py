"""What the page asks for, answered as JSON: the messages of `recall.v1` in their JSON form, checked as on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from recall.errors import FieldViolation, InvalidRequestError, RecallError
from recall.live.service import RecallSystem
from recall.schema import FeatureMap, FeatureSpec
from recall.serving import explain_messages, replies, requests, write_requests
from recall.v1 import recall_pb2 as pb

Json: TypeAlias = dict[str, object]

_MessageT = TypeVar("_MessageT", bound=Message)

_MOST_LABELS = 100
_LABEL_CHARACTERS = 160
_NAMES = ("title", "name")


def recall(system: RecallSystem, body: Json) -> Json:
    """Answers a `RecallRequest`; with the labels of its items."""
    request = _parsed(body, pb.RecallRequest())
    reply = replies.recall_response(system.recall(requests.recall_query(request, system.schema, dim=system.dim)))
    return as_json(reply) | {"labels": labels(system, reply.item_ids)}


def similar(system: RecallSystem, body: Json) -> Json:
    """Answers a `SimilarItemsRequest`; with the labels of its items."""
    request = _parsed(body, pb.SimilarItemsRequest())
    reply = replies.similar_response(system.similar(requests.similar_query(request, system.schema)))
    return as_json(reply) | {"labels": labels(system, reply.item_ids)}


def explain(system: RecallSystem, body: Json) -> Json:
    """Answers an `ExplainItemRequest`."""
    request = _parsed(body, pb.ExplainItemRequest())
    query = explain_messages.explained_query(request, system.schema, dim=system.dim)
    reply = explain_messages.explain_response(system.explain(query, request.item_id))
    return as_json(reply) | {"labels": labels(system, [request.item_id])}


def item(system: RecallSystem, body: Json) -> Json:
    """Answers a `GetItemRequest`."""
    item_id = requests.id_to_get(_parsed(body, pb.GetItemRequest()))
    return as_json(replies.item_response(system.get(item_id))) | {"labels": labels(system, [item_id])}


def upsert(system: RecallSystem, body: Json) -> Json:
    """Answers an `UpsertItemsRequest`."""
    request = _parsed(body, pb.UpsertItemsRequest())
    items = write_requests.items_to_upsert(request, system.schema)
    mask, key = write_requests.update_mask(request), write_requests.request_key(request)
    return as_json(replies.upsert_response(system.upsert(items, mask=mask, request=key)))


READS: Mapping[str, Callable[[RecallSystem, Json], Json]] = {
    "Recall": recall,
    "SimilarItems": similar,
    "ExplainItem": explain,
    "GetItem": item,
}
WRITES: Mapping[str, Callable[[RecallSystem, Json], Json]] = {"UpsertItems": upsert}


def labels(system: RecallSystem, item_ids: Sequence[str]) -> dict[str, str]:
    """Returns what people would call items: a title where there is one. Items that cannot be read are left out."""
    found = {}
    for item_id in item_ids[:_MOST_LABELS]:
        try:
            found[item_id] = label_of(system.schema.item_features, system.get(item_id).item.features)
        except RecallError:  # gone since, or damaged: the id says enough
            continue
    return found


def label_of(specs: Sequence[FeatureSpec], features: FeatureMap) -> str:
    """Returns the title or name, else the first text, else the first category; empty where there is none."""
    kinds = {spec.name: spec.kind for spec in specs}
    texts = [name for name, value in features.items() if isinstance(value, str)]
    ranked = sorted(texts, key=lambda name: (name.lower() not in _NAMES, kinds.get(name) != "text", name))
    text = str(features[ranked[0]]) if ranked else ""
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"


def _parsed(body: Json, message: _MessageT) -> _MessageT:
    try:
        return ParseDict(body, message)
    except ParseError as error:
        text = f"it is no {message.DESCRIPTOR.name} in JSON: {error}"
        raise InvalidRequestError([FieldViolation(field="request", description=text)]) from error


def as_json(message: Message) -> Json:
    """Returns a message in the JSON form of protocol buffers, fields at their default included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
