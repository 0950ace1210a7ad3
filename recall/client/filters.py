"""Conditions on items as `Filter` messages of `recall.v1`.

Conditions are those of `index.conditions`, which are plain values and load nothing else of the index. They are checked
when they are made; which attributes there are, and of what kinds, is the server's to say.
"""

from __future__ import annotations

from collections.abc import Collection

from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.v1 import recall_pb2 as pb


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
