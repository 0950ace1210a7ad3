"""Conversion between messages of `recall.v1` and values, on the wire and in the payloads of the catalogue.

A payload is a serialised `recall.v1.Item` without its id, with map entries in key order, so that equal values give
equal bytes. A user is stored the same way, with features alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np

from recall.errors import FieldViolation
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.schema import DataSchema, FeatureMap, FeatureSpec, FeatureValue
from recall.v1 import recall_pb2 as pb
from recall.values import MAX_ID_BYTES, RESERVED_PREFIX, checked_value

MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999: a greater time is in another unit than seconds."""

MAX_ITEM_BYTES = 3 * 2**20
"""Longest item that is taken: whatever is stored fits into a reply that every gRPC client takes, 4 MiB at most."""


def value_to_message(value: FeatureValue) -> pb.FeatureValue:
    """Returns one feature or attribute value as a message."""
    if isinstance(value, str):
        return pb.FeatureValue(string_value=value)
    if isinstance(value, np.ndarray):
        return pb.FeatureValue(float_list=pb.FloatList(values=value.tolist()))
    if isinstance(value, tuple):
        return pb.FeatureValue(string_list=pb.StringList(values=value))
    return pb.FeatureValue(number_value=value)


def value_from_message(message: pb.FeatureValue) -> FeatureValue | None:
    """Returns the value of one feature or attribute, None where the message holds none; vectors are read-only."""
    case = message.WhichOneof("kind")
    if case == "string_value":
        return message.string_value
    if case == "number_value":
        return message.number_value
    if case == "string_list":
        return tuple(message.string_list.values)
    if case == "float_list":
        vector = np.array(message.float_list.values, dtype=np.float32)
        vector.setflags(write=False)
        return vector
    return None


def features_to_messages(features: FeatureMap) -> dict[str, pb.FeatureValue]:
    """Returns one `recall.v1.FeatureValue` a feature, ready to become a map field."""
    return {name: value_to_message(value) for name, value in features.items()}


def item_to_message(
    item_id: str, features: FeatureMap, *, attributes: FeatureMap, window: tuple[int | None, int | None] = (None, None)
) -> pb.Item:
    """Returns the item as clients see it; `window` is when it is available, from and until."""
    message = pb.Item(item_id=item_id, available_from=window[0], available_until=window[1])
    _put_values(message.features, features)
    _put_values(message.attributes, attributes)
    return message


def features_from_message(
    messages: Mapping[str, pb.FeatureValue], specs: Sequence[FeatureSpec], *, path: str
) -> tuple[FeatureMap, list[FieldViolation], list[str]]:
    """Checks a map of feature values from the wire against what the schema knows.

    Args:
        messages: The map field.
        specs: Known columns. A value under another name is kept as it is.
        path: Where the map stands in the request, for example `items[3].features`.

    Returns:
        The values that passed, every violation, and the names that `specs` lacks; each in the order of names.
        Values that count as missing (empty text, set or vector of a known column) are left out.
    """
    known = {spec.name: spec for spec in specs}
    features: dict[str, FeatureValue] = {}
    violations: list[FieldViolation] = []
    unknown: list[str] = []
    for name in sorted(messages):
        if not name:
            text = "a name is empty; give every value a name or leave it out"
            violations.append(FieldViolation(field=f'{path}[""]', description=text))
            continue
        try:
            value = _checked(known.get(name), messages[name])
        except ValueError as error:
            violations.append(FieldViolation(field=f"{path}.{name}", description=str(error)))
            continue
        if name not in known:
            unknown.append(name)
        if value is not None:
            features[name] = value
    return features, violations, unknown


def item_from_message(
    message: pb.Item, schema: DataSchema, *, path: str
) -> tuple[ItemRecord, list[FieldViolation], list[str]]:
    """Checks an item from the wire: its id, features and attributes.

    Args:
        message: The item.
        schema: Known columns.
        path: Where the item stands in the request, for example `items[3]`.

    Returns:
        The item with the values that passed, every violation, and the names of unknown features and attributes.
    """
    features, violations, unknown = features_from_message(
        message.features, schema.item_features, path=f"{path}.features"
    )
    attributes, more_violations, more_unknown = features_from_message(
        message.attributes, schema.item_attributes, path=f"{path}.attributes"
    )
    record = ItemRecord(
        item_id=message.item_id,
        features=features,
        attributes=attributes,
        available_from=message.available_from if message.HasField("available_from") else None,
        available_until=message.available_until if message.HasField("available_until") else None,
    )
    id_violations = check_id(message.item_id, path=f"{path}.item_id")
    all_violations = id_violations + violations + more_violations + check_window(record, path=path)
    return record, all_violations, unknown + more_unknown


def user_from_message(
    message: pb.User, schema: DataSchema, *, path: str
) -> tuple[UserRecord, list[FieldViolation], list[str]]:
    """Checks a user from the wire: its id and features; as `item_from_message`."""
    features, violations, unknown = features_from_message(
        message.features, schema.user_features, path=f"{path}.features"
    )
    violations = check_id(message.user_id, path=f"{path}.user_id") + violations
    return UserRecord(user_id=message.user_id, features=features), violations, unknown


def interaction_from_message(
    message: pb.Interaction, now: int, *, path: str
) -> tuple[InteractionRecord, list[FieldViolation]]:
    """Checks an event from the wire; one without a time is of `now`."""
    timestamp = message.timestamp if message.HasField("timestamp") else now
    violations = check_id(message.user_id, path=f"{path}.user_id") + check_id(message.item_id, path=f"{path}.item_id")
    violations += _check_seconds(timestamp, path=f"{path}.timestamp")
    return InteractionRecord(user_id=message.user_id, item_id=message.item_id, timestamp=timestamp), violations


def check_window(item: ItemRecord, *, path: str) -> list[FieldViolation]:
    """Returns what is wrong with the moments between which an item is available."""
    start, end = item.available_from, item.available_until
    violations = [] if start is None else _check_seconds(start, path=f"{path}.available_from")
    violations += [] if end is None else _check_seconds(end, path=f"{path}.available_until")
    if start is not None and end is not None and not violations and start >= end:
        text = f"{end} is not after available_from {start}; send a later moment, or leave it out"
        violations.append(FieldViolation(field=f"{path}.available_until", description=text))
    return violations


def _check_seconds(value: int, *, path: str) -> list[FieldViolation]:
    if 0 <= value <= MAX_SECONDS:
        return []
    text = f"{value} is outside 0..{MAX_SECONDS}; send seconds since 1970, not milliseconds"
    return [FieldViolation(field=path, description=text)]


def check_size(size_bytes: int, *, path: str) -> list[FieldViolation]:
    """Returns what is wrong with the size of an item, as a message without its id or with it."""
    if size_bytes <= MAX_ITEM_BYTES:
        return []
    text = f"it has {size_bytes:,} bytes; send at most {MAX_ITEM_BYTES:,}, and store long content elsewhere"
    return [FieldViolation(field=path, description=text)]


def is_id(value: str) -> bool:
    """Returns whether `check_id` finds nothing wrong."""
    return 0 < len(value.encode()) <= MAX_ID_BYTES


def check_id(value: str, *, path: str) -> list[FieldViolation]:
    """Returns what is wrong with an item or user id: it must have 1 to 512 bytes of UTF-8 and not be reserved."""
    size_bytes = len(value.encode())
    if size_bytes == 0:
        return [FieldViolation(field=path, description="it is empty; send a non-empty id")]
    if size_bytes > MAX_ID_BYTES:
        text = f"it has {size_bytes} bytes of UTF-8; send an id of at most {MAX_ID_BYTES}"
        return [FieldViolation(field=path, description=text)]
    if value.startswith(RESERVED_PREFIX):
        text = f"it begins with {RESERVED_PREFIX!r}, which is reserved; send an id that begins otherwise"
        return [FieldViolation(field=path, description=text)]
    return []


def to_payload(features: FeatureMap, attributes: FeatureMap) -> bytes:
    """Returns the bytes that the catalogue stores; equal values give equal bytes."""
    return item_to_message("", features, attributes=attributes).SerializeToString(deterministic=True)


def item_payload(item: ItemRecord) -> bytes:
    """Returns the bytes that the catalogue stores of an item; equal items give equal bytes."""
    window = item.available_from, item.available_until
    message = item_to_message("", item.features, attributes=item.attributes, window=window)
    return message.SerializeToString(deterministic=True)


def item_from_payload(item_id: str, payload: bytes) -> ItemRecord:
    """Returns the item that `item_payload` stored.

    Raises:
        google.protobuf.message.DecodeError: The bytes are not such a payload.
    """
    message = pb.Item.FromString(payload)
    return ItemRecord(
        item_id=item_id,
        features=_from_stored(message.features),
        attributes=_from_stored(message.attributes),
        available_from=message.available_from if message.HasField("available_from") else None,
        available_until=message.available_until if message.HasField("available_until") else None,
    )


def from_payload(payload: bytes) -> tuple[FeatureMap, FeatureMap]:
    """Returns the features and attributes that `to_payload` stored.

    Raises:
        google.protobuf.message.DecodeError: The bytes are not such a payload.
    """
    message = pb.Item.FromString(payload)
    return _from_stored(message.features), _from_stored(message.attributes)


def _put_values(messages: MutableMapping[str, pb.FeatureValue], values: FeatureMap) -> None:
    """Fills a map field in place, which takes a third of the time of messages that are made and then copied."""
    for name, value in values.items():
        message = messages[name]  # makes it
        if isinstance(value, str):
            message.string_value = value
        elif isinstance(value, np.ndarray):
            message.float_list.SetInParent()  # an empty one is a value too
            message.float_list.values.extend(value.tolist())
        elif isinstance(value, tuple):
            message.string_list.SetInParent()
            message.string_list.values.extend(value)
        else:
            message.number_value = value


def _from_stored(messages: Mapping[str, pb.FeatureValue]) -> FeatureMap:
    values = ((name, value_from_message(messages[name])) for name in sorted(messages))
    return {name: value for name, value in values if value is not None}


def _checked(spec: FeatureSpec | None, message: pb.FeatureValue) -> FeatureValue | None:
    value = value_from_message(message)
    if value is None:
        raise ValueError("no value is set; set one or leave the feature out")
    if spec is None:
        return _finite(value)
    if spec.kind == "vector" and isinstance(value, tuple):  # numpy would read numbers out of the strings
        raise ValueError(f"it is a list of strings; send {spec.dim} finite numbers")
    return checked_value(spec, value)


def _finite(value: FeatureValue) -> FeatureValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not finite; send a finite number or leave the feature out")
    if isinstance(value, np.ndarray) and not np.isfinite(value).all():
        raise ValueError(f"element {int(np.argmin(np.isfinite(value)))} is not finite; send finite numbers")
    return value
