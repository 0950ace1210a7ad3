"""The families of hash functions: what is drawn, how rows and queries are hashed, and how likely two vectors collide.

A table joins K functions of a family to one key (AND), L tables are searched together (OR): two vectors whose single
functions collide with probability p share a bucket somewhere with 1 - (1 - p^K)^L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from index.lsh_cross_polytope import hash_queries, hash_rows
from index.lsh_instructions import LANES
from index.lsh_probing import Perturbations
from index.lsh_projections import hash_by_planes, hash_by_slots
from index.protocols import FloatArray

CROSS_POLYTOPE, HYPERPLANE, P_STABLE = "cross_polytope", "hyperplane", "p_stable"
FAMILIES = (CROSS_POLYTOPE, HYPERPLANE, P_STABLE)
_MIX = 0x9E3779B1
"""Odd, close to 2^32 over the golden ratio: spreads sums of slot numbers over the buckets (Knuth, 6.4)."""
_LEAST_ROTATED = 16
_MOST_LISTED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the functions of an index have to be.

    Attributes:
        dim: Length of a vector.
        bits: Binary logarithm of the buckets of a table.
        functions: K, for p-stable; the other families follow `bits`.
        width: Of a slot, for p-stable.
        tables: L.
        seed: Of the draws.
    """

    dim: int
    bits: int
    functions: int
    width: float
    tables: int
    seed: int


class Family(Protocol):
    """Drawn functions.

    Attributes:
        bits: Binary logarithm of the buckets of a table.
        factor: What a key is multiplied with to name a bucket, see `index.lsh_probing.probed_slots`.
        by_distance: Whether buckets depend on the length of a query, which the order of rows does not.
    """

    bits: int
    factor: int
    by_distance: bool

    def buckets(self, vectors: FloatArray) -> NDArray[np.uint32]:
        """Returns the bucket of each vector, [n, dim] float32, in each table, [n, tables] uint32."""

    def perturbations(self, queries: FloatArray, probes: int) -> Perturbations:
        """Returns keys of queries, [n, dim] float32, and at least the changes that the best `probes` buckets need."""

    def resident_bytes(self) -> int:
        """Returns the bytes of what was drawn."""


def draw(family: str, shape: Shape) -> Family:
    """Draws the functions of a family, one of `FAMILIES`."""
    if family == HYPERPLANE:
        return Hyperplanes(shape)
    return PStable(shape) if family == P_STABLE else CrossPolytope(shape)


def of_length(queries: FloatArray, length: float) -> FloatArray:
    """Returns queries, [num_queries, dim], stretched to a length: near rows have the greatest products, then."""
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    factors = np.divide(length, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    stretched: FloatArray = (queries * factors[:, None]).astype(np.float32)
    return stretched


class Hyperplanes:
    """Sides of random planes (angular).

    Charikar, Similarity estimation techniques from rounding algorithms, 2002, section 3.
    """

    factor = 1
    by_distance = False

    def __init__(self, shape: Shape) -> None:
        """Draws normal vectors of planes, one a bit and table."""
        self.bits = shape.bits
        generator = np.random.default_rng(shape.seed)
        self._planes = generator.standard_normal((shape.tables, shape.bits, shape.dim), dtype=np.float32)

    def buckets(self, vectors: FloatArray) -> NDArray[np.uint32]:
        """See `Family.buckets`."""
        return self._hashed(vectors, 0).keys

    def perturbations(self, queries: FloatArray, probes: int) -> Perturbations:
        """See `Family.perturbations`: every plane of a table."""
        return self._hashed(queries, self.bits)

    def resident_bytes(self) -> int:
        """See `Family.resident_bytes`."""
        return self._planes.nbytes

    def _hashed(self, vectors: FloatArray, most: int) -> Perturbations:
        p = Perturbations.blank(vectors.shape[0], self._planes.shape[0], most)
        hash_by_planes(vectors, self._planes, p.keys, p.sizes, p.costs, p.deltas, p.functions)
        return p


class PStable:
    """Slots of a given width along random directions (Euclidean): h(v) = floor((x.v + b) / w).

    Datar, Immorlica, Indyk and Mirrokni, Locality-sensitive hashing scheme based on p-stable distributions, 2004,
    section 3.1, with normal x. The K slot numbers of a table are hashed to its buckets.
    """

    factor = _MIX
    by_distance = True

    def __init__(self, shape: Shape) -> None:
        """Draws directions, shifts and the factors of the slot numbers."""
        self.bits = shape.bits
        generator = np.random.default_rng(shape.seed)
        normal = generator.standard_normal((shape.tables, shape.functions, shape.dim), dtype=np.float32)
        self._directions = normal / np.float32(shape.width)
        self._shifts = generator.random((shape.tables, shape.functions), dtype=np.float32)
        self._factors = generator.integers(0, 1 << 31, shape.functions, dtype=np.uint32) * np.uint32(2) + np.uint32(1)

    def buckets(self, vectors: FloatArray) -> NDArray[np.uint32]:
        """See `Family.buckets`."""
        keys = self._hashed(vectors, 0).keys
        return (keys * np.uint32(_MIX)) >> np.uint32(32 - self.bits)

    def slots(self, vectors: FloatArray) -> NDArray[np.int64]:
        """Returns the slot of each vector under each function, [n, tables, K] int64; for reading, not for speed."""
        places = np.einsum("nd,tkd->ntk", vectors, self._directions) + self._shifts
        slots: NDArray[np.int64] = np.floor(places).astype(np.int64)
        return slots

    def perturbations(self, queries: FloatArray, probes: int) -> Perturbations:
        """See `Family.perturbations`: both neighbors of every slot."""
        return self._hashed(queries, 2 * self._factors.size)

    def resident_bytes(self) -> int:
        """See `Family.resident_bytes`."""
        return self._directions.nbytes + self._shifts.nbytes

    def _hashed(self, vectors: FloatArray, most: int) -> Perturbations:
        p = Perturbations.blank(vectors.shape[0], self._directions.shape[0], most)
        hash_by_slots(
            vectors, self._directions, self._shifts, self._factors, p.keys, p.sizes, p.costs, p.deltas, p.functions
        )
        return p


class CrossPolytope:
    """The largest coordinate of a rotated vector, with its sign (angular); see `index.lsh_cross_polytope`.

    Vectors are padded with zeros to a power of two, at least 16: on shorter ones the rotations would be few.
    """

    factor = 1
    by_distance = False

    def __init__(self, shape: Shape) -> None:
        """Draws the signs of the rotations."""
        self.bits = shape.bits
        self.coordinates = coordinates_of(shape.dim, shape.bits)
        self._tables, num_functions = shape.tables, shape.tables * len(self.coordinates)
        groups, dim = -(-num_functions // LANES), rotated_dim(shape.dim)
        generator = np.random.default_rng(shape.seed)
        signs = generator.integers(0, 2, (groups, 3, dim * LANES), dtype=np.int8)
        widths = np.zeros(groups * LANES, dtype=np.int64)
        widths[:num_functions] = np.tile(self.coordinates, shape.tables)
        seen = np.arange(dim)[None, :, None] < widths.reshape(groups, 1, LANES)
        self._signs = np.concatenate(
            (2 * signs - 1, np.where(seen, 1, np.nan).reshape(groups, 1, -1)), axis=1, dtype=np.float32
        )
        sizes = [2 * width for width in self.coordinates]
        self._strides = np.array([math.prod(sizes[j + 1 :]) for j in range(len(sizes))], dtype=np.uint32)

    def buckets(self, vectors: FloatArray) -> NDArray[np.uint32]:
        """See `Family.buckets`."""
        keys = np.empty((vectors.shape[0], self._tables), dtype=np.uint32)
        hash_rows(vectors, self._signs, self._strides, keys)
        return keys

    def perturbations(self, queries: FloatArray, probes: int) -> Perturbations:
        """See `Family.perturbations`: other coordinates, at most 64 a table."""
        most = min(_MOST_LISTED, sum(self.coordinates) - len(self.coordinates))
        p = Perturbations.blank(queries.shape[0], self._tables, most)
        hash_queries(
            queries,
            self._signs,
            self._strides,
            max(probes - self._tables, 1),
            p.keys,
            p.sizes,
            p.costs,
            p.deltas,
            p.functions,
        )
        return p

    def resident_bytes(self) -> int:
        """See `Family.resident_bytes`."""
        return self._signs.nbytes


def rotated_dim(dim: int) -> int:
    """Returns the length that vectors are padded to before they are rotated."""
    return max(1 << (dim - 1).bit_length(), _LEAST_ROTATED)


def coordinates_of(dim: int, bits: int) -> list[int]:
    """Returns how many coordinates each cross-polytope function of a table looks at, so that it has 2^bits buckets."""
    whole = rotated_dim(dim).bit_length()  # a function over all coordinates gives this many bits, sign included
    functions = -(-bits // whole)
    return [rotated_dim(dim)] * (functions - 1) + [1 << (bits - whole * (functions - 1) - 1)]


def hyperplane_collision(cosine: float) -> float:
    """Returns the probability that one plane leaves two vectors of that cosine on one side: 1 - angle / pi."""
    return 1 - math.acos(min(max(cosine, -1.0), 1.0)) / math.pi


def p_stable_collision(distance: float, width: float) -> float:
    """Returns the probability that two vectors at a distance lie in one slot of a width.

    Datar et al., section 3.2, for the normal distribution: with r = width / distance,
    1 - 2 Phi(-r) - 2 / (sqrt(2 pi) r) (1 - exp(-r^2 / 2)).
    """
    if distance == 0:
        return 1.0
    r = width / distance
    return float(1 - 2 * ndtr(-r) - 2 / (math.sqrt(2 * math.pi) * r) * (1 - math.exp(-(r**2) / 2)))


def cross_polytope_collision(cosine: float, coordinates: int, *, steps: int = 400) -> float:
    """Returns the probability that two vectors of that cosine have the same largest of so many rotated coordinates.

    Under a Gaussian rotation coordinate i of the two is a pair (X_i, Y_i) of normal variables whose correlation is the
    cosine, independent of the others. So, as in the proof of theorem 1 of Andoni et al. 2015, with m coordinates

    p = 2 m * integral over x > 0, y > 0 of f(x, y) P(|X| < x, |Y| < y)^(m - 1),

    f the density of a pair. With one coordinate this is 1 - angle / pi, with two its square (turn both by 45 degrees).

    Args:
        cosine: Above -1, below 1.
        coordinates: m, at least 1.
        steps: Points of the midpoint rule on each axis, up to six standard deviations.
    """
    rest = math.sqrt(1 - cosine * cosine)
    step = 6.0 / steps
    grid = (np.arange(steps) + 0.5) * step
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    # Given X = s, Y is normal around cosine * s; both signs of s give the same share.
    inner = ndtr((grid[None, :] - cosine * grid[:, None]) / rest) - ndtr(
        (-grid[None, :] - cosine * grid[:, None]) / rest
    )
    slices = 2 * step * density[:, None] * inner
    within = np.cumsum(slices, axis=0) - slices / 2
    joint = density[:, None] * np.exp(-(((grid[None, :] - cosine * grid[:, None]) / rest) ** 2) / 2)
    joint /= rest * math.sqrt(2 * math.pi)
    return float(2 * coordinates * step * step * (joint * within ** (coordinates - 1)).sum())
