"""Messages of `recall.v1` to values: every request is checked here, all fields at once.

Each function raises one `InvalidRequestError` with every violation it found; a value that comes out is valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from index.conditions import Condition
from recall.errors import FieldViolation, InvalidRequestError
from recall.live.attributes import indexed_columns
from recall.live.convert import check_id, features_from_message, is_id, item_from_message
from recall.live.listing import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageQuery, page_start
from recall.live.query import DEFAULT_LIMIT, RecallQuery, SimilarBy, SimilarQuery, limit_violations
from recall.live.wire_enums import SIMILAR_BY, by_number
from recall.schema import DataSchema, FeatureMap
from recall.serving.attribute_messages import attribute_violations
from recall.serving.channel_messages import channels_from_message
from recall.serving.filter_requests import filter_from_message
from recall.v1 import recall_pb2 as pb

MAX_VECTOR_LENGTH = 1e15  # its square still fits into a float32, so that no score is infinite

_SIMILAR_BY: Mapping[int, SimilarBy] = {
    pb.SIMILAR_BY_UNSPECIFIED: SimilarBy.VECTOR,
    **by_number(SIMILAR_BY),
}


def recall_query(request: pb.RecallRequest, schema: DataSchema, *, dim: int) -> RecallQuery:
    """Returns the question of a `Recall` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    violations: list[FieldViolation] = []
    if request.user_id:
        violations += check_id(request.user_id, path="user_id")
    features: FeatureMap | None = None
    if request.features:
        features, wrong, _ = features_from_message(request.features, schema.user_features, path="features")
        violations += wrong
    vector = None
    if request.HasField("vector"):
        vector, wrong = _vector(request.vector.values, dim)
        violations += wrong
    violations += _common_violations(request.limit, request.min_sequence, request.exclude_item_ids)
    violations += _id_violations(request.history.item_ids, "history.item_ids")
    violations += _id_violations(request.candidate_item_ids.item_ids, "candidate_item_ids.item_ids")
    condition, wrong = _filter(request, schema)
    violations += wrong
    channels, wrong = channels_from_message(request.channels, path="channels")
    violations += wrong
    _refuse(violations)
    candidates = request.candidate_item_ids
    return RecallQuery(
        user_id=request.user_id or None,
        features=features,
        history=tuple(request.history.item_ids) if request.HasField("history") else None,
        vector=vector,
        limit=request.limit or DEFAULT_LIMIT,
        candidates=tuple(candidates.item_ids) if request.HasField("candidate_item_ids") else None,
        exclude=tuple(request.exclude_item_ids),
        exclude_history=request.exclude_history if request.HasField("exclude_history") else True,
        exact=request.exact,
        filter=condition,
        channels=channels,
        attributes=tuple(request.attributes),
    )


def similar_query(request: pb.SimilarItemsRequest, schema: DataSchema) -> SimilarQuery:
    """Returns the question of a `SimilarItems` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    violations = _common_violations(request.limit, request.min_sequence, request.exclude_item_ids)
    violations += _by_violations(request.by)
    condition, wrong_filter = _filter(request, schema)
    violations += wrong_filter
    item_id, features = None, None
    case = request.WhichOneof("of")
    if case == "item_id":
        item_id = request.item_id
        violations += check_id(item_id, path="item_id")
    elif case == "item":
        item_id = request.item.item_id or None
        record, wrong, _ = item_from_message(request.item, schema, path="item")
        violations += [v for v in wrong if item_id or v.field != "item.item_id"]
        features = record.features
        if not request.item.features:
            text = "it is empty; send at least one feature, or item_id alone for a stored item"
            violations.append(FieldViolation(field="item.features", description=text))
    else:
        text = "neither is set; send item_id for a stored item, or item with features"
        violations.append(FieldViolation(field="item_id|item", description=text))
    _refuse(violations)
    return SimilarQuery(
        item_id=item_id,
        features=features,
        limit=request.limit or DEFAULT_LIMIT,
        exclude=tuple(request.exclude_item_ids),
        exact=request.exact,
        by=_SIMILAR_BY[request.by],
        filter=condition,
        attributes=tuple(request.attributes),
    )


def id_to_get(request: pb.GetItemRequest) -> str:
    """Returns the id of a `GetItem` call.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    _refuse(check_id(request.item_id, path="item_id") + _sequence_violations(request.min_sequence))
    return request.item_id


def page_to_list(request: pb.ListItemsRequest) -> PageQuery:
    """Returns the page that a `ListItems` call asks for.

    Raises:
        InvalidRequestError: Fields are invalid; all of them are listed.
    """
    violations = _sequence_violations(request.min_sequence)
    size = request.page_size
    if not 0 <= size <= MAX_PAGE_SIZE:
        text = f"{size} is outside 1..{MAX_PAGE_SIZE:,}; send a size within it, or 0 for {DEFAULT_PAGE_SIZE}"
        violations.append(FieldViolation(field="page_size", description=text))
    after = ""
    try:
        after = page_start(request.page_token)
    except ValueError as error:
        violations.append(FieldViolation(field="page_token", description=str(error)))
    _refuse(violations)
    return PageQuery(after=after, size=size or DEFAULT_PAGE_SIZE)


def _refuse(violations: Sequence[FieldViolation]) -> None:
    if violations:
        raise InvalidRequestError(violations)


def _filter(
    request: pb.RecallRequest | pb.SimilarItemsRequest, schema: DataSchema
) -> tuple[Condition | None, list[FieldViolation]]:
    """Returns the filter of a request, None where there is none, and what is wrong with it and its attributes."""
    if not request.attributes and not request.HasField("filter"):
        return None, []
    columns = indexed_columns(schema)
    condition, violations = None, attribute_violations(request.attributes, columns, path="attributes")
    if request.HasField("filter"):
        condition, wrong = filter_from_message(request.filter, columns, path="filter")
        violations += wrong
    return condition, violations


def _common_violations(limit: int, min_sequence: int, exclude: Sequence[str]) -> list[FieldViolation]:
    sequence = _sequence_violations(min_sequence)
    return sequence + _id_violations(exclude, "exclude_item_ids") + limit_violations(limit)


def _sequence_violations(min_sequence: int) -> list[FieldViolation]:
    if min_sequence >= 0:
        return []
    text = f"{min_sequence} is negative; send the sequence of an earlier reply, or 0 not to wait"
    return [FieldViolation(field="min_sequence", description=text)]


def _by_violations(by: int) -> list[FieldViolation]:
    if by in _SIMILAR_BY:
        return []
    text = f"{by} is no known value; send SIMILAR_BY_VECTOR or SIMILAR_BY_TWINS"
    return [FieldViolation(field="by", description=text)]


def _id_violations(ids: Sequence[str], path: str) -> list[FieldViolation]:
    if all(map(is_id, ids)):
        return []
    return [v for position, value in enumerate(ids) for v in check_id(value, path=f"{path}[{position}]")]


def _vector(values: Sequence[float], dim: int) -> tuple[NDArray[np.float32], list[FieldViolation]]:
    vector = np.array(values, dtype=np.float32)
    vector.setflags(write=False)
    finite = np.isfinite(vector)
    if len(vector) != dim:
        text = f"it has {len(vector)} numbers; send {dim}, the dimension of the served model"
    elif not finite.all():
        position = int(np.argmin(finite))
        text = f"element {position} is {vector[position]}; send finite numbers"
    elif not vector.any():
        text = "it is all zeros and points nowhere; send a vector with a direction"
    elif (length := float(np.linalg.norm(vector.astype(np.float64)))) > MAX_VECTOR_LENGTH:
        text = f"it has length {length:.3g}; send one of at most {MAX_VECTOR_LENGTH:g}, for example of length 1"
    else:
        return vector, []
    return vector, [FieldViolation(field="vector", description=text)]
