"""Conditions on items as `Filter` messages of `recall.v1`, and from the JSON form of such messages.

Conditions are those of `index.conditions`, which are plain values and load nothing else of the index. They are checked
when they are made; which attributes there are, and of what kinds, is the server's to say.
"""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf import json_format

from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from index.errors import InvalidQueryError
from recall.v1 import recall_pb2 as pb


def filter_from_json(text: str) -> Condition:
    """Returns the condition that the JSON form of a filter states: `{"equals": {"attribute": "a", "numberValue": 1}}`.

    Raises:
        ValueError: It is no JSON, no filter, or lacks a condition.
    """
    try:
        return _condition(json_format.Parse(text, pb.Filter()))
    except (json_format.ParseError, InvalidQueryError) as error:
        raise ValueError(str(error)) from error


def _condition(message: pb.Filter) -> Condition:
    match message.WhichOneof("condition"):
        case "and_filters":
            return And(list(map(_condition, message.and_filters.filters)))
        case "or_filters":
            return Or(list(map(_condition, message.or_filters.filters)))
        case "not_filter":
            return Not(_condition(message.not_filter))
        case None:
            names = ", ".join(field.json_name for field in pb.Filter.DESCRIPTOR.fields)
            raise ValueError(f"a filter is empty; set one of {names}")
        case case:
            return _stated(message, case)


def _stated(message: pb.Filter, case: str) -> Condition:
    match case:
        case "item_ids":
            return ItemIn(tuple(message.item_ids.item_ids))
        case "present":
            return Present(message.present)
        case "equals":
            value = message.equals.WhichOneof("value")
            if value is None:
                raise ValueError("equals has no value; set stringValue or numberValue")
            equal = message.equals.string_value if value == "string_value" else message.equals.number_value
            return Equals(message.equals.attribute, equal)
        case "in_values":
            return In(message.in_values.attribute, (*message.in_values.strings, *message.in_values.numbers))
        case "any_of":
            return AnyOf(message.any_of.attribute, tuple(message.any_of.values))
        case "all_of":
            return AllOf(message.all_of.attribute, tuple(message.all_of.values))
        case _:
            return _bounds(message.range)


def _bounds(message: pb.RangeCondition) -> Range:
    lower, upper = message.WhichOneof("lower"), message.WhichOneof("upper")
    return Range(
        message.attribute,
        {"at_least": message.at_least, "more_than": message.more_than, None: None}[lower],
        {"at_most": message.at_most, "less_than": message.less_than, None: None}[upper],
        includes_low=lower != "more_than",
        includes_high=upper != "less_than",
    )


def filter_to_message(condition: Condition) -> pb.Filter:
    """Returns the filter that holds for the items for which the condition does."""
    match condition:
        case And(conditions):
            return pb.Filter(and_filters=pb.FilterList(filters=map(filter_to_message, conditions)))
        case Or(conditions):
            return pb.Filter(or_filters=pb.FilterList(filters=map(filter_to_message, conditions)))
        case Not(inner):
            return pb.Filter(not_filter=filter_to_message(inner))
        case ItemIn(item_ids):
            return pb.Filter(item_ids=pb.ItemIds(item_ids=sorted(item_ids)))
        case Present(column):
            return pb.Filter(present=column)
        case _:
            return _comparison(condition)


def _comparison(condition: Equals | In | Range | AnyOf | AllOf) -> pb.Filter:
    match condition:
        case Equals(column, str(value)):
            return pb.Filter(equals=pb.EqualsCondition(attribute=column, string_value=value))
        case Equals(column, value):
            return pb.Filter(equals=pb.EqualsCondition(attribute=column, number_value=float(value)))
        case In(column, values):
            strings = sorted(value for value in values if isinstance(value, str))
            numbers = sorted(value for value in values if not isinstance(value, str))
            return pb.Filter(in_values=pb.InCondition(attribute=column, strings=strings, numbers=numbers))
        case AnyOf(column, elements):
            return pb.Filter(any_of=_set_condition(column, elements))
        case AllOf(column, elements):
            return pb.Filter(all_of=_set_condition(column, elements))
        case Range():
            return pb.Filter(range=_range(condition))


def _set_condition(column: str, elements: Collection[str]) -> pb.SetCondition:
    return pb.SetCondition(attribute=column, values=sorted(elements))


def _range(condition: Range) -> pb.RangeCondition:
    message = pb.RangeCondition(attribute=condition.column)
    if condition.low is not None and condition.includes_low:
        message.at_least = condition.low
    elif condition.low is not None:
        message.more_than = condition.low
    if condition.high is not None and condition.includes_high:
        message.at_most = condition.high
    elif condition.high is not None:
        message.less_than = condition.high
    return message
