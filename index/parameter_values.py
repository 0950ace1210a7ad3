"""What every kind asks of the parameters that it is given by name: known names, the right types, and bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from index.errors import InvalidIndexConfigError

MOST_THREADS = 1024
"""More would wait for each other on any machine, and systems refuse to start as many."""
P = TypeVar("P")


def typed_values(parameters: type, values: Mapping[str, Any], *, kind: str) -> dict[str, int | float | str]:
    """Returns values by name, those of NumPy as Python's.

    Args:
        parameters: Dataclass of the kind, in which every field has a default.
        values: Some of its fields.
        kind: Its name, for the message.

    Raises:
        InvalidIndexConfigError: A name or a type is wrong.
    """
    defaults: dict[str, Any] = {field.name: field.default for field in fields(parameters)}
    typed: dict[str, int | float | str] = {}
    for name, given in values.items():
        value: Any = given.item() if isinstance(given, np.generic) else given
        if name not in defaults:
            raise InvalidIndexConfigError(f"{name!r} is no parameter of kind {kind}; known are {sorted(defaults)}")
        wanted = type(defaults[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise InvalidIndexConfigError(f"{name} is {value!r}; want {wanted.__name__} for kind {kind}")
        typed[name] = value
    return typed


def retuned_values(parameters: P, values: Mapping[str, Any], *, kind: str, names: Collection[str]) -> P:
    """Returns parameters with other values of the search.

    Args:
        parameters: A dataclass of them.
        values: New ones, by name.
        kind: Name of the kind, for the message.
        names: Of the parameters that a search can change.

    Raises:
        InvalidIndexConfigError: A name is another, or a type or value is wrong.
    """
    for name in values:
        if name not in names:
            known = ", ".join(names) or "none"
            raise InvalidIndexConfigError(f"{name!r} is no search parameter of {kind}; known are {known}")
    made: P = replace(parameters, **typed_values(type(parameters), values, kind=kind))  # type: ignore[type-var]
    return made


def check_bounds(values: Mapping[str, int | float | str], bounds: Mapping[str, tuple[int, int]]) -> None:
    """Checks values by name against the least and the greatest that are wanted.

    Raises:
        InvalidIndexConfigError: One is beyond, or is no number.
    """
    for name, (least, most) in bounds.items():
        value = values[name]
        if isinstance(value, str) or not least <= value <= most:
            raise InvalidIndexConfigError(f"{name} is {value!r}; want {least} or more, at most {most}")
