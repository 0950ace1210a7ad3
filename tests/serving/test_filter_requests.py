"""Filters of the wire as conditions: what each means, and everything that is wrong with one, by its path."""

from __future__ import annotations

import math

import pytest

from filter_oracle import SPECS
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.live.availability import available_at, narrowed
from recall.serving import filter_requests
from recall.serving.filter_requests import MAX_DEPTH, filter_from_message
from recall.v1 import recall_pb2 as pb

NAN = math.nan
Filter = pb.Filter


def equals(attribute: str, **value: object) -> Filter:
    return Filter(equals=pb.EqualsCondition(attribute=attribute, **value))


def is_in(attribute: str, **values: object) -> Filter:
    return Filter(in_values=pb.InCondition(attribute=attribute, **values))


def within(attribute: str = "price", **bounds: float) -> Filter:
    return Filter(range=pb.RangeCondition(attribute=attribute, **bounds))


def any_of(attribute: str, *values: str) -> Filter:
    return Filter(any_of=pb.SetCondition(attribute=attribute, values=values))


def each(*filters: Filter) -> Filter:
    return Filter(and_filters=pb.FilterList(filters=filters))


def one(*filters: Filter) -> Filter:
    return Filter(or_filters=pb.FilterList(filters=filters))


def items(*item_ids: str) -> Filter:
    return Filter(item_ids=pb.ItemIds(item_ids=item_ids))


def nested(depth: int) -> Filter:
    """Returns so many filters within each other, of both kinds."""
    filter_ = Filter(present="brand")
    for level in range(depth - 1):
        filter_ = each(filter_) if level % 2 else Filter(not_filter=filter_)
    return filter_


def refused(filter_: Filter, path: str = "filter") -> dict[str, str]:
    condition, violations = filter_from_message(filter_, SPECS, path=path)
    assert condition is None
    return {violation.field: violation.description for violation in violations}


@pytest.mark.parametrize(
    ("filter_", "condition"),
    [
        (equals("brand", string_value="acme"), Equals("brand", "acme")),
        (equals("brand", string_value=""), Equals("brand", "")),
        (equals("price", number_value=0), Equals("price", 0)),
        (is_in("brand", strings=["a", "b", "a"]), In("brand", ("a", "b"))),
        (is_in("price", numbers=[1, 2.5]), In("price", (1, 2.5))),
        (within(at_least=1, at_most=2), Range("price", 1, 2)),
        (within(more_than=0, less_than=0), Range("price", 0, 0, includes_low=False, includes_high=False)),
        (within(more_than=1), Range("price", 1, includes_low=False)),
        (within(at_most=math.inf), Range("price", high=math.inf)),
        (any_of("tags", "new", ""), AnyOf("tags", ("new", ""))),
        (Filter(all_of=pb.SetCondition(attribute="tags", values=["a", "b"])), AllOf("tags", ("a", "b"))),
        (Filter(present="tags"), Present("tags")),
        (items("a", "nobody"), ItemIn(("a", "nobody"))),
        (items(), ItemIn(())),
        (each(Filter(present="brand"), items("a")), And((Present("brand"), ItemIn(("a",))))),
        (one(Filter(not_filter=Filter(present="brand"))), Or((Not(Present("brand")),))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_filter_is_read_as_its_condition(filter_: Filter, condition: Condition) -> None:
    assert filter_from_message(filter_, SPECS, path="filter") == (condition, [])


@pytest.mark.parametrize(
    ("filter_", "field", "text"),
    [
        (Filter(), "filter", "no condition is set; set one of equals"),
        (Filter(present=""), "filter.present", "'' is no attribute; known columns are brand (category), tags (set), "),
        (Filter(present="\x1favailable_from"), "filter.present", "'\\x1favailable_from' is no attribute"),
        (equals("brand"), "filter.equals.string_value|number_value", "no value is set"),
        (equals("brand", number_value=1), "filter.equals.number_value", "'brand' is a category; send string_value"),
        (equals("price", string_value="1"), "filter.equals.string_value", "'price' is a number; send number_value"),
        (equals("price", number_value=NAN), "filter.equals.number_value", "nan is not finite; send a finite number"),
        (equals("tags", string_value="a"), "filter.equals.attribute", "'tags' is a set; compare it by any_of, all_of"),
        (is_in("brand"), "filter.in_values.strings|numbers", "both are empty; send at least one value"),
        (is_in("brand", numbers=[1]), "filter.in_values.numbers", "'brand' is a category; send strings alone"),
        (is_in("price", strings=["1"], numbers=[1]), "filter.in_values.strings", "is a number; send numbers alone"),
        (is_in("price", numbers=[1, math.inf]), "filter.in_values.numbers[1]", "inf is not finite; send a finite"),
        (
            is_in("tags", strings=["a"]),
            "filter.in_values.attribute",
            "compare it by any_of, all_of, present, not by in",
        ),
        (within(), "filter.range.at_least|more_than|at_most|less_than", "no bound is set; set at least one"),
        (within(at_least=NAN), "filter.range.at_least", "it is NaN; send a number, or leave it out"),
        (within(more_than=2, less_than=1), "filter.range.less_than", "1.0 is below the lower bound 2.0; swap them"),
        (within("brand", at_least=1), "filter.range.attribute", "'brand' is a category; compare it by equals, in_val"),
        (any_of("tags"), "filter.any_of.values", "it is empty; send at least one element"),
        (any_of("brand", "a"), "filter.any_of.attribute", "'brand' is a category; compare it by equals, in_values"),
        (any_of("colour", "a"), "filter.any_of.attribute", "'colour' is no attribute; known columns are brand"),
        (items("a", ""), "filter.item_ids.item_ids[1]", "it is empty; send a non-empty id"),
        (each(), "filter.and_filters.filters", "it is empty; send at least one filter"),
        (one(items("a"), one()), "filter.or_filters.filters[1].or_filters.filters", "it is empty"),
        (Filter(not_filter=Filter()), "filter.not_filter", "no condition is set"),
    ],
)
def test_wrong_filter_is_refused_with_its_path_and_the_cure(filter_: Filter, field: str, text: str) -> None:
    found = refused(filter_)
    assert list(found) == [field]
    assert text in found[field]


def test_every_wrong_field_is_named_at_once() -> None:
    filter_ = each(items("a"), within("prize", at_least=NAN), one(Filter(), Filter(not_filter=any_of("tags"))))
    found = refused(filter_, path="requests[3].filter")
    assert list(found) == [
        "requests[3].filter.and_filters.filters[1].range.attribute",
        "requests[3].filter.and_filters.filters[1].range.at_least",
        "requests[3].filter.and_filters.filters[2].or_filters.filters[0]",
        "requests[3].filter.and_filters.filters[2].or_filters.filters[1].not_filter.any_of.values",
    ]


def test_thirty_filters_within_each_other_are_taken_and_no_more() -> None:
    condition, violations = filter_from_message(nested(MAX_DEPTH), SPECS, path="filter")
    assert condition is not None
    assert not violations
    assert narrowed(condition, available_at(0)) is not None
    (text,) = refused(nested(MAX_DEPTH + 1)).values()
    assert text == "it is nested 31 deep; want at most 30: flatten it"


def test_numbers_of_filters_and_values_are_bounded_also_where_items_have_windows() -> None:
    present = Filter(present="brand")
    for filter_, text in (
        (each(*[present] * 999), "it has more than 1,000 filters; join"),
        (is_in("price", numbers=range(65_000)), "it has more than 65,000 values; ask in parts"),
        (items(*map(str, range(65_000))), "it has more than 65,000 values"),
    ):
        condition, violations = filter_from_message(filter_, SPECS, path="filter")
        assert not violations
        assert narrowed(condition, available_at(0)) is not None
        (refusal,) = refused(each(*[present] * 998, one(filter_, filter_))).values()
        assert refusal.startswith(text)


def test_reading_ends_where_a_bound_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_requests, "MAX_FILTERS", 3)
    found = filter_from_message(one(*[Filter()] * 9), SPECS, path="filter")[1]
    assert [violation.field for violation in found] == [
        "filter",
        *(f"filter.or_filters.filters[{n}]" for n in range(3)),
    ]
