"""Plain Python values as features: what counts as missing, what is converted, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from recall.client.features import checked_features
from recall.errors import InvalidRequestError


@pytest.mark.parametrize("kind", ["f8", "f4", ">f4", "i8", "u1"])
def test_arrays_of_numbers_are_taken_whole_and_as_lists_are(kind: str) -> None:
    values = np.array([1, 2, 250], dtype=kind)
    features = checked_features({"array": values, "strided": values[::2], "list": values.tolist()})
    for name, wanted in (("array", [1, 2, 250]), ("strided", [1, 250]), ("list", [1, 2, 250])):
        seen = features[name]
        assert isinstance(seen, np.ndarray)
        assert seen.dtype == np.float32
        assert seen.tolist() == wanted


def test_arrays_are_copied() -> None:
    values = np.zeros(2, dtype=np.float32)
    features = checked_features({"image": values})
    values[0] = 1.0
    seen = features["image"]
    assert isinstance(seen, np.ndarray)
    assert seen.tolist() == [0.0, 0.0]


def test_empty_arrays_and_lists_count_as_missing() -> None:
    assert checked_features({"a": np.empty(0), "b": [], "c": None, "d": np.empty(0, dtype=str)}) == {}


def test_array_of_strings_is_a_set_and_one_of_truth_values_is_refused() -> None:
    assert checked_features({"tags": np.array(["x", "y"])}) == {"tags": ("x", "y")}
    with pytest.raises(InvalidRequestError, match=r"features\.flags"):
        checked_features({"flags": [True, False]})
