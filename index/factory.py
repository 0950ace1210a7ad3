"""Which kind of index to build over given vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from index.errors import InvalidIndexConfigError
from index.kinds import KINDS, BaseIndex, build_kind, parameters_of
from index.protocols import FloatArray

AUTO = "auto"
EXACT_ROWS = 20_000
"""Below this `auto` builds no graph: exact search of so few rows takes a fraction of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """What to build.

    Attributes:
        kind: One of `index.kinds.KINDS`, or `auto`: flat below 20,000 rows, else hnsw.
        parameters: Of that kind, by name; what is missing takes its default.
    """

    kind: str = AUTO
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses an unknown kind and parameters that it does not have or that are out of range."""
        if self.kind != AUTO and self.kind not in KINDS:
            raise InvalidIndexConfigError(f"kind is {self.kind!r}; want one of {', '.join((AUTO, *KINDS))}")
        if self.kind == AUTO and self.parameters:
            raise InvalidIndexConfigError(f"parameters {sorted(self.parameters)} without a kind; name the kind too")
        if self.kind != AUTO:
            parameters_of(self.kind, self.parameters)


def build_index(vectors: FloatArray, config: IndexConfig) -> BaseIndex:
    """Builds an index over rows that will not change.

    Args:
        vectors: [num_rows, dim] float32 of about equal length; kept, may be a memory map.
        config: What to build.

    Raises:
        InvalidVectorError: A vector is not finite or is zero.
        MissingBackendError: The kind needs a library that is not installed.
    """
    kind = config.kind
    if kind == AUTO:
        kind = "flat" if vectors.shape[0] < EXACT_ROWS else "hnsw"
    return build_kind(kind, vectors, config.parameters)
