"""Conditions as messages, read back by the server's own reading of them."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from index.attributes import ColumnSpec
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.client.filters import filter_from_json, filter_to_message
from recall.serving.filter_requests import filter_from_message
from recall.v1 import recall_pb2 as pb

COLUMNS = (
    ColumnSpec(name="brand", kind="category"),
    ColumnSpec(name="price", kind="number"),
    ColumnSpec(name="tags", kind="set"),
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=3)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SETS = st.frozensets(WORDS, min_size=1, max_size=3)
BOUNDS = st.tuples(st.none() | NUMBERS, NUMBERS, st.booleans(), st.booleans())
LEAVES = st.one_of(
    WORDS.map(lambda value: Equals("brand", value)),
    NUMBERS.map(lambda value: Equals("price", value)),
    SETS.map(lambda values: In("brand", values)),
    st.frozensets(NUMBERS, min_size=1, max_size=3).map(lambda values: In("price", values)),
    BOUNDS.filter(lambda b: b[0] is None or b[0] <= b[1]).map(
        lambda b: Range("price", b[0], b[1], includes_low=b[2] or b[0] is None, includes_high=b[3])
    ),
    SETS.map(lambda values: AnyOf("tags", values)),
    SETS.map(lambda values: AllOf("tags", values)),
    st.sampled_from(["brand", "price", "tags"]).map(Present),
    st.frozensets(WORDS.filter(bool), max_size=3).map(ItemIn),
)


def _joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(inner.map(Not), several.map(And), several.map(Or))


@settings(max_examples=60, deadline=None)
@given(st.recursive(LEAVES, _joined, max_leaves=6))
def test_server_reads_the_condition_that_was_sent(condition: Condition) -> None:
    sent = filter_to_message(condition).SerializeToString()
    assert filter_from_message(pb.Filter.FromString(sent), COLUMNS, path="filter") == (condition, [])


@settings(max_examples=40, deadline=None)
@given(st.recursive(LEAVES, _joined, max_leaves=6))
def test_json_form_of_a_filter_is_read_as_it_is_written(condition: Condition) -> None:
    assert filter_from_json(json_format.MessageToJson(filter_to_message(condition))) == condition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Failed to load JSON"),
        ("{}", "a filter is empty; set one of equals, inValues, range"),
        ('{"equal": {}}', 'no field named "equal"'),
        ('{"equals": {"attribute": "brand"}}', "equals has no value; set stringValue or numberValue"),
        ('{"range": {"attribute": "price", "atLeast": 2, "atMost": 1}}', "low 2.0 above high 1.0"),
        ('{"present": ""}', "want its name"),
    ],
)
def test_json_that_is_no_filter_is_refused_with_the_cure(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        filter_from_json(text)


def test_message_is_the_one_written_by_hand() -> None:
    condition = And((Equals("brand", "acme"), Not(AnyOf("tags", ("used",))), Range("price", 5, includes_low=False)))
    filters = [
        pb.Filter(equals=pb.EqualsCondition(attribute="brand", string_value="acme")),
        pb.Filter(not_filter=pb.Filter(any_of=pb.SetCondition(attribute="tags", values=["used"]))),
        pb.Filter(range=pb.RangeCondition(attribute="price", more_than=5)),
    ]
    assert filter_to_message(condition) == pb.Filter(and_filters=pb.FilterList(filters=filters))


@pytest.mark.parametrize("condition", [Range("price"), In("brand", ()), And(())])
def test_condition_that_no_filter_states_is_sent_for_the_server_to_refuse(condition: Condition) -> None:
    found, violations = filter_from_message(filter_to_message(condition), COLUMNS, path="filter")
    assert found is None
    assert len(violations) == 1
