"""What the reading calls of `recall.v1` answer: reply messages to frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recall.errors import RecallError
from recall.live.convert import features_from_message, value_from_message
from recall.live.explanation import Explanation, Missing, MissingReason
from recall.live.query import AnsweredFrom, Channel, Result
from recall.live.records import ItemRecord
from recall.live.wire_enums import ANSWERED_FROM, CHANNELS, MISSING_REASONS, PARTS, Part, by_number
from recall.v1 import recall_pb2 as pb

_ANSWERED_FROM: Mapping[int, AnsweredFrom] = by_number(ANSWERED_FROM)
_CHANNELS: Mapping[int, Channel] = by_number(CHANNELS)
_PARTS: Mapping[int, Part] = by_number(PARTS)
_REASONS: Mapping[int, MissingReason] = by_number(MISSING_REASONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReply:
    """A stored item; `item_sequence` is its last write, and `retrievable` whether the index holds it."""

    item: ItemRecord
    item_sequence: int
    retrievable: bool
    model_id: str
    sequence: int

    @classmethod
    def from_message(cls, reply: pb.GetItemResponse) -> ItemReply:
        """Returns the reply as a value."""
        return cls(
            item=_item_of(reply.item),
            item_sequence=reply.item_sequence,
            retrievable=reply.retrievable,
            model_id=reply.model_id,
            sequence=reply.sequence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReply:
    """Some stored items, item id ascending; `next_token` is empty after the last of all.

    Attributes:
        items: The items.
        damaged_item_ids: Items between them whose stored rows are damaged.
        next_token: Where the next page begins.
        model_id: Model that is served.
        sequence: Last write that the page reflects.
    """

    items: tuple[ItemReply, ...]
    damaged_item_ids: tuple[str, ...]
    next_token: str
    model_id: str
    sequence: int

    @classmethod
    def from_message(cls, reply: pb.ListItemsResponse) -> PageReply:
        """Returns the reply as a value."""
        rows = zip(reply.items, reply.item_sequences, reply.retrievable, strict=True)
        items = (
            ItemReply(
                item=_item_of(item),
                item_sequence=item_sequence,
                retrievable=retrievable,
                model_id=reply.model_id,
                sequence=reply.sequence,
            )
            for item, item_sequence, retrievable in rows
        )
        return cls(
            items=tuple(items),
            damaged_item_ids=tuple(reply.damaged_item_ids),
            next_token=reply.next_page_token,
            model_id=reply.model_id,
            sequence=reply.sequence,
        )


def _item_of(item: pb.Item) -> ItemRecord:
    features, _, _ = features_from_message(item.features, (), path="item.features")
    attributes, _, _ = features_from_message(item.attributes, (), path="item.attributes")
    return ItemRecord(
        item_id=item.item_id,
        features=features,
        attributes=attributes,
        available_from=item.available_from if item.HasField("available_from") else None,
        available_until=item.available_until if item.HasField("available_until") else None,
    )


def result_of(reply: pb.RecallResponse | pb.SimilarItemsResponse) -> Result:
    """Returns the items of a reply."""
    answered_from, channels = AnsweredFrom.VECTOR, tuple[Channel, ...]()
    if isinstance(reply, pb.RecallResponse):
        answered_from = _ANSWERED_FROM.get(reply.answered_from, AnsweredFrom.VECTOR)
        channels = tuple(_CHANNELS[number] for number in reply.item_channels)
    return Result(
        item_ids=list(reply.item_ids),
        scores=np.array(reply.scores, dtype=np.float32),
        model_id=reply.model_id,
        sequence=reply.sequence,
        short_reason=reply.short_reason,
        answered_from=answered_from,
        item_channels=channels,
        attributes={column.attribute: list(map(value_from_message, column.values)) for column in reply.attributes},
    )


def explanation_of(reply: pb.ExplainItemResponse) -> Explanation:
    """Returns where an item stands.

    Raises:
        RecallError: The server gives a reason that this client does not know.
    """
    return Explanation(
        model_id=reply.model_id,
        sequence=reply.sequence,
        is_returned=reply.is_returned,
        missing=tuple(map(_missing, reply.missing)),
        score=reply.score if reply.HasField("score") else None,
        vector_score=reply.vector_score,
        content_score=reply.content_score,
        rank=reply.rank if reply.HasField("rank") else None,
        num_eligible=reply.num_eligible,
        last_score=reply.last_score if reply.HasField("last_score") else None,
        part=_PARTS.get(reply.part),
        answered_from=_ANSWERED_FROM.get(reply.answered_from, AnsweredFrom.VECTOR),
        is_trained=reply.is_trained,
    )


def _missing(message: pb.Missing) -> Missing:
    reason = _REASONS.get(message.reason)
    if reason is None:
        raise RecallError(
            f"the server gives reason {message.reason} ({message.message}), which this client does not know; update it"
        )
    return Missing(reason=reason, message=message.message)
