"""What pydantic found wrong, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def one_line(error: ValidationError, describe: Callable[[ErrorDetails], str] | None = None) -> str:
    """Returns every problem of a validation, joined by semicolons.

    Args:
        error: What pydantic raised.
        describe: Turns one problem into text; None says key, value and message.
    """
    return "; ".join(" ".join((describe or described)(problem).split()) for problem in error.errors())


def described(problem: ErrorDetails) -> str:
    """Returns key, value and message of one problem."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}; remove it or correct its spelling"
    return f"{key} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"
