"""Hyperplane LSH for angles: constant-time inserts, no training, exact re-ranking.

Charikar, Similarity estimation techniques from rounding algorithms, 2002, section 3: a random hyperplane splits two
vectors with probability angle / pi, so one bit agrees with p = 1 - angle / pi. A table joins K bits (AND: p^K), and L
tables are searched together (OR: 1 - (1 - p^K)^L).

Multi-probe: Lv et al., Multi-Probe LSH, 2007, section 4.4: buckets are tried in order of the sum of squared distances
to the hyperplanes that are crossed (theirs are slots of a p-stable hash; ours the two sides of a plane, so each bit
flips one way only). Sets of flips come from their shift and expand steps.

A bucket is a linked list over rows: `heads[table, code]` is the newest row, `following[table, row]` the one before it,
-1 ends. Rows at or past a reader's bound are stepped over. The kernels that touch these lists hold the interpreter's
lock, so a reader never meets a half-linked row; growth replaces the arrays, and old readers keep theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from index import bitmap, checks
from index.errors import InvalidIndexConfigError
from index.flat import AppendableFlat, checked_bound, exact_search
from index.lsh_kernels import IntArray, collect, hash_vectors, link, probed_buckets
from index.protocols import FloatArray, Neighbors, Parameters, RowArray, RowBitmap
from index.rescore import score_one
from index.topk import best, gather_neighbors

_WIDENING = 8
_MAX_BITS = 24
_MAX_TABLES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LshParameters:
    """How many tables of how many bits, and how many buckets of each are tried.

    Attributes:
        bits: K, hyperplanes of a table; 0 takes the rule of `for_target`, as for tables and probes.
        tables: L.
        probes: Buckets tried in each table, the query's own included.
        seed: Seed of the hyperplanes.
    """

    bits: int = 0
    tables: int = 0
    probes: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        for name, value, most in (
            ("bits", self.bits, _MAX_BITS),
            ("tables", self.tables, _MAX_TABLES),
            ("probes", self.probes, 1 << (self.bits or _MAX_BITS)),
        ):
            if not 0 <= value <= most:
                raise InvalidIndexConfigError(f"{name} is {value}; want 1 to {most}, or 0 for the rule")
        if self.seed < 0:
            raise InvalidIndexConfigError(f"seed is {self.seed}; want 0 or more")

    @classmethod
    def for_target(
        cls, num_rows: int, *, target_recall: float = 0.9, cosine: float = 0.7, seed: int = 0
    ) -> LshParameters:
        """Chooses parameters so that a neighbor at a given cosine is found with a given probability.

        K puts about eight rows into a bucket of evenly spread data. A table is counted as a hit where query and
        neighbor differ in at most one bit, and K + 1 buckets are tried: as many as there are within one flip, though
        the likeliest ones first. L then follows from the OR of the tables.

        Args:
            num_rows: Rows expected.
            target_recall: Between 0 and 1, both excluded.
            cosine: Of the neighbors that should be found, between -1 and 1, both excluded.
            seed: Seed of the hyperplanes.

        Raises:
            InvalidIndexConfigError: An argument is out of range.
        """
        if not (0 < target_recall < 1 and -1 < cosine < 1):
            raise InvalidIndexConfigError(
                f"target_recall is {target_recall} and cosine {cosine}; want both inside (0, 1) and (-1, 1)"
            )
        bits = min(max(round(math.log2(max(num_rows, 1) / 8)), 4), 18)
        p = collision_probability(cosine)
        within_one_flip = p**bits + bits * p ** (bits - 1) * (1 - p)
        tables = math.ceil(math.log(1 - target_recall) / math.log(1 - within_one_flip))
        return cls(bits=bits, tables=min(max(tables, 1), _MAX_TABLES), probes=bits + 1, seed=seed)

    def resolved(self, num_rows: int) -> LshParameters:
        """Returns them with the rule for `num_rows` where a value is 0."""
        rule = LshParameters.for_target(num_rows, seed=self.seed)
        bits = self.bits or rule.bits
        probes = self.probes or (rule.probes if not self.bits else min(bits + 1, 1 << bits))
        return replace(self, bits=bits, tables=self.tables or rule.tables, probes=probes)

    def as_dict(self) -> dict[str, int]:
        """Returns the values by name."""
        return {"bits": self.bits, "tables": self.tables, "probes": self.probes, "seed": self.seed}


def collision_probability(cosine: float) -> float:
    """Returns the probability that one hyperplane leaves two vectors of that cosine on one side."""
    return 1 - math.acos(cosine) / math.pi


def candidate_probability(cosine: float, *, bits: int, tables: int) -> float:
    """Returns the probability that two vectors share a bucket in at least one table."""
    return float(1 - (1 - collision_probability(cosine) ** bits) ** tables)


@dataclass(frozen=True, slots=True)
class _Published:
    """What readers see: arrays whose first `num_rows` rows stay as they are."""

    heads: IntArray
    following: IntArray
    num_rows: int


class HyperplaneLsh:
    """Approximate search over rows that grow at the end; implements `AppendableIndex`."""

    kind = "lsh"

    def __init__(self, dim: int, parameters: LshParameters, *, capacity: int = 1024) -> None:
        """Starts empty, with room for `capacity` rows of `dim` values."""
        parameters = parameters.resolved(capacity)
        shape = (parameters.tables, parameters.bits, dim)
        self._planes = np.random.default_rng(parameters.seed).standard_normal(shape, dtype=np.float32)
        self._parameters = parameters
        self._flat = AppendableFlat(dim, capacity=capacity)
        self._published = _Published(
            heads=np.full((parameters.tables, 1 << parameters.bits), -1, dtype=np.int32),
            following=np.empty((parameters.tables, capacity), dtype=np.int32),
            num_rows=0,
        )

    @classmethod
    def build(cls, vectors: FloatArray, parameters: LshParameters | None = None) -> HyperplaneLsh:
        """Puts vectors, [n, dim] float32, into tables.

        Raises:
            InvalidVectorError: A vector is not finite or is zero.
        """
        index = cls(vectors.shape[1], parameters or LshParameters(), capacity=vectors.shape[0])
        index.append(vectors)
        return index

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, parameters: LshParameters | None = None) -> HyperplaneLsh:
        """Hashes the vectors again, which is as quick as reading tables would be."""
        return cls.build(vectors, parameters)

    def save(self, folder: Path) -> None:
        """Writes nothing: see `load`."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._flat.dim

    @property
    def num_rows(self) -> int:
        """Rows appended so far."""
        return self._published.num_rows

    def parameters(self) -> Parameters:
        """Returns bits, tables, probes and seed."""
        return {**self._parameters.as_dict()}

    def codes(self, vectors: FloatArray) -> IntArray:
        """Returns the bucket of each vector in each table, [n, tables] int32."""
        return hash_vectors(checks.as_matrix(vectors, dim=self.dim, what="vectors"), self._planes)[0]

    def append(self, vectors: FloatArray) -> None:
        """Adds rows at the end; see `AppendableIndex.append`."""
        vectors = checks.as_matrix(vectors, dim=self.dim, what="vectors")
        self._flat.append(vectors)
        old = self._published
        num_rows = old.num_rows + vectors.shape[0]
        heads, following = old.heads, old.following
        if num_rows > following.shape[1]:
            heads = heads.copy()
            following = np.empty((heads.shape[0], max(num_rows, 2 * following.shape[1])), dtype=np.int32)
            following[:, : old.num_rows] = old.following[:, : old.num_rows]
        link(self.codes(vectors), old.num_rows, heads, following)
        self._published = _Published(heads, following, num_rows)

    def search(
        self, queries: FloatArray, k: int, *, allowed: RowBitmap | None = None, num_rows: int | None = None
    ) -> Neighbors:
        """Returns up to `k` of the first `num_rows` rows, as many as exact search; see `AppendableIndex.search`."""
        published = self._published
        num_rows = checked_bound(num_rows, published.num_rows)
        queries = checks.check_queries(queries, k, dim=self.dim)
        checks.check_allowed(allowed, num_rows)
        num_allowed = num_rows if allowed is None else bitmap.count(allowed, num_rows)
        reader = _Reader(published, num_rows, allowed)
        codes, margins = hash_vectors(queries, self._planes)
        found = []
        for i in range(queries.shape[0]):
            one = slice(i, i + 1)
            rows = reader.find(codes[one], margins[one], self._parameters.probes, wanted=min(k, num_allowed))
            found.append(self._ranked(queries[one], rows, k, reader))
        return gather_neighbors(found, min(k, num_rows))

    def _ranked(self, query: FloatArray, rows: RowArray | None, k: int, reader: _Reader) -> tuple[RowArray, FloatArray]:
        vectors = self._flat.vectors[: reader.num_rows]
        if rows is not None:
            return best(rows, score_one(query[0], vectors, rows), k)
        exact = exact_search(vectors, query, k, allowed=reader.allowed, largest_norm=self._flat.largest_norm)
        return exact.rows[0, : exact.counts[0]], exact.scores[0, : exact.counts[0]]


class _Reader:
    """Collects candidates for the queries of one search, with scratch space that they share."""

    def __init__(self, published: _Published, num_rows: int, allowed: RowBitmap | None) -> None:
        self.num_rows = num_rows
        self.allowed = allowed
        self._mask = None if allowed is None else bitmap.to_mask(allowed, 0, num_rows)
        self._published = published
        self._seen = np.zeros(num_rows, dtype=np.uint8)
        self._rows = np.empty(num_rows, dtype=np.int64)

    def find(self, codes: IntArray, margins: FloatArray, probes: int, *, wanted: int) -> RowArray | None:
        """Returns at least `wanted` allowed rows, trying more buckets where needed; None if even those are too few."""
        heads, following = self._published.heads, self._published.following
        for factor in (1, _WIDENING, _WIDENING**2):
            buckets = probed_buckets(codes, margins, min(probes * factor, heads.shape[1]))
            count = collect(buckets[0], heads, following, self._seen, self._rows)
            rows = self._rows[:count].copy()
            if self._mask is not None:
                rows = rows[self._mask[rows]]
            if rows.size >= wanted:
                return rows
        return None
