"""How measured figures stand on a page: Markdown tables, and values with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def with_interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """Returns a value and its interval in brackets, each below 10 without its leading 0; `+` as sign shows every sign.

    So .5000 [.2500, .7500], and -.2500 [-.3750, +.1250] with the sign.
    """
    first, *ends = (f"{number:{sign}.4f}".replace("0.", ".", 1) for number in (value, low, high))
    return f"{first} [{', '.join(ends)}]"
