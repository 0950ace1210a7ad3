"""Which kind of index to build over given vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from index.errors import InvalidIndexConfigError
from index.kinds import KINDS, BaseIndex, build_kind, parameters_of
from index.protocols import FloatArray
from index.tune_trial import MEGABYTE, Tuned
from index.tuning import EXACT_ROWS, TuneOptions, tune

AUTO = "auto"
TARGET_RECALL = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """What to build.

    Attributes:
        kind: One of `index.kinds.KINDS`, or `auto`: chosen by `index.tune`, flat below 20,000 rows.
        parameters: Of that kind, by name; what is missing takes its default.
        target_recall: Of `auto`: share of the 100 nearest neighbors that a search should find, above 0, at most 1.
        memory_budget_mb: Of `auto`: most megabytes (10^6 bytes) that the index may keep in memory; 0 sets no limit.
    """

    kind: str = AUTO
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)
    target_recall: float = TARGET_RECALL
    memory_budget_mb: float = 0.0

    def __post_init__(self) -> None:
        """Refuses an unknown kind, what does not go with it, and values out of range."""
        if self.kind != AUTO and self.kind not in KINDS:
            raise InvalidIndexConfigError(f"kind is {self.kind!r}; want one of {', '.join((AUTO, *KINDS))}")
        if self.kind == AUTO and self.parameters:
            raise InvalidIndexConfigError(f"parameters {sorted(self.parameters)} without a kind; name the kind too")
        if not 0 < self.target_recall <= 1:
            raise InvalidIndexConfigError(f"target_recall is {self.target_recall}; want above 0, at most 1")
        if not 0 <= self.memory_budget_mb < float("inf"):
            raise InvalidIndexConfigError(f"memory_budget_mb is {self.memory_budget_mb}; want megabytes, or 0 for none")
        if self.kind != AUTO:
            if (self.target_recall, self.memory_budget_mb) != (TARGET_RECALL, 0.0):
                raise InvalidIndexConfigError(
                    f"target_recall and memory_budget_mb choose a kind, but kind is {self.kind!r}; leave them out, or"
                    f" set kind to {AUTO}"
                )
            parameters_of(self.kind, self.parameters)

    def untuned(self, num_rows: int) -> IndexConfig:
        """Returns what is built quickly where an index is not kept: `auto` is flat or plain hnsw then, not tuned."""
        if self.kind != AUTO:
            return self
        return IndexConfig(kind="flat" if num_rows < EXACT_ROWS else "hnsw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An index, and how it was chosen.

    Attributes:
        index: Over all vectors.
        tuned: What tuning tried; None where the kind was given.
    """

    index: BaseIndex
    tuned: Tuned | None = None


def build_chosen(vectors: FloatArray, config: IndexConfig, *, queries: FloatArray | None = None) -> Built:
    """Does what `build_index` does, and tells how the kind was chosen.

    Args:
        vectors: As there.
        config: What to build.
        queries: [num_queries, dim] float32, as they will be asked, for `auto` and `lsh` to measure with; None makes
            some.
    """
    if config.kind != AUTO:
        return Built(index=build_kind(config.kind, vectors, config.parameters, queries=queries))
    budget = max(round(config.memory_budget_mb * MEGABYTE), 1) if config.memory_budget_mb else None
    options = TuneOptions(queries=queries)
    tuned = tune(vectors, target_recall=config.target_recall, memory_budget_bytes=budget, options=options)
    return Built(index=tuned.index, tuned=tuned)


def build_index(vectors: FloatArray, config: IndexConfig) -> BaseIndex:
    """Builds an index over rows that will not change.

    Args:
        vectors: [num_rows, dim] float32 of about equal length; kept, may be a memory map.
        config: What to build.

    Raises:
        InvalidVectorError: A vector is not finite or is zero.
        MissingBackendError: The kind needs a library that is not installed.
    """
    return build_chosen(vectors, config).index
