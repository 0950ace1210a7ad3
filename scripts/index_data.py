"""Vectors and queries that indexes are measured with, and what exact search finds among them.

A set is kept in a folder, so that a second run and a fresh process read the same:

- `vectors.npy`: [n, dim] float32 of length 1; `queries.npy`: [m, dim] float32 of length 1, none of them a vector;
- `truth.npy`: [m, 100] int64, rows that exact search finds; `floors.npy`: [m, 100] float32, their scores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.arrays import load_array
from index.flat import FlatIndex
from index.protocols import FloatArray, RowArray
from recall.errors import DataError

K = 100
"""Rows wanted of every search."""
NUM_CENTRES = 2_000
NOISE = 0.5
_BLOCK = 65_536
_ROUNDING = 1e-6
"""Scores this near the k-th are equal: sums of the same products in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSet:
    """What every contender is measured with.

    Attributes:
        folder: Where it is kept, and what is built over it.
        vectors: [n, dim] float32, mapped read-only.
        queries: [m, dim] float32.
        truth: [m, 100] int64, what exact search finds.
        floors: [m, 100] float32, their scores, descending.
    """

    folder: Path
    vectors: FloatArray
    queries: FloatArray
    truth: RowArray
    floors: FloatArray

    @property
    def name(self) -> str:
        """Name of the set, which is that of its folder."""
        return self.folder.name

    def recall(self, found: RowArray, k: int) -> float:
        """Returns the mean share of the exact top `k` among the first `k` found; a row that ties with the last counts.

        Args:
            found: [at most m, at least k] int64, best first, -1 where nothing was found.
            k: At most 100.
        """
        rows = found[:, :k]
        scores = np.einsum("ij,ikj->ik", self.queries[: len(rows)], self.vectors[np.maximum(rows, 0)])
        hits = (rows >= 0) & (scores >= self.floors[: len(rows), k - 1, None] - _ROUNDING)
        return float(hits.mean())


def clustered(num_rows: int, dim: int, *, seed: int = 0) -> FloatArray:
    """Returns rows around 2,000 centres, [num_rows, dim] float32 of length 1.

    A centre is drawn from the standard normal distribution; a row is one of them plus half a standard normal draw.
    """
    rng = np.random.default_rng(seed)
    return _around(_centres(rng, dim), num_rows, rng)


def clustered_queries(num_queries: int, dim: int, *, seed: int = 0, stream: int = 1) -> FloatArray:
    """Returns draws of the same mixture that are no rows of `clustered`, [num_queries, dim] float32 of length 1.

    Args:
        num_queries: How many.
        dim: Their length.
        seed: Of the mixture.
        stream: Another one gives other draws.
    """
    return _around(_centres(np.random.default_rng(seed), dim), num_queries, np.random.default_rng([seed, stream]))


def clustered_set(work: Path, num_rows: int, dim: int, *, num_queries: int = 1_000) -> VectorSet:
    """Returns a clustered set, made once below `work`."""
    folder = work / f"clustered-{dim}-{num_rows}"
    return _kept_set(folder, lambda: (clustered(num_rows, dim), clustered_queries(num_queries, dim)))


def divided_set(work: Path, name: str, vectors: FloatArray, *, num_queries: int = 1_000) -> VectorSet:
    """Returns a set of given vectors, some of which, drawn by chance, are taken out and are the queries.

    Raises:
        DataError: There are too few for a search of 100.
    """
    if len(vectors) < 2 * K:
        raise DataError(f"{name} has {len(vectors)} vectors; want {2 * K} or more")
    chosen = np.zeros(len(vectors), dtype=np.bool_)
    drawn = np.random.default_rng(0).permutation(len(vectors))[: min(num_queries, len(vectors) // 4)]
    chosen[drawn] = True
    return _kept_set(work / f"{name}-{len(vectors)}", lambda: (_unit(vectors[~chosen]), _unit(vectors[chosen])))


def queried_set(work: Path, name: str, vectors: FloatArray, queries: FloatArray) -> VectorSet:
    """Returns a set of given vectors and queries."""
    return _kept_set(work / f"{name}-{len(vectors)}", lambda: (_unit(vectors), _unit(queries)))


def open_set(folder: Path) -> VectorSet:
    """Reads a set that is kept.

    Raises:
        SnapshotDamagedError: A file is missing or unreadable.
    """
    return VectorSet(
        folder=folder,
        vectors=load_array(folder / "vectors.npy", np.float32, num_axes=2, mapped=True),
        queries=load_array(folder / "queries.npy", np.float32, num_axes=2),
        truth=load_array(folder / "truth.npy", np.int64, num_axes=2),
        floors=load_array(folder / "floors.npy", np.float32, num_axes=2),
    )


def _kept_set(folder: Path, make: Callable[[], tuple[FloatArray, FloatArray]]) -> VectorSet:
    if not (folder / "floors.npy").is_file():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        vectors, queries = make()
        exact = FlatIndex(vectors).search(queries, K)
        _write(
            folder, {"vectors": vectors, "queries": queries, "truth": exact.rows, "floors": exact.scores.astype("f4")}
        )
    return open_set(folder)


def _write(folder: Path, arrays: Mapping[str, NDArray[np.float32] | NDArray[np.int64]]) -> None:
    for name, values in arrays.items():
        temporary = folder / f".{name}.tmp-{os.getpid()}.npy"
        np.save(temporary, values, allow_pickle=False)
        temporary.replace(folder / f"{name}.npy")


def _centres(rng: np.random.Generator, dim: int) -> FloatArray:
    return rng.standard_normal((NUM_CENTRES, dim), dtype=np.float32)


def _around(centres: FloatArray, num_rows: int, rng: np.random.Generator) -> FloatArray:
    rows = np.empty((num_rows, centres.shape[1]), dtype=np.float32)
    for start in range(0, num_rows, _BLOCK):
        size = min(_BLOCK, num_rows - start)
        noise = rng.standard_normal((size, centres.shape[1]), dtype=np.float32)
        rows[start : start + size] = centres[rng.integers(NUM_CENTRES, size=size)] + np.float32(NOISE) * noise
    return _unit(rows)


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)
