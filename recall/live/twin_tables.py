"""What finds the twins among the items of a snapshot: their token sets, and tables of the bands of their signatures.

Files of the part `twins/` of a snapshot, arrays as NumPy `.npy` format 1.0, little-endian, C order; row r is that of
the row table:

- `tokens.npy`: uint64 [num_tokens], ascending and distinct within a row.
- `offsets.npy`: int64 [n + 1], row r has tokens `offsets[r]` to `offsets[r + 1]`.
- `keys.npy`: uint32 [num_bands, m], the keys of the m rows with tokens, ascending within a band.
- `rows.npy`: int32 [num_bands, m], the row that each key belongs to, ascending among equal keys.
- `permutations.npy`: uint32 [2, num_permutations], factors and summands of the permutations of the signatures.
- `twins.json`: an object with `format_version` 1, `num_permutations`, `rows_per_band` and `seed` of the signatures
  (`recall.model.signatures`), and `features`, the names, kinds and domains of the features that the tokens are from.

Signatures themselves are not kept: their bands propose candidates, and the token sets say exactly how similar these
are. Tokens, keys and rows are mapped from disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.arrays import load_array
from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.json_object import load_object
from recall.model.codes import IdArray
from recall.model.jaccard import rows_with_key
from recall.model.signatures import Banding, Permutations
from recall.model.token_sets import TokenSets
from recall.schema import FeatureSpec
from recall.validation import one_line

FORMAT_VERSION = 1
THRESHOLD = 0.5
"""Least Jaccard similarity of twins."""
PROBABILITY = 0.95
"""Least chance that the tables find a twin of just that similarity."""
BANDING = Banding.for_threshold(THRESHOLD, PROBABILITY)

_TOKENS, _OFFSETS, _PERMUTATIONS = "tokens.npy", "offsets.npy", "permutations.npy"
_KEYS, _ROWS, _FACTS = "keys.npy", "rows.npy", "twins.json"
_ROWS_AT_ONCE = 8192


class TwinFacts(BaseModel):
    """The content of `twins.json`; see the module's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    num_permutations: int = Field(ge=1)
    rows_per_band: int = Field(ge=1)
    seed: int = Field(ge=0, lt=1 << 32)
    features: tuple[FeatureSpec, ...]

    @property
    def banding(self) -> Banding:
        """How signatures are made and cut."""
        return Banding(num_permutations=self.num_permutations, rows_per_band=self.rows_per_band, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinTables:
    """Token sets by row, and where the bands of their signatures lead to; immutable.

    Attributes:
        specs: The text and set features that the tokens are from.
        sets: n token sets; empty where an item has no such feature.
        banding: How signatures are made and cut.
        permutations: [2, num_permutations] uint32, of the signatures.
        keys: [num_bands, m] uint32, ascending within a band.
        rows: [num_bands, m] int32.
    """

    specs: tuple[FeatureSpec, ...]
    sets: TokenSets
    banding: Banding
    permutations: Permutations
    keys: NDArray[np.uint32]
    rows: NDArray[np.int32]

    @classmethod
    def build(cls, specs: Sequence[FeatureSpec], sets: TokenSets, banding: Banding = BANDING) -> TwinTables:
        """Signs the sets and sorts the keys of each band.

        Args:
            specs: The text and set features that the tokens are from.
            sets: One an item.
            banding: How signatures are made and cut.
        """
        permutations, with_tokens = banding.permutations(), np.flatnonzero(np.diff(sets.offsets))
        keys = np.empty((banding.num_bands, len(with_tokens)), dtype=np.uint32)
        rows = np.empty((banding.num_bands, len(with_tokens)), dtype=np.int32)
        for part in _parts(len(with_tokens)):
            keys[:, part] = banding.keys(sets.take(with_tokens[part]), permutations).T
        for band in range(banding.num_bands):
            order = np.argsort(keys[band], kind="stable")
            keys[band], rows[band] = keys[band][order], with_tokens[order]
        return cls(specs=tuple(specs), sets=sets, banding=banding, permutations=permutations, keys=keys, rows=rows)

    @property
    def num_rows(self) -> int:
        """Rows held, with or without tokens."""
        return len(self.sets)

    def candidates(self, query: IdArray) -> NDArray[np.int64]:
        """Returns the rows that agree with a token set in a whole band, ascending, [num_found] int64.

        Args:
            query: [num_tokens] uint64, ascending, distinct, not empty.
        """
        (key,) = self.banding.keys(TokenSets.of([query]), self.permutations)
        return rows_with_key(self.keys, self.rows, key, self.num_rows)

    def save(self, folder: Path) -> None:
        """Writes the files below `folder`, which exists."""
        np.save(folder / _TOKENS, self.sets.tokens, allow_pickle=False)
        np.save(folder / _OFFSETS, self.sets.offsets, allow_pickle=False)
        np.save(folder / _PERMUTATIONS, self.permutations, allow_pickle=False)
        np.save(folder / _KEYS, self.keys, allow_pickle=False)
        np.save(folder / _ROWS, self.rows, allow_pickle=False)
        facts = TwinFacts(
            num_permutations=self.banding.num_permutations,
            rows_per_band=self.banding.rows_per_band,
            seed=self.banding.seed,
            features=self.specs,
        )
        text = json.dumps(facts.model_dump(mode="json"), indent=1, sort_keys=True)
        (folder / _FACTS).write_text(text + "\n", encoding="ascii")

    @classmethod
    def load(cls, folder: Path, *, num_rows: int) -> TwinTables:
        """Reads what `save` wrote, mapped read-only.

        Args:
            folder: Where it is.
            num_rows: Rows of the row table.

        Raises:
            SnapshotDamagedError: A file is missing or unreadable, or the files do not fit each other.
            SnapshotMismatchError: The format is not known here.
        """
        facts = _read_facts(folder / _FACTS)
        tables = cls(
            specs=facts.features,
            sets=TokenSets(
                tokens=load_array(folder / _TOKENS, np.uint64, num_axes=1, mapped=True),
                offsets=load_array(folder / _OFFSETS, np.int64, num_axes=1),
            ),
            banding=facts.banding,
            permutations=load_array(folder / _PERMUTATIONS, np.uint32, num_axes=2),
            keys=load_array(folder / _KEYS, np.uint32, num_axes=2, mapped=True),
            rows=load_array(folder / _ROWS, np.int32, num_axes=2, mapped=True),
        )
        problem = tables._problem(num_rows)
        if problem:
            raise SnapshotDamagedError(f"{folder} {problem}; rebuild or restore it")
        return tables

    def _problem(self, num_rows: int) -> str:
        offsets, tokens = self.sets.offsets, self.sets.tokens
        if (
            offsets.size != num_rows + 1
            or offsets[0] != 0
            or offsets[-1] != tokens.size
            or (np.diff(offsets) < 0).any()
        ):
            return f"has {offsets.size} offsets for {num_rows} items, or they do not ascend from 0 to {tokens.size}"
        if self.permutations.shape != (2, self.banding.num_permutations):
            return f"holds permutations {list(self.permutations.shape)}; want {[2, self.banding.num_permutations]}"
        shape = (self.banding.num_bands, int(np.count_nonzero(np.diff(offsets))))
        if self.keys.shape != shape or self.rows.shape != shape:
            return f"holds keys {list(self.keys.shape)} and rows {list(self.rows.shape)}; want {list(shape)}"
        if self.rows.size and not 0 <= int(self.rows.min()) <= int(self.rows.max()) < num_rows:
            return f"leads to rows from {self.rows.min()} to {self.rows.max()}; want those below {num_rows}"
        return ""


def _read_facts(path: Path) -> TwinFacts:
    body = load_object(path)
    if body.get("format_version") != FORMAT_VERSION:
        raise SnapshotMismatchError(
            f"{path} has format version {body.get('format_version')}, this program reads {FORMAT_VERSION}; "
            "rebuild or upgrade"
        )
    try:
        return TwinFacts.model_validate(body)
    except ValidationError as error:
        raise SnapshotDamagedError(f"{path} states unusable facts: {one_line(error)}; rebuild") from error


def _parts(num_rows: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS_AT_ONCE) for start in range(0, num_rows, _ROWS_AT_ONCE))
