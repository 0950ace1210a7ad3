"""Questions to request messages of `recall.v1`."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from recall.client.features import checked_features
from recall.client.filters import filter_to_message
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.convert import features_to_messages
from recall.live.query import RecallQuery, SimilarQuery, limit_violations
from recall.live.wire_enums import CHANNELS, SIMILAR_BY
from recall.v1 import recall_pb2 as pb

_INT32_BOUND, _INT64_BOUND = 1 << 31, 1 << 63


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


def checked_strings(values: Iterable[str], field: str) -> list[str]:
    """Returns the values of a repeated field.

    Raises:
        InvalidRequestError: They are one string, whose letters would be taken for ids, or some are no strings; all of
            these are listed.
    """
    if isinstance(values, str):
        text = f"{_shown(values)} is one string, not a sequence of them; send [{_shown(values)}]"
        raise InvalidRequestError([FieldViolation(field=field, description=text)])
    strings = list(values)
    violations = [
        FieldViolation(field=f"{field}[{position}]", description=f"{_shown(value)} is no text in UTF-8; send a string")
        for position, value in enumerate(strings)
        if not _is_text(value)
    ]
    if violations:
        raise InvalidRequestError(violations)
    return strings


def _is_text(value: object) -> bool:
    try:
        str.encode(value)  # type: ignore[arg-type]  # that it may be no string is what is asked
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def _shown(value: object) -> str:
    return reprlib.repr(value)


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
        exclude_item_ids=checked_strings(query.exclude, "exclude_item_ids"),
        exclude_history=query.exclude_history,
        exact=query.exact,
        min_sequence=min_sequence,
        filter=None if query.filter is None else filter_to_message(query.filter),
        channels=[CHANNELS[channel] for channel in query.channels],
        attributes=checked_strings(query.attributes, "attributes"),
    )
    if query.history is not None:
        request.history.CopyFrom(pb.ItemIds(item_ids=checked_strings(query.history, "history.item_ids")))
    if query.vector is not None:
        request.vector.CopyFrom(pb.FloatList(values=np.asarray(query.vector, dtype=np.float32).tolist()))
    if query.candidates is not None:
        request.candidate_item_ids.CopyFrom(
            pb.ItemIds(item_ids=checked_strings(query.candidates, "candidate_item_ids.item_ids"))
        )
    return request


def batch_request(queries: Sequence[RecallQuery], min_sequence: int) -> pb.BatchRecallRequest:
    """Returns the request of a `BatchRecall` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes, or numbers are out of range; all are listed.
    """
    requests: list[pb.RecallRequest] = []
    violations: list[FieldViolation] = []
    for position, query in enumerate(queries):
        try:
            requests.append(recall_request(query, min_sequence))
        except InvalidRequestError as error:
            violations += [replace(v, field=f"requests[{position}].{v.field}") for v in error.violations]
    if violations:
        raise InvalidRequestError(violations)
    return pb.BatchRecallRequest(requests=requests)


@refusing_values()
def explain_request(query: RecallQuery, item_id: str, *, min_sequence: int) -> pb.ExplainItemRequest:
    """Returns the request of an `ExplainItem` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes, or a number is out of range.
    """
    return pb.ExplainItemRequest(recall=recall_request(query, min_sequence), item_id=item_id)


@refusing_values()
def similar_request(query: SimilarQuery, min_sequence: int) -> pb.SimilarItemsRequest:
    """Returns the request of a `SimilarItems` call.

    Raises:
        InvalidRequestError: Features have types that no kind takes, or a number is out of range.
    """
    _refuse_numbers(limit=query.limit, min_sequence=min_sequence)
    request = pb.SimilarItemsRequest(
        limit=query.limit,
        by=SIMILAR_BY[query.by],
        exact=query.exact,
        min_sequence=min_sequence,
        exclude_item_ids=checked_strings(query.exclude, "exclude_item_ids"),
        filter=None if query.filter is None else filter_to_message(query.filter),
        attributes=checked_strings(query.attributes, "attributes"),
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
