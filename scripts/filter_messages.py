"""Conditions as `Filter` messages of `recall.v1`, to ask a server what an index is asked."""

from __future__ import annotations

from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.v1 import recall_pb2 as pb


def filter_message(condition: Condition) -> pb.Filter:
    """Returns the message of a condition whose lists and ranges are not empty: the wire knows no others."""
    match condition:
        case And():
            return pb.Filter(and_filters=pb.FilterList(filters=map(filter_message, condition.conditions)))
        case Or():
            return pb.Filter(or_filters=pb.FilterList(filters=map(filter_message, condition.conditions)))
        case Not():
            return pb.Filter(not_filter=filter_message(condition.condition))
        case ItemIn():
            return pb.Filter(item_ids=pb.ItemIds(item_ids=condition.item_ids))
        case Present():
            return pb.Filter(present=condition.column)
        case AnyOf():
            return pb.Filter(any_of=pb.SetCondition(attribute=condition.column, values=condition.values))
        case AllOf():
            return pb.Filter(all_of=pb.SetCondition(attribute=condition.column, values=condition.values))
        case Range():
            return pb.Filter(range=_range(condition))
    return _equality(condition)


def _equality(condition: Equals | In) -> pb.Filter:
    values = (condition.value,) if isinstance(condition, Equals) else condition.values
    strings = [value for value in values if isinstance(value, str)]
    numbers = [float(value) for value in values if not isinstance(value, str)]
    if isinstance(condition, In):
        return pb.Filter(in_values=pb.InCondition(attribute=condition.column, strings=strings, numbers=numbers))
    if strings:
        return pb.Filter(equals=pb.EqualsCondition(attribute=condition.column, string_value=strings[0]))
    return pb.Filter(equals=pb.EqualsCondition(attribute=condition.column, number_value=numbers[0]))


def _range(condition: Range) -> pb.RangeCondition:
    lower = "at_least" if condition.includes_low else "more_than"
    upper = "at_most" if condition.includes_high else "less_than"
    bounds = {name: bound for name, bound in ((lower, condition.low), (upper, condition.high)) if bound is not None}
    return pb.RangeCondition(attribute=condition.column, **bounds)
