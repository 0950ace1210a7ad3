"""Plain Python values as the features and attributes of items and users."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recall.errors import FieldViolation, InvalidRequestError
from recall.schema import FeatureMap, FeatureValue


def checked_features(values: Mapping[str, object], *, path: str = "features") -> FeatureMap:
    """Returns plain values as features: string, number, list of strings, list of numbers.

    None and empty lists count as missing and are left out. Which kind a feature must have is the server's to say.

    Raises:
        InvalidRequestError: Values have other types; all of them are listed.
    """
    features: dict[str, FeatureValue] = {}
    violations = []
    for name, value in values.items():
        try:
            feature = _feature_value(value)
        except ValueError as error:
            violations.append(FieldViolation(field=f"{path}.{name}", description=str(error)))
            continue
        if feature is not None:
            features[name] = feature
    if violations:
        raise InvalidRequestError(violations)
    return features


def _feature_value(value: object) -> FeatureValue | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu":  # not one by one
        return value.astype(np.float32) if len(value) else None
    if isinstance(value, (list, tuple, np.ndarray)):
        return _list_value(list(value))
    raise ValueError(f"{_shown(value)} has no kind; send a string, a number, a list of strings or a list of numbers")


def _list_value(elements: list[object]) -> FeatureValue | None:
    if not elements:
        return None
    if all(isinstance(element, str) for element in elements):
        return tuple(str(element) for element in elements)
    try:
        if any(isinstance(element, (str, bool)) for element in elements):
            raise ValueError("strings and truth values are no numbers")
        return np.array(elements, dtype=np.float32)
    except (TypeError, ValueError) as error:
        text = f"{_shown(elements)} mixes types; send a list of strings or a list of numbers"
        raise ValueError(text) from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
