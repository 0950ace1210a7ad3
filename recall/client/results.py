"""What the reading calls of `recall.v1` answer: reply messages to frozen values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recall.live.convert import features_from_message
from recall.live.query import AnsweredFrom, Result
from recall.live.records import ItemRecord
from recall.v1 import recall_pb2 as pb

_ANSWERED_FROM = {
    pb.ANSWERED_FROM_HISTORY: AnsweredFrom.HISTORY,
    pb.ANSWERED_FROM_FEATURES: AnsweredFrom.FEATURES,
    pb.ANSWERED_FROM_POPULARITY: AnsweredFrom.POPULARITY,
}


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
    answered_from = AnsweredFrom.VECTOR
    if isinstance(reply, pb.RecallResponse):
        answered_from = _ANSWERED_FROM.get(reply.answered_from, AnsweredFrom.VECTOR)
    return Result(
        item_ids=list(reply.item_ids),
        scores=np.array(reply.scores, dtype=np.float32),
        model_id=reply.model_id,
        sequence=reply.sequence,
        short_reason=reply.short_reason,
        answered_from=answered_from,
    )
