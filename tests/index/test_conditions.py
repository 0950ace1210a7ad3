"""Conditions: what is kept, what is equal, and what is refused when they are made."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest

from index import conditions
from index.conditions import AllOf, And, AnyOf, Equals, In, ItemIn, Not, Or, Present, Range
from index.errors import InvalidQueryError

RED = Equals("color", "red")


def test_equal_conditions_have_equal_hashes_whatever_the_order_of_their_values() -> None:
    assert In("color", ["red", "blue", "red"]) == In("color", ("blue", "red"))
    assert len({AnyOf("tags", ("a", "b")), AnyOf("tags", ["b", "a"]), AllOf("tags", ("a", "b"))}) == 2
    assert hash(And([RED, Not(RED)])) == hash(And((RED, Not(RED))))
    assert And((RED, Present("size"))) != And((Present("size"), RED))
    assert Equals("size", 1) == Equals("size", 1.0)
    assert ItemIn(["b", "a"]) == ItemIn(("a", "b"))


def test_conditions_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RED.value = "blue"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Equals("", "red"), "has the column ''; want its name"),
        (lambda: Equals("color", None), "the value of Equals of 'color' is None; want an int or float"),
        (lambda: Equals("size", True), "is True; want an int or float"),
        (lambda: Equals("size", math.nan), "is nan; want a finite number"),
        (lambda: Equals("size", math.inf), "is inf; want a finite number"),
        (lambda: Equals("size", 2**53 + 1), "9007199254740993, which float64 cannot hold; integers are exact up to 2"),
        (lambda: Equals("size", 10**400), "which float64 cannot hold"),
        (lambda: In("color", "red"), "In has the values 'red'; want a collection"),
        (lambda: In("size", (1, math.nan)), "a value of In of 'size' is nan"),
        (lambda: AnyOf("tags", (1,)), "AnyOf has the value 1; want strings"),
        (lambda: AllOf("tags", None), "AllOf has the values None; want a collection"),
        (lambda: Range("size", low=math.nan), "low of Range of 'size' is NaN; want a number, or None for no bound"),
        (lambda: Range("size", high="9"), "high of Range is '9'; want an int or float"),
        (lambda: Range("size", 3, 2), "Range of 'size' has low 3 above high 2; swap them"),
        (lambda: ItemIn("a"), "ItemIn has the values 'a'; want a collection"),
        (lambda: Not("red"), "Not has 'red' at place 0; want a condition"),
        (lambda: And(RED), "And has Equals(column='color', value='red'); want a sequence of conditions"),
        (lambda: Or((RED, None)), "Or has None at place 1; want a condition"),
    ],
)
def test_what_can_be_no_condition_is_refused_with_value_and_place(make, text) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        make()
    assert text in str(refused.value)


def test_range_takes_infinite_and_equal_bounds() -> None:
    assert Range("size", -math.inf, math.inf) != Range("size")
    assert Range("size", 2, 2).includes_low


def test_nesting_is_bounded_so_that_walking_never_recurses_too_deep() -> None:
    condition: conditions.Condition = RED
    for _ in range(conditions.MAX_DEPTH - 1):
        condition = Not(condition)
    with pytest.raises(InvalidQueryError, match="And nests 33 conditions; want at most 32: flatten it"):
        And((RED, condition))


def test_number_of_conditions_is_bounded() -> None:
    most = Or((RED,) * (conditions.MAX_CONDITIONS - 1))
    with pytest.raises(InvalidQueryError, match="Not has 1025 conditions; want at most 1024"):
        Not(most)


def test_number_of_values_is_bounded_in_one_condition_and_in_all_together() -> None:
    ids = [str(number) for number in range(conditions.MAX_VALUES + 1)]
    with pytest.raises(InvalidQueryError, match="ItemIn has 65537 values; want at most 65536"):
        ItemIn(ids)
    with pytest.raises(InvalidQueryError, match="And has 65537 values; want at most 65536"):
        And((ItemIn(ids[:-1]), RED))
