"""Checking at the edge: a table cell or a request field becomes a `FeatureValue` here; the longest id."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recall.schema import FeatureSpec, FeatureValue

MAX_ID_BYTES = 512
"""Longest item or user id in UTF-8, in tables and on the wire."""

RESERVED_PREFIX = "\x1f"
"""What the ids of the system's own items begin with; no client and no table may use it."""


def checked_value(spec: FeatureSpec, value: object) -> FeatureValue | None:
    """Returns `value` in the form that `spec.kind` wants, or None where it is missing.

    Empty text, an empty set and an empty vector count as missing.

    Raises:
        ValueError: The value has another type, length or is not finite; the message names value, kind and cure.
    """
    if value is None:
        return None
    if spec.kind == "number":
        return _number(value)
    if spec.kind == "vector":
        return _vector(spec, value)
    if spec.kind == "set":
        return _set(value)
    return _string(spec.kind, value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{_shown(value)} is not a number; send a finite number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("the integer is beyond the range of a float; send a number below 1.8e308") from error
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite; send a finite number or leave the feature out")
    return number


def _vector(spec: FeatureSpec, value: object) -> FeatureValue | None:
    if isinstance(value, str) or not isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError(f"{_shown(value)} is not a list of numbers; send {spec.dim} finite numbers")
    if len(value) == 0:
        return None
    try:
        numbers = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_shown(value)} is not a list of numbers; send {spec.dim} finite numbers") from error
    if numbers.dtype.kind not in "fiu":
        raise ValueError(f"{_shown(value)} is not a list of numbers; send {spec.dim} finite numbers")
    vector = numbers if numbers.dtype == np.float32 else _as_float32(numbers)
    if vector.shape != (spec.dim,):
        raise ValueError(f"it has shape {list(vector.shape)}; send {spec.dim} numbers")
    if not np.isfinite(vector).all():
        raise ValueError(f"element {int(np.argmin(np.isfinite(vector)))} is not finite; send finite numbers")
    return vector


def _as_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # What is too great for float32 becomes infinite, and is refused as such.
        return numbers.astype(np.float32)


def _set(value: object) -> FeatureValue | None:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError(f"{_shown(value)} is not a list of strings; send a list of strings")
    for position, element in enumerate(value):
        if not isinstance(element, str):
            raise ValueError(f"element {position} is {_shown(element)}; every element must be a string")
    return tuple(value) or None


def _string(kind: str, value: object) -> FeatureValue | None:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a string; a {kind} feature takes a string")
    return value or None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
