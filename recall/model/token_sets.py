"""What the text and set features of an item say, as a set of hashed tokens: each token once, however often it stands.

Tokens and their hashes are those of the model's bags (`features.py`, `tokens.py`, `hashing.py`), so that a word of a
title and an equal tag are one token, without the weights, the limit of `minhash.py` and an item's own id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from recall.model.codes import IdArray
from recall.model.features import bag_domain, bag_tokens
from recall.model.hashing import hashes_of
from recall.schema import FeatureMap, FeatureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSets:
    """Sets of tokens, one a row.

    Attributes:
        tokens: [num_tokens] uint64, the rows one after another; ascending and distinct within a row.
        offsets: [n + 1] int64; row r is `tokens[offsets[r]:offsets[r + 1]]`.
    """

    tokens: IdArray
    offsets: NDArray[np.int64]

    @classmethod
    def of_features(cls, specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap]) -> TokenSets:
        """Returns the tokens of raw features.

        Args:
            specs: The text and set features to read (`content_specs`).
            rows: Raw features that fit the specs; others among them are ignored.
        """
        return cls._of_distinct([_tokens(specs, row) for row in rows])

    @classmethod
    def of(cls, rows: Sequence[IdArray]) -> TokenSets:
        """Returns sets of uint64 tokens, given in any order and with repetitions."""
        return cls._of_distinct([np.unique(row).tolist() for row in rows])

    @classmethod
    def _of_distinct(cls, rows: Sequence[Sequence[int]]) -> TokenSets:
        """Returns sets of tokens that are ascending and distinct."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        tokens = np.fromiter(chain.from_iterable(rows), dtype=np.uint64, count=int(offsets[-1]))
        return cls(tokens=tokens, offsets=offsets)

    @classmethod
    def joined(cls, parts: Sequence[TokenSets]) -> TokenSets:
        """Returns the rows of all parts, one part after another."""
        sizes = [np.zeros(1, dtype=np.int64), *(np.diff(part.offsets) for part in parts)]
        tokens = [np.empty(0, dtype=np.uint64), *(part.tokens[: part.offsets[-1]] for part in parts)]
        return cls(tokens=np.concatenate(tokens), offsets=np.cumsum(np.concatenate(sizes), dtype=np.int64))

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.offsets) - 1

    def row(self, row: int) -> IdArray:
        """Returns the tokens of one row, [num_tokens] uint64."""
        return self.tokens[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: NDArray[np.int64]) -> TokenSets:
        """Returns some rows, in their order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
        places = np.arange(int(offsets[-1])) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return TokenSets(tokens=self.tokens[places], offsets=offsets)


def content_specs(specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Returns those features that are made of tokens: texts and sets."""
    return tuple(spec for spec in specs if spec.kind in ("text", "set"))


def _tokens(specs: Sequence[FeatureSpec], row: FeatureMap) -> list[int]:
    # Sorted as numbers of Python: a set of a few tokens takes numpy several times as long.
    values = ((bag_domain(spec), bag_tokens(spec, row[spec.name])) for spec in specs if spec.name in row)
    return sorted({token for domain, words in values for token in hashes_of(domain, words)})
