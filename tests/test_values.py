"""Every kind of raw value: what passes, in what form, and what is refused with value and cure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recall.schema import FeatureKind, FeatureSpec
from recall.values import checked_value


def _spec(kind: FeatureKind, dim: int = 0) -> FeatureSpec:
    return FeatureSpec(name="x", kind=kind, domain="x", dim=dim)


CATEGORY, TEXT, SET, NUMBER, VECTOR = (
    _spec("category"),
    _spec("text"),
    _spec("set"),
    _spec("number"),
    _spec("vector", 2),
)


@pytest.mark.parametrize("spec", [CATEGORY, TEXT, SET, NUMBER, VECTOR])
def test_none_is_missing_in_every_kind(spec: FeatureSpec) -> None:
    assert checked_value(spec, None) is None


@pytest.mark.parametrize(
    ("spec", "value"), [(CATEGORY, ""), (TEXT, ""), (SET, []), (SET, ()), (VECTOR, []), (VECTOR, np.zeros(0))]
)
def test_empty_value_is_missing(spec: FeatureSpec, value: object) -> None:
    assert checked_value(spec, value) is None


@pytest.mark.parametrize(
    ("spec", "value", "wanted"),
    [
        (CATEGORY, "Br\u00e4nd ", "Br\u00e4nd "),
        (TEXT, "It's", "It's"),
        (SET, ["b", "a", "b"], ("b", "a", "b")),
        (SET, ("",), ("",)),
        (NUMBER, 3, 3.0),
        (NUMBER, 0.0, 0.0),
        (NUMBER, np.float64(2.5), 2.5),
        (NUMBER, 2**63, 9.223372036854775808e18),
    ],
)
def test_fitting_value_passes_in_its_form(spec: FeatureSpec, value: object, wanted: object) -> None:
    checked = checked_value(spec, value)
    assert checked == wanted
    assert type(checked) is type(wanted)


@pytest.mark.parametrize("value", [[1, 2.5], (1, 2.5), np.array([1, 2.5]), np.array([1, 2.5], dtype=np.float16)])
def test_vector_becomes_float32(value: object) -> None:
    vector = checked_value(VECTOR, value)
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.float32
    assert vector.tolist() == [1.0, 2.5]


def test_vector_may_be_read_only_and_is_not_written_to() -> None:
    given = np.array([1, 2], dtype=np.float32)
    given.setflags(write=False)
    np.testing.assert_array_equal(checked_value(VECTOR, given), given)


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (CATEGORY, 3, "3 is not a string; a category feature takes a string"),
        (CATEGORY, ["a"], r"\['a'\] is not a string"),
        (TEXT, b"a", "b'a' is not a string; a text feature takes a string"),
        (SET, "abc", "'abc' is not a list of strings; send a list of strings"),
        (SET, ["a", 3], "element 1 is 3; every element must be a string"),
        (SET, [None], "element 0 is None"),
        (SET, {"a": 1}, "is not a list of strings"),
        (NUMBER, "3", "'3' is not a number; send a finite number"),
        (NUMBER, True, "True is not a number"),
        (NUMBER, math.nan, "nan is not finite; send a finite number or leave the feature out"),
        (NUMBER, -math.inf, "-inf is not finite"),
        (NUMBER, 10**400, "beyond the range of a float"),
        (NUMBER, [1.0], r"\[1.0\] is not a number"),
        (VECTOR, "12", "'12' is not a list of numbers; send 2 finite numbers"),
        (VECTOR, 1.0, "1.0 is not a list of numbers"),
        (VECTOR, [1.0], r"it has shape \[1\]; send 2 numbers"),
        (VECTOR, [1.0, 2.0, 3.0], r"it has shape \[3\]; send 2 numbers"),
        (VECTOR, [[1.0, 2.0]], r"it has shape \[1, 2\]; send 2 numbers"),
        (VECTOR, [[1.0], [2.0, 3.0]], "is not a list of numbers"),
        (VECTOR, ["1", "2"], r"\['1', '2'\] is not a list of numbers"),
        (VECTOR, [True, False], "is not a list of numbers"),
        (VECTOR, [1.0, None], "is not a list of numbers"),
        (VECTOR, [1.0, math.nan], "element 1 is not finite; send finite numbers"),
        (VECTOR, [math.inf, 1.0], "element 0 is not finite"),
        (VECTOR, [1.0, 1e39], "element 1 is not finite"),
        (VECTOR, [10**400, 1], "is not a list of numbers"),
    ],
)
def test_unfit_value_is_refused_with_value_and_cure(spec: FeatureSpec, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_value(spec, value)


def test_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ValueError, match="xxx") as caught:
        checked_value(NUMBER, "x" * 10_000)
    assert len(str(caught.value)) < 200
