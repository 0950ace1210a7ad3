"""Which kind of index to build over given vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from index.errors import InvalidIndexConfigError
from index.flat import FlatIndex
from index.hnsw import HnswIndex, HnswParameters
from index.lsh import HyperplaneLsh, LshParameters
from index.protocols import FloatArray, VectorIndex

IndexKind: TypeAlias = Literal["auto", "flat", "hnsw", "lsh"]

EXACT_ROWS = 20_000
"""Below this `auto` builds no graph: exact search of so few rows takes a fraction of a millisecond."""

_KINDS = ("auto", "flat", "hnsw", "lsh")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """What to build.

    Attributes:
        kind: `flat`, `hnsw`, `lsh`, or `auto`: flat below 20,000 rows, else hnsw.
        m: HNSW links of a node.
        ef_construction: HNSW candidate list while building.
        ef_search: HNSW candidate list while searching.
        tables: LSH tables; 0 takes the rule of `LshParameters.for_target`, as for bits and probes.
        bits: LSH bits of a table; 0 takes the rule.
        probes: LSH buckets tried in a table; 0 takes the rule.
        seed: Seed of HNSW layers and LSH planes.
        threads: HNSW threads; 0 chooses, see `index.hnsw`.
    """

    kind: IndexKind = "auto"
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 128
    tables: int = 0
    bits: int = 0
    probes: int = 0
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        if self.kind not in _KINDS:
            raise InvalidIndexConfigError(f"kind is {self.kind!r}; want one of {', '.join(_KINDS)}")
        self.hnsw_parameters()
        self.lsh_parameters(0)

    def hnsw_parameters(self) -> HnswParameters:
        """Returns the part of HNSW."""
        return HnswParameters(
            m=self.m,
            ef_construction=self.ef_construction,
            ef_search=self.ef_search,
            seed=self.seed,
            threads=self.threads,
        )

    def lsh_parameters(self, num_rows: int) -> LshParameters:
        """Returns the part of LSH, with the rule for `num_rows` where a value is 0."""
        rule = LshParameters.for_target(num_rows, seed=self.seed)
        bits = self.bits or rule.bits
        probes = self.probes or (rule.probes if not self.bits else min(bits + 1, 1 << bits))
        return replace(rule, bits=bits, tables=self.tables or rule.tables, probes=probes)


def build_index(vectors: FloatArray, config: IndexConfig) -> VectorIndex:
    """Builds an index over rows that will not change.

    Args:
        vectors: [num_rows, dim] float32 of about equal length; kept, may be a memory map.
        config: What to build.

    Raises:
        InvalidVectorError: A vector is not finite or is zero.
        MissingBackendError: The kind needs a library that is not installed.
    """
    kind = config.kind
    if kind == "auto":
        kind = "flat" if vectors.shape[0] < EXACT_ROWS else "hnsw"
    if kind == "flat":
        return FlatIndex(vectors)
    if kind == "hnsw":
        return HnswIndex.build(vectors, config.hnsw_parameters())
    lsh = HyperplaneLsh(vectors.shape[1], config.lsh_parameters(vectors.shape[0]), capacity=vectors.shape[0])
    lsh.append(vectors)
    return lsh
