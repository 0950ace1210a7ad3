"""Data shared by the index tests: seeded, small, of known structure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from index.bags import Bags
from index.protocols import FloatArray

MakeVectors = Callable[..., FloatArray]
MakeBags = Callable[..., Bags]


@pytest.fixture(scope="session")
def unit_vectors() -> MakeVectors:
    """Returns a function of (num_rows, dim, seed) that draws unit vectors around a few centres."""

    def draw(num_rows: int, dim: int = 16, *, seed: int = 0, num_centres: int = 20) -> FloatArray:
        generator = np.random.default_rng(seed)
        centres = generator.standard_normal((num_centres, dim))
        vectors = centres[generator.integers(0, num_centres, num_rows)] + 0.5 * generator.standard_normal(
            (num_rows, dim)
        )
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return draw


@pytest.fixture(scope="session")
def zipf_bags() -> MakeBags:
    """Returns a function of (num_rows, seed) that draws unit bags of up to 12 tokens, a few of them in most rows."""

    def draw(num_rows: int, *, seed: int = 0, num_tokens: int = 400, length: int = 12) -> Bags:
        generator = np.random.default_rng(seed)
        places = np.minimum(generator.zipf(1.3, num_rows * length), num_tokens).astype(np.uint64)
        lengths = generator.integers(0, length + 1, num_rows)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        tokens = places[: offsets[-1]] * np.uint64(0x9E3779B97F4A7C15)
        bags = Bags.of(tokens, generator.random(tokens.size).astype(np.float32) + 0.1, offsets)
        squares = np.add.reduceat(np.append(bags.weights**2, 0), bags.offsets[:-1]) if num_rows else np.empty(0)
        scale = np.repeat(1 / np.sqrt(np.maximum(squares, 1e-6)), np.diff(bags.offsets))
        return Bags.of(bags.tokens, bags.weights * scale, bags.offsets)

    return draw


@pytest.fixture(scope="session")
def bags_of() -> MakeBags:
    """Returns a function of rows {token: weight} that makes bags."""

    def make(*rows: dict[int, float]) -> Bags:
        tokens = np.array([token for row in rows for token in row], dtype=np.uint64)
        weights = np.array([weight for row in rows for weight in row.values()], dtype=np.float32)
        return Bags.of(tokens, weights, np.cumsum([0, *(len(row) for row in rows)]))

    return make
