"""The client's side of `recall.v1`: questions to request messages, and reply messages to frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from recall.errors import FieldViolation, InvalidRequestError
from recall.live.convert import features_from_message, features_to_messages
from recall.live.query import AnsweredFrom, RecallQuery, Result, SimilarBy, SimilarQuery, limit_violations
from recall.live.records import ItemRecord
from recall.schema import FeatureMap, FeatureValue
from recall.v1 import recall_pb2 as pb

_ANSWERED_FROM = {
    pb.ANSWERED_FROM_HISTORY: AnsweredFrom.HISTORY,
    pb.ANSWERED_FROM_FEATURES: AnsweredFrom.FEATURES,
    pb.ANSWERED_FROM_POPULARITY: AnsweredFrom.POPULARITY,
}
_SIMILAR_BY = {SimilarBy.VECTOR: pb.SIMILAR_BY_VECTOR, SimilarBy.TWINS: pb.SIMILAR_BY_TWINS}


_INT32_BOUND, _INT64_BOUND = 1 << 31, 1 << 63


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReply:
    """One kind of index and what came of it; the fields are those of `recall.v1.IndexTrial`."""

    kind: str
    parameters: Mapping[str, str]
    recall: float | None
    microseconds: float | None
    resident_bytes: int
    build_seconds: float
    verdict: str

    @classmethod
    def from_message(cls, trial: pb.IndexTrial) -> TrialReply:
        """Returns the message as a value."""
        return cls(
            kind=trial.kind,
            parameters=dict(trial.parameters),
            recall=trial.recall if trial.HasField("recall") else None,
            microseconds=trial.microseconds if trial.HasField("microseconds") else None,
            resident_bytes=trial.resident_bytes,
            build_seconds=trial.build_seconds,
            verdict=trial.verdict,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningReply:
    """How the base index was chosen; the fields are those of `recall.v1.IndexTuning`."""

    target_recall: float
    k: int
    memory_budget_bytes: int
    recall: float
    reached: bool
    message: str
    tried: tuple[TrialReply, ...]

    @classmethod
    def from_message(cls, tuning: pb.IndexTuning) -> TuningReply:
        """Returns the message as a value."""
        return cls(
            target_recall=tuning.target_recall,
            k=tuning.k,
            memory_budget_bytes=tuning.memory_budget_bytes,
            recall=tuning.recall,
            reached=tuning.reached,
            message=tuning.message,
            tried=tuple(TrialReply.from_message(trial) for trial in tuning.tried),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceReply:
    """Whether to rebuild; the fields are those of `recall.v1.Advice`."""

    rebuild: bool
    reason: str
    share_fresh: float
    share_deleted: float
    share_unsaved: float
    audited_recall: float | None
    merges: int
    last_merge_seconds: float
    last_merge_error: str
    is_merging: bool

    @classmethod
    def from_message(cls, advice: pb.Advice) -> AdviceReply:
        """Returns the message as a value."""
        return cls(
            rebuild=advice.rebuild,
            reason=advice.reason,
            share_fresh=advice.share_fresh,
            share_deleted=advice.share_deleted,
            share_unsaved=advice.share_unsaved,
            audited_recall=advice.audited_recall if advice.HasField("audited_recall") else None,
            merges=advice.merges,
            last_merge_seconds=advice.last_merge_seconds,
            last_merge_error=advice.last_merge_error,
            is_merging=advice.is_merging,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply:
    """What a server serves; the fields are those of `recall.v1.GetStatusResponse`, columns as name to kind."""

    model_id: str
    sequence: int
    snapshot: str
    catalog_uuid: str
    num_base: int
    num_fresh: int
    num_deleted: int
    num_items: int
    num_skipped: int
    index_kind: str
    index_parameters: Mapping[str, str]
    dim: int
    item_features: Mapping[str, str]
    item_attributes: Mapping[str, str]
    user_features: Mapping[str, str]
    last_switch_error: str
    index_tuning: TuningReply | None = None
    advice: AdviceReply | None = None

    @classmethod
    def from_message(cls, reply: pb.GetStatusResponse) -> StatusReply:
        """Returns the reply as a value."""
        return cls(
            model_id=reply.model_id,
            sequence=reply.sequence,
            snapshot=reply.snapshot,
            catalog_uuid=reply.catalog_uuid,
            num_base=reply.num_base,
            num_fresh=reply.num_fresh,
            num_deleted=reply.num_deleted,
            num_items=reply.num_items,
            num_skipped=reply.num_skipped,
            index_kind=reply.index_kind,
            index_parameters=dict(reply.index_parameters),
            dim=reply.dim,
            item_features={feature.name: feature.kind for feature in reply.item_features},
            item_attributes={feature.name: feature.kind for feature in reply.item_attributes},
            user_features={feature.name: feature.kind for feature in reply.user_features},
            last_switch_error=reply.last_switch_error,
            index_tuning=TuningReply.from_message(reply.index_tuning) if reply.HasField("index_tuning") else None,
            advice=AdviceReply.from_message(reply.advice) if reply.HasField("advice") else None,
        )


def checked_features(values: Mapping[str, object], *, path: str = "features") -> FeatureMap:
    """Returns plain values as features: string, number, list of strings, list of numbers.

    None and empty lists count as missing and are left out. Which kind a feature must have is the server's to say.

    Raises:
        InvalidRequestError: Values have other types; all of them are listed.
    """
    features: dict[str, FeatureValue] = {}
    violations = []
    for name, value in values.items():
        try:
            feature = _feature_value(value)
        except ValueError as error:
            violations.append(FieldViolation(field=f"{path}.{name}", description=str(error)))
            continue
        if feature is not None:
            features[name] = feature
    if violations:
        raise InvalidRequestError(violations)
    return features


def _feature_value(value: object) -> FeatureValue | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return _list_value(list(value))
    raise ValueError(f"{_shown(value)} has no kind; send a string, a number, a list of strings or a list of numbers")


def _list_value(elements: list[object]) -> FeatureValue | None:
    if not elements:
        return None
    if all(isinstance(element, str) for element in elements):
        return tuple(str(element) for element in elements)
    try:
        if any(isinstance(element, (str, bool)) for element in elements):
            raise ValueError("strings and truth values are no numbers")
        return np.array(elements, dtype=np.float32)
    except (TypeError, ValueError) as error:
        text = f"{_shown(elements)} mixes types; send a list of strings or a list of numbers"
        raise ValueError(text) from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_numbers(*, limit: int = 0, min_sequence: int = 0) -> None:
    """Refuses numbers that the wire types cannot hold; a server refuses the others that make no sense."""
    violations = [] if -_INT32_BOUND <= limit < _INT32_BOUND else limit_violations(limit)
    if not -_INT64_BOUND <= min_sequence < _INT64_BOUND:
        text = f"{min_sequence} is beyond 64 bits; send the sequence of an earlier reply, or 0 not to wait"
        violations.append(FieldViolation(field="min_sequence", description=text))
    if violations:
        raise InvalidRequestError(violations)


@contextmanager
def refusing_values() -> Iterator[None]:
    """Refuses values that the wire types of a message cannot hold, for example text with half a surrogate pair.

    Raises:
        InvalidRequestError: There is one.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidRequestError([FieldViolation(field="request", description=str(error))]) from error


@refusing_values()
def recall_request(query: RecallQuery, min_sequence: int) -> pb.RecallRequest:
    """Returns the request of a `Recall` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes, or a number is out of range.
    """
    _refuse_numbers(limit=query.limit, min_sequence=min_sequence)
    features = features_to_messages(checked_features(query.features or {}))
    request = pb.RecallRequest(
        user_id=query.user_id or "",
        features=features,
        limit=query.limit,
        exclude_item_ids=query.exclude,
        exclude_history=query.exclude_history,
        exact=query.exact,
        min_sequence=min_sequence,
    )
    if query.history is not None:
        request.history.CopyFrom(pb.ItemIds(item_ids=query.history))
    if query.vector is not None:
        request.vector.CopyFrom(pb.FloatList(values=np.asarray(query.vector, dtype=np.float32).tolist()))
    if query.candidates is not None:
        request.candidate_item_ids.CopyFrom(pb.ItemIds(item_ids=query.candidates))
    return request


@refusing_values()
def similar_request(query: SimilarQuery, min_sequence: int) -> pb.SimilarItemsRequest:
    """Returns the request of a `SimilarItems` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes, or a number is out of range.
    """
    _refuse_numbers(limit=query.limit, min_sequence=min_sequence)
    request = pb.SimilarItemsRequest(
        limit=query.limit,
        by=_SIMILAR_BY[query.by],
        exact=query.exact,
        min_sequence=min_sequence,
        exclude_item_ids=query.exclude,
    )
    if query.features is not None:
        features = features_to_messages(checked_features(query.features, path="item.features"))
        request.item.CopyFrom(pb.Item(item_id=query.item_id or "", features=features))
    elif query.item_id is not None:
        request.item_id = query.item_id
    return request


@refusing_values()
def get_request(item_id: str, min_sequence: int) -> pb.GetItemRequest:
    """Returns the request of a `GetItem` call.

    Raises:
        InvalidRequestError: The sequence is beyond 64 bits.
    """
    _refuse_numbers(min_sequence=min_sequence)
    return pb.GetItemRequest(item_id=item_id, min_sequence=min_sequence)


@refusing_values()
def list_request(page_size: int, page_token: str, min_sequence: int) -> pb.ListItemsRequest:
    """Returns the request of a `ListItems` call.

    Raises:
        InvalidRequestError: A number is beyond what the wire holds.
    """
    _refuse_numbers(min_sequence=min_sequence)
    return pb.ListItemsRequest(page_size=page_size, page_token=page_token, min_sequence=min_sequence)


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
