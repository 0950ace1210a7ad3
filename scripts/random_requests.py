"""Requests that no client would send, beside some that one might: random messages by descriptor, and random bytes.

How wild a message is is drawn first: in a tame one all values fit, so that it reaches what lies behind the checks, in a
wild one none need to. Nothing that is drawn can write: what has `validate_only` has it set, and a call that would write
has an entry added for which it must be refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from recall.v1 import recall_pb2 as pb

_WILDNESS = (0.0, 0.0, 0.03, 0.03, 0.2, 1.0)
_MAX_DEPTH = 6
_DEEP = (29, 31, 60, 99, 101, 500)
_MANY = (1_001, 10_001, 65_537)
_STRINGS = (
    "",
    " ",
    "\0",
    "a\0b",
    "é" * 300,
    "x" * 513,
    "x" * 20_000,
    "\ud7ff",
    "\U0010ffff",
    "\u202e",
    "%s",
    "'; --",
    "..",
)
_INTEGERS = (0, 1, -1, 2, 99, 1_000, 10_000, 10_001, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63))
_NUMBERS = (0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, 3.5e38, 1e15, 1e-45)
_PATHS = ("features", "attributes", "available_from", "features.title", "features.", "items", "a.b.c", "", "*")
_SIGNED_32 = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_ENUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a server knows, for values that fit.

    Attributes:
        item_ids: Stored items.
        user_ids: Stored users.
        features: Columns of items and users: kind by name.
        attributes: Columns that filters may use.
        dim: Of vectors.
    """

    item_ids: Sequence[str]
    user_ids: Sequence[str]
    features: Mapping[str, str]
    attributes: Mapping[str, str]
    dim: int


class RandomRequests:
    """Draws requests from one generator."""

    def __init__(self, rng: random.Random, known: Known) -> None:
        """Draws from `rng`."""
        self._rng, self._known = rng, known
        self._wildness = 1.0

    def content(self, kind: Descriptor) -> bytes:
        """Returns the bytes of a request of a kind, which may be none."""
        rng = self._rng
        self._wildness = rng.choice(_WILDNESS)
        if rng.random() < 0.02:
            content = rng.randbytes(rng.randrange(300))
        elif "filter" in kind.fields_by_name and rng.random() < 0.02:
            content = _deep_filter(kind.fields_by_name["filter"].number, rng.choice(_DEEP))
        else:
            content = self._message(kind, 0).SerializeToString(deterministic=True)
            if rng.random() < 0.2:
                content = self._broken(content)
        try:
            message = GetMessageClass(kind).FromString(content)
        except DecodeError:
            return content
        make_harmless(message)
        return message.SerializeToString(deterministic=True)

    def _broken(self, content: bytes) -> bytes:
        rng, changed = self._rng, bytearray(content)
        for _ in range(rng.choice((1, 1, 3, 10))):
            place = rng.randrange(len(changed) + 1)
            changed[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.3 else changed)

    def _message(self, kind: Descriptor, depth: int) -> Message:
        rng, message = self._rng, GetMessageClass(kind)()
        fields = list(kind.fields)
        if kind.oneofs:  # the last one set wins, so that one is drawn
            rng.shuffle(fields)
        for field in fields:
            if depth < _MAX_DEPTH and rng.random() < (0.9 if len(fields) < 4 else 0.35):
                self._set(message, field, depth)
        return message

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            self._fill_map(getattr(message, field.name), field, depth)
        elif field.is_repeated:
            values = [self._value(field, depth) for _ in range(self._length(field))]
            getattr(message, field.name).extend(values)
        elif kind is not None:
            getattr(message, field.name).CopyFrom(self._message(kind, depth + 1))
        else:
            setattr(message, field.name, self._value(field, depth))

    def _fill_map(self, target: Mapping[str, Message], field: FieldDescriptor, depth: int) -> None:
        for _ in range(self._rng.randrange(4)):
            column, kind = self._rng.choice([*self._known.features.items(), *self._known.attributes.items()])
            name = self._rng.choice(_STRINGS) if self._is_wild() else column
            entry = field.message_type
            assert entry is not None
            kept = entry.fields_by_name["value"].message_type
            assert kept is not None
            value = self._message(kept, depth + 1)
            target[name].CopyFrom(value if self._is_wild() else self._feature(kind))

    def _feature(self, kind: str) -> pb.FeatureValue:
        words = [self._rng.choice(("red", "lamp", "Ünïcode", "a b c")) for _ in range(self._rng.randrange(4))]
        if kind == "number":
            return pb.FeatureValue(number_value=self._rng.gauss(0, 100))
        if kind == "set":
            return pb.FeatureValue(string_list=pb.StringList(values=words))
        if kind == "vector":
            return pb.FeatureValue(float_list=pb.FloatList(values=[self._rng.random() for _ in range(3)]))
        return pb.FeatureValue(string_value=" ".join(words))

    def _length(self, field: FieldDescriptor) -> int:
        owner = field.containing_type
        if owner is not None and owner.name == "FloatList" and not self._is_wild():
            return self._known.dim
        if self._is_wild() and self._rng.random() < 0.03 and field.message_type is None:
            return self._rng.choice(_MANY)
        return self._rng.choice((0, 1, 1, 2, 3, 8))

    def _value(self, field: FieldDescriptor, depth: int) -> object:
        if field.message_type is not None:
            return self._message(field.message_type, depth + 1)
        kind, rng = field.cpp_type, self._rng
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self._string(field.name)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
            return rng.choice(_NUMBERS) if self._is_wild() else rng.gauss(0, 1)
        if kind == FieldDescriptor.CPPTYPE_ENUM and field.enum_type is not None and not self._is_wild():
            return rng.choice(field.enum_type.values).number
        value = rng.choice(_INTEGERS) if self._is_wild() else rng.choice((0, 0, 1, 10, 100))
        return max(min(value, 2**31 - 1), -(2**31)) if kind in _SIGNED_32 else value

    def _string(self, name: str) -> str:
        rng, known = self._rng, self._known
        if self._is_wild():
            return rng.choice(_STRINGS) if rng.random() < 0.7 else rng.randbytes(8).decode("latin1")
        tame: Mapping[str, Callable[[], Sequence[str]]] = {
            "user_id": lambda: known.user_ids,
            "user_ids": lambda: known.user_ids,
            "attribute": lambda: list(known.attributes),
            "attributes": lambda: list(known.attributes),
            "present": lambda: list(known.attributes),
            "paths": lambda: _PATHS,
            "page_token": lambda: ("", ""),
            "request_id": lambda: ("", "r"),
        }
        return rng.choice(tame.get(name, lambda: known.item_ids)())

    def _is_wild(self) -> bool:
        return self._rng.random() < self._wildness


def make_harmless(message: Message) -> None:
    """Makes a request one that writes nothing, whatever it was."""
    if isinstance(message, (pb.UpsertItemsRequest, pb.UpsertUsersRequest)):
        message.validate_only = True
    elif isinstance(message, pb.DeleteItemsRequest):
        message.item_ids.append("")
    elif isinstance(message, pb.DeleteUsersRequest):
        message.user_ids.append("")
    elif isinstance(message, pb.RecordInteractionsRequest):
        message.interactions.add()


def long_request(method: str, num_entries: int) -> Message:
    """Returns a request with a very long list that a method must refuse or bear."""
    ids = [str(number) for number in range(num_entries)]
    events = [pb.Interaction(user_id="u", item_id="i")] * num_entries
    made: Mapping[str, Callable[[], Message]] = {
        "Recall": lambda: pb.RecallRequest(user_id="u", exclude_item_ids=ids),
        "BatchRecall": lambda: pb.BatchRecallRequest(requests=[pb.RecallRequest(limit=1)] * num_entries),
        "SimilarItems": lambda: pb.SimilarItemsRequest(
            item_id="i", filter=pb.Filter(item_ids=pb.ItemIds(item_ids=ids))
        ),
        "UpsertItems": lambda: pb.UpsertItemsRequest(items=[pb.Item(item_id="i")] * num_entries, validate_only=True),
        "DeleteItems": lambda: pb.DeleteItemsRequest(item_ids=[*ids, ""]),
        "GetItem": lambda: pb.GetItemRequest(item_id="x" * num_entries),
        "ListItems": lambda: pb.ListItemsRequest(page_token="x" * num_entries),
        "UpsertUsers": lambda: pb.UpsertUsersRequest(users=[pb.User(user_id="u")] * num_entries, validate_only=True),
        "DeleteUsers": lambda: pb.DeleteUsersRequest(user_ids=[*ids, ""]),
        "RecordInteractions": lambda: pb.RecordInteractionsRequest(interactions=[*events, pb.Interaction()]),
        "ExplainItem": lambda: pb.ExplainItemRequest(recall=pb.RecallRequest(exclude_item_ids=ids), item_id="i"),
        "GetStatus": pb.GetStatusRequest,
    }
    return made[method]()


def _deep_filter(number: int, depth: int) -> bytes:
    """Returns field `number` with filters within each other, as bytes: beyond 100 no message can hold them."""
    content = pb.Filter(present="x").SerializeToString()
    for _ in range(depth):
        content = _field(pb.Filter.NOT_FILTER_FIELD_NUMBER, content)
    return _field(number, content)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)
