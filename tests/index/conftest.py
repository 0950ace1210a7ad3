"""Data shared by the index tests: seeded, small, of known structure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from index.protocols import FloatArray

MakeVectors = Callable[..., FloatArray]


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
