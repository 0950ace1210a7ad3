"""The parameters of an LSH index and the rules that hold without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from index.errors import InvalidIndexConfigError
from index.lsh_families import (
    CROSS_POLYTOPE,
    FAMILIES,
    HYPERPLANE,
    P_STABLE,
    Shape,
    coordinates_of,
    cross_polytope_collision,
    hyperplane_collision,
    p_stable_collision,
)
from index.parameter_values import MOST_THREADS, check_bounds, retuned_values

AUTO = "auto"
_RETUNABLE = ("probes", "min_hits", "rerank", "threads")
MAX_BITS, MAX_FUNCTIONS, MAX_TABLES, MAX_HITS = 24, 32, 256, 255
MAX_PROBES = 2**20
"""Of one query: it keeps some 200 bytes for each, and takes longer than to scan tens of millions of rows."""
MAX_BUCKETS = 2**28
"""Of all tables together: four bytes each."""
ROWS_PER_BUCKET = 32
"""Of evenly spread rows: a bucket is then two lines of memory, and finding it costs about as much as reading it."""
_RULE_TABLES = 48
_BOUNDS = {
    "bits": (0, MAX_BITS),
    "functions": (0, MAX_FUNCTIONS),
    "tables": (0, MAX_TABLES),
    "probes": (0, MAX_PROBES),
    "min_hits": (0, MAX_HITS),
    "expected_recall": (0, 1),
    "threads": (0, MOST_THREADS),
    **dict.fromkeys(("width", "rerank", "seed"), (0, 2**31 - 1)),
}
_UNIT_WIDTH = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LshParameters:
    """How rows are hashed and how far a query looks; 0 (or `auto`) is chosen by `index.lsh_rules` from the data.

    Files written before there were families have bits, tables and probes, and no family. Where just these are given
    they mean what they meant: hyperplanes, and so many probes in each table.

    Attributes:
        family: One of `index.lsh_families.FAMILIES`; `auto` is cross_polytope.
        bits: Binary logarithm of the number of buckets of a table. K for hyperplanes.
        functions: K, the functions joined in a table; follows from `bits` except for p_stable.
        width: Of a p_stable slot, in the unit of the vectors; 0 for the other families.
        tables: L.
        probes: Buckets tried, over all tables together, each table's own included.
        min_hits: In how many of them a row must lie to be ranked.
        rerank: Rows that are scored exactly, the best by quantised vectors.
        target_recall: What the rule aims at, against exact search: share of the best `target_k` that is found.
        target_k: See there.
        expected_recall: Not to be given: what was found of a sample at the build, see `index.lsh_expectation`; 0 where
            nothing was left to the rule, where search parameters are others since, and in older files.
        seed: Of the functions.
        threads: Of a build and of a batched search; 0 takes every core.
    """

    family: str = AUTO
    bits: int = 0
    functions: int = 0
    width: float = 0.0
    tables: int = 0
    probes: int = 0
    min_hits: int = 0
    rerank: int = 0
    target_recall: float = 0.95
    target_k: int = 100
    expected_recall: float = 0.0
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range, and makes the parameters of an old file those of today."""
        if self.family not in (AUTO, *FAMILIES):
            raise InvalidIndexConfigError(f"family is {self.family!r}; want {AUTO} or one of {', '.join(FAMILIES)}")
        check_bounds(self.as_dict(), _BOUNDS)
        if not 0 < self.target_recall < 1 or self.target_k < 1:
            raise InvalidIndexConfigError(
                f"target_recall is {self.target_recall} and target_k {self.target_k}; want inside (0, 1), at least 1"
            )
        if self.family == AUTO and self.bits and self.tables and self.probes and not self.functions:
            object.__setattr__(self, "family", HYPERPLANE)
            object.__setattr__(self, "probes", min(self.probes * self.tables, MAX_PROBES))
            object.__setattr__(self, "min_hits", self.min_hits or 1)
        if self.tables << self.bits > MAX_BUCKETS:
            raise InvalidIndexConfigError(
                f"tables is {self.tables} of 2^{self.bits} buckets; want at most {MAX_BUCKETS} in all"
            )
        if self.family in (HYPERPLANE, CROSS_POLYTOPE) and self.bits and self.functions:
            self._check_functions()

    def _check_functions(self) -> None:
        # A function has at least one bit, and a hyperplane no more.
        if self.functions > self.bits or (self.family == HYPERPLANE and self.functions != self.bits):
            raise InvalidIndexConfigError(
                f"functions is {self.functions} with {self.bits} bits of {self.family}; leave it 0, it follows"
            )

    def as_dict(self) -> dict[str, int | float | str]:
        """Returns the values by name."""
        return asdict(self)

    def retuned(self, values: Mapping[str, int]) -> LshParameters:
        """Returns them with other probes, min_hits, rerank or threads.

        Raises:
            InvalidIndexConfigError: Another name, or a value out of range.
        """
        made = retuned_values(self, values, kind="lsh", names=_RETUNABLE)
        for name, value in values.items():
            if value < 1 and name != "threads":
                raise InvalidIndexConfigError(f"{name} is {value}; want at least 1: the rule holds for a build only")
        expected = self.expected_recall if set(values) <= {"threads"} else 0.0
        return replace(made, expected_recall=expected)

    def shape(self, dim: int) -> Shape:
        """Returns what has to be drawn for vectors of a length."""
        return Shape(
            dim=dim,
            bits=self.bits,
            functions=self.functions,
            width=self.width,
            tables=self.tables,
            seed=self.seed,
        )

    def for_rows(self, num_rows: int, dim: int, *, cosine: float = 0.7) -> LshParameters:
        """Returns them with every rule applied, without data: for neighbors at a given cosine.

        The number of buckets puts `ROWS_PER_BUCKET` rows into one, fewer if `_RULE_TABLES` tables could not reach the
        target. L follows from the OR of the tables, 1 - (1 - p^K)^L = target recall, with the collision probability
        of the family in closed form. That counts each query's own buckets only; twice as many are tried.

        Args:
            num_rows: Rows expected.
            dim: Length of a vector.
            cosine: Of the neighbors that should be found, inside (-1, 1); vectors have length 1.
        """
        chosen = replace(self, family=CROSS_POLYTOPE if self.family == AUTO else self.family)
        bits = self.bits or default_bits(num_rows)
        width = (self.width or _UNIT_WIDTH) if chosen.family == P_STABLE else 0.0
        needed = 0
        while not needed or (needed > _RULE_TABLES and not self.bits and bits > 1):
            bits -= 1 if needed else 0
            functions = functions_of(chosen, dim, bits)
            p = table_collision(replace(chosen, bits=bits, functions=functions, width=width), dim, cosine)
            needed = max(1, math.ceil(math.log(1 - self.target_recall) / math.log(max(1 - p, 1e-12))))
        tables = self.tables or min(needed, _RULE_TABLES if not self.bits else MAX_TABLES)
        return replace(
            chosen,
            bits=bits,
            functions=functions,
            width=width,
            tables=tables,
            probes=self.probes or min(2 * tables, tables << bits),
            min_hits=self.min_hits or 1,
            rerank=self.rerank or default_rerank(self.target_k),
        )


def default_bits(num_rows: int) -> int:
    """Returns the binary logarithm of the number of buckets that hold `ROWS_PER_BUCKET` rows each."""
    return min(max(round(math.log2(max(num_rows, 1) / ROWS_PER_BUCKET)), 1), 20)


def default_rerank(k: int) -> int:
    """Returns how many rows are scored exactly for the best `k`: ranks by quantised vectors are a few places off."""
    return k + k // 4 + 8


def functions_of(parameters: LshParameters, dim: int, bits: int) -> int:
    """Returns K for a family and a number of bits."""
    if parameters.family == HYPERPLANE:
        return bits
    if parameters.family == CROSS_POLYTOPE:
        return len(coordinates_of(dim, bits))
    # Slots of the width of a unit vector's spread hold about two bits each.
    return parameters.functions or max(1, round(bits / 2))


def table_collision(parameters: LshParameters, dim: int, cosine: float) -> float:
    """Returns the probability that two unit vectors of a cosine share the bucket of one table (AND), in closed form."""
    if parameters.family == HYPERPLANE:
        return hyperplane_collision(cosine) ** parameters.bits
    if parameters.family == P_STABLE:
        return p_stable_collision(math.sqrt(2 - 2 * cosine), parameters.width) ** parameters.functions
    return math.prod(cross_polytope_collision(cosine, width) for width in coordinates_of(dim, parameters.bits))
