"""Vectors of several shapes, with queries that are no rows, for checks of tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.protocols import FloatArray

NUM_QUERIES = 500


def vector_sets(num_rows: int, dim: int, vectors: Path | None) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yields name, rows and queries that are no rows, all of length 1.

    Args:
        num_rows: Rows of each made set.
        dim: Their dimension.
        vectors: A .npy file, or a snapshot, whose vectors are one more set; a part of them are the queries.
    """
    for name, draw in MADE.items():
        drawn = _unit(draw(np.random.default_rng(1), num_rows + NUM_QUERIES, dim))
        yield name, drawn[:num_rows], drawn[num_rows:]
    if vectors is not None:
        file = vectors if vectors.is_file() else vectors / "spaces" / "two_tower" / "vectors.npy"
        given = np.random.default_rng(1).permutation(_unit(load_array(file, np.float32, num_axes=2)))
        yield "item vectors", given[NUM_QUERIES:], given[:NUM_QUERIES]


def _sphere(rng: np.random.Generator, num_rows: int, dim: int) -> FloatArray:
    """Evenly spread: the hardest there is, since no neighbor is near."""
    return rng.standard_normal((num_rows, dim), dtype=np.float32)


def _clustered(rng: np.random.Generator, num_rows: int, dim: int) -> FloatArray:
    """Around 500 centres."""
    centres = rng.standard_normal((500, dim), dtype=np.float32)
    return centres[rng.integers(500, size=num_rows)] + 0.5 * _sphere(rng, num_rows, dim)


def _duplicated(rng: np.random.Generator, num_rows: int, dim: int) -> FloatArray:
    """Half of the rows stand there some ten times, to the bit."""
    distinct = _sphere(rng, num_rows, dim)
    copied = rng.random(num_rows) < 0.5
    distinct[copied] = distinct[rng.integers(max(num_rows // 20, 1), size=int(copied.sum()))]
    return distinct


def _low_dimensional(rng: np.random.Generator, num_rows: int, dim: int) -> FloatArray:
    """A curved sheet of eight dimensions in the whole space, with a little noise."""
    inner = min(8, dim)
    bent: FloatArray = np.tanh(_sphere(rng, num_rows, inner) @ rng.standard_normal((inner, dim), dtype=np.float32))
    bent += np.float32(0.01) * _sphere(rng, num_rows, dim)
    return bent


def _uneven(rng: np.random.Generator, num_rows: int, dim: int) -> FloatArray:
    """Coordinates of falling weight, as a projection fitted on content gives them, with an offset that all share."""
    drawn = _sphere(rng, num_rows, dim) + np.float32(0.5)
    drawn *= np.exp(-np.arange(dim, dtype=np.float32) / (dim / 4))
    return drawn


MADE: dict[str, Callable[[np.random.Generator, int, int], FloatArray]] = {
    "clustered": _clustered,
    "evenly spread": _sphere,
    "duplicates": _duplicated,
    "low-dimensional": _low_dimensional,
    "uneven": _uneven,
}


def _unit(rows: FloatArray) -> FloatArray:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
