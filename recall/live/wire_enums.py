"""Values of enums and what `recall.v1` calls them, for both ends of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar

from recall.live.explanation import MissingReason
from recall.live.query import AnsweredFrom, Channel, SimilarBy
from recall.v1 import recall_pb2 as pb

Part: TypeAlias = Literal["base", "fresh"] | None

ANSWERED_FROM: Mapping[AnsweredFrom, pb.AnsweredFrom] = {
    AnsweredFrom.VECTOR: pb.ANSWERED_FROM_VECTOR,
    AnsweredFrom.HISTORY: pb.ANSWERED_FROM_HISTORY,
    AnsweredFrom.FEATURES: pb.ANSWERED_FROM_FEATURES,
    AnsweredFrom.POPULARITY: pb.ANSWERED_FROM_POPULARITY,
}
CHANNELS: Mapping[Channel, pb.Channel] = {
    Channel.SERVED: pb.CHANNEL_SERVED,
    Channel.EXACT: pb.CHANNEL_EXACT,
    Channel.CONTENT: pb.CHANNEL_CONTENT,
    Channel.POPULARITY: pb.CHANNEL_POPULARITY,
}
SIMILAR_BY: Mapping[SimilarBy, pb.SimilarBy] = {
    SimilarBy.VECTOR: pb.SIMILAR_BY_VECTOR,
    SimilarBy.TWINS: pb.SIMILAR_BY_TWINS,
}
MISSING_REASONS: Mapping[MissingReason, pb.MissingReason] = {
    MissingReason.NOT_STORED: pb.MISSING_REASON_NOT_STORED,
    MissingReason.NOT_EMBEDDED: pb.MISSING_REASON_NOT_EMBEDDED,
    MissingReason.NOT_AVAILABLE: pb.MISSING_REASON_NOT_AVAILABLE,
    MissingReason.NOT_A_CANDIDATE: pb.MISSING_REASON_NOT_A_CANDIDATE,
    MissingReason.EXCLUDED: pb.MISSING_REASON_EXCLUDED,
    MissingReason.IN_HISTORY: pb.MISSING_REASON_IN_HISTORY,
    MissingReason.FILTERED: pb.MISSING_REASON_FILTERED,
    MissingReason.BELOW_LIMIT: pb.MISSING_REASON_BELOW_LIMIT,
    MissingReason.MISSED_BY_INDEX: pb.MISSING_REASON_MISSED_BY_INDEX,
}
PARTS: Mapping[Part, pb.IndexPart] = {
    None: pb.INDEX_PART_UNSPECIFIED,
    "base": pb.INDEX_PART_BASE,
    "fresh": pb.INDEX_PART_FRESH,
}

_ValueT = TypeVar("_ValueT")
_NumberT = TypeVar("_NumberT")


def by_number(numbers: Mapping[_ValueT, _NumberT]) -> dict[_NumberT, _ValueT]:
    """Returns one of the tables above the other way round."""
    return {number: value for value, number in numbers.items()}
