"""Attributes of stored items as an index takes them and answers hold them, and the check of filters over them.

A column takes the item's attribute of that name, or where it has none the feature of that name: one that is both need
not be sent twice. A table may read one integer column as a number and as a category, so either is taken for the other.
A value that fits neither way counts as missing, so that no stored item can stop the others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from index.attributes import AttributeMap, AttributeValue, ColumnKind, ColumnSpec, known_columns
from index.conditions import Condition, Value
from index.errors import InvalidQueryError
from index.filtering import check_condition
from recall.errors import FieldViolation, InvalidRequestError, NotReadyError
from recall.live.availability import FROM, UNTIL
from recall.live.generation import Generation
from recall.live.records import StoredItem
from recall.schema import DataSchema, FeatureValue


def indexed_columns(schema: DataSchema) -> tuple[ColumnSpec, ...]:
    """Returns the columns that requests may name."""
    kinds: dict[str, ColumnKind] = {"category": "category", "set": "set", "number": "number"}
    return tuple(
        ColumnSpec(name=spec.name, kind=kinds[spec.kind]) for spec in schema.item_attributes if spec.kind in kinds
    )


def snapshot_columns(schema: DataSchema) -> tuple[ColumnSpec, ...]:
    """Returns the columns that a rebuild collects: those that filters may use, and the ends of windows."""
    return *indexed_columns(schema), FROM, UNTIL


def indexed_attributes(columns: Sequence[ColumnSpec], items: Sequence[StoredItem]) -> list[AttributeMap]:
    """Returns the values of each item by column; a missing one is an absent key."""
    rows: list[AttributeMap] = []
    for item in items:
        row: dict[str, Value | tuple[str, ...]] = {}
        for column in columns:
            value = _value(item, column)
            if value is not None:
                row[column.name] = value
        rows.append(row)
    return rows


def checked_filter(generation: Generation, condition: Condition | None) -> Condition | None:
    """Returns a filter that fits the attributes of what is served.

    Raises:
        InvalidRequestError: It does not.
        NotReadyError: What is served holds no attributes.
    """
    if condition is None:
        return None
    is_filterable = _holds_attributes(generation)
    try:
        if not is_filterable:
            check_condition(condition, None)
        generation.index.check_filter(condition)
    except InvalidQueryError as error:
        if not is_filterable:
            raise NotReadyError(f"snapshot {generation.snapshot or '(in memory)'}: {error}") from error
        raise InvalidRequestError([FieldViolation(field="filter", description=str(error))]) from error
    return condition


def returned_attributes(
    generation: Generation, item_ids: Sequence[str], names: Sequence[str]
) -> Mapping[str, Sequence[AttributeValue | None]]:
    """Returns the attributes of the items of an answer, from the index that gave it; none where that holds none.

    Args:
        generation: What answered, as it was then (`Generation.at_one_moment`).
        item_ids: The items.
        names: The attributes asked for.

    Raises:
        InvalidRequestError: There is no such attribute.
    """
    if not names or not _holds_attributes(generation):
        return {}
    try:
        return generation.index.attributes_of(item_ids, names)
    except InvalidQueryError as error:
        raise InvalidRequestError([FieldViolation(field="attributes", description=str(error))]) from error


def stored_attributes(
    schema: DataSchema, stored: Mapping[str, StoredItem], item_ids: Sequence[str], names: Sequence[str]
) -> Mapping[str, Sequence[AttributeValue | None]]:
    """Returns the same from the catalogue, for what is served without attributes: it may be ahead of the index.

    Args:
        schema: Columns of the catalogue.
        stored: Items of the catalogue by id; others have no value.
        item_ids: The items.
        names: The attributes asked for.

    Raises:
        InvalidRequestError: There is no such attribute.
    """
    specs = {spec.name: spec for spec in indexed_columns(schema)}
    unknown = [name for name in names if name not in specs]
    if unknown:
        text = f"{unknown[0]!r} is no attribute; {known_columns(tuple(specs.values()))}"
        raise InvalidRequestError([FieldViolation(field="attributes", description=text)])
    rows = dict(zip(stored, indexed_attributes([specs[name] for name in names], list(stored.values())), strict=True))
    return {name: [_shown(rows.get(item_id, {}).get(name)) for item_id in item_ids] for name in names}


def _holds_attributes(generation: Generation) -> bool:
    return generation.is_filterable and generation.index.columns is not None


def _shown(value: Value | Collection[str] | None) -> AttributeValue | None:
    if value is None or isinstance(value, str):
        return value
    return float(value) if isinstance(value, int | float) else tuple(sorted(set(value))) or None


def _value(item: StoredItem, column: ColumnSpec) -> Value | tuple[str, ...] | None:
    if column == FROM:
        return item.available_from
    if column == UNTIL:
        return item.available_until
    return _fitting(column.kind, item.attributes.get(column.name, item.features.get(column.name)))


def _fitting(kind: ColumnKind, value: FeatureValue | None) -> Value | tuple[str, ...] | None:
    if kind == "set":
        return value if isinstance(value, tuple) else None
    if kind == "category":
        if isinstance(value, int | float) and math.isfinite(value) and value == int(value):
            return str(int(value))
        return value if isinstance(value, str) and value else None
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
