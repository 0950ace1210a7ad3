"""Attributes that requests ask for by name, and the columns of values that replies hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from index.attributes import ColumnSpec, known_columns
from recall.errors import FieldViolation
from recall.live.convert import value_to_message
from recall.schema import FeatureValue
from recall.v1 import recall_pb2 as pb


def attribute_violations(names: Sequence[str], columns: Sequence[ColumnSpec], *, path: str) -> list[FieldViolation]:
    """Returns what is wrong with the names of attributes that a request asks for.

    Args:
        names: The field.
        columns: The attributes that there are.
        path: Where the field stands in the request, for example `attributes`.
    """
    known, first = {column.name for column in columns}, dict[str, int]()
    violations = []
    for place, name in enumerate(names):
        earlier = first.setdefault(name, place)
        if name not in known:
            text = f"{name!r} is no attribute; {known_columns(columns)}"
        elif earlier != place:
            text = f"{name!r} stands at {path}[{earlier}] too; send each name once"
        else:
            continue
        violations.append(FieldViolation(field=f"{path}[{place}]", description=text))
    return violations


def attribute_columns(attributes: Mapping[str, Sequence[FeatureValue | None]]) -> list[pb.AttributeColumn]:
    """Returns the attributes of an answer, one value an item; without a kind where the item has none."""
    return [pb.AttributeColumn(attribute=name, values=map(_value, values)) for name, values in attributes.items()]


def _value(value: FeatureValue | None) -> pb.FeatureValue:
    return pb.FeatureValue() if value is None else value_to_message(value)
