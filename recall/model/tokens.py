r"""Text and set values as tokens: NFKC, casefold, then words by `\w+` for text and whole values for sets.

Every part that reads content (the model's features, the content baseline) tokenises through this file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def text_tokens(text: str) -> list[str]:
    """Returns the words of a text in order, repeated ones included; empty where the text holds no word."""
    return _WORD.findall(_folded(text))


def set_tokens(values: Sequence[str]) -> list[str]:
    """Returns one token a set value, in order. Values are kept whole; equal ones after folding stay repeated."""
    return [_folded(value) for value in values]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
