"""The fitted projection against what is known of singular vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recall.model.bags import Bags
from recall.model.hashing import hash_values
from recall.model.projection import ContentProjection

SIZES = {"buckets": 1 << 12, "rank": 8, "seed": 0}


def _bags(texts: Sequence[str]) -> Bags:
    """Returns bags of equal weights and length 1, one a text."""
    words = [text.split() for text in texts]
    offsets = np.cumsum([0, *(len(bag) for bag in words)]).astype(np.int64)
    tokens = hash_values("token", [word for bag in words for word in bag])
    weights = np.concatenate([np.full(len(bag), len(bag) ** -0.5, dtype=np.float32) for bag in words if bag] or [[]])
    return Bags(tokens=tokens, weights=weights.astype(np.float32), offsets=offsets)


def _cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines: NDArray[np.float32] = unit @ unit.T
    return cosines


def test_full_rank_keeps_the_cosines_of_the_bags() -> None:
    projection = ContentProjection.fit(_bags(["a b", "b c", "c d", "x y"]), **SIZES)
    cosines = _cosines(projection.project(_bags(["a b", "b c", "c d", "x y"])))
    wanted = [[1, 0.5, 0, 0], [0.5, 1, 0.5, 0], [0, 0.5, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(cosines, wanted, atol=1e-2)  # its values are whole steps of 1 / 127


def test_low_rank_brings_tokens_of_the_same_items_together() -> None:
    catalogue = ["jazz vinyl", "vinyl trumpet", "trumpet jazz"] * 4 + [
        "trail shoe",
        "shoe running",
        "running trail",
    ] * 4
    projection = ContentProjection.fit(_bags(catalogue), buckets=1 << 12, rank=2, seed=0)
    cosines = _cosines(projection.project(_bags(["jazz", "trumpet", "trail", "running"])))
    np.testing.assert_allclose(np.abs(cosines[0, 1]), 1, atol=1e-2)
    np.testing.assert_allclose(np.abs(cosines[2, 3]), 1, atol=1e-2)
    np.testing.assert_allclose(cosines[:2, 2:], 0, atol=1e-2)


def test_projected_bag_has_the_length_of_a_tower_input_or_is_zero() -> None:
    projection = ContentProjection.fit(_bags(["a b", "b c"]), **SIZES)
    lengths = np.linalg.norm(projection.project(_bags(["a", "", "never seen", "a b c"])), axis=1)
    np.testing.assert_allclose(lengths, [np.sqrt(8), 0, 0, np.sqrt(8)], atol=1e-4)


def test_bag_does_not_depend_on_its_batch() -> None:
    projection = ContentProjection.fit(_bags(["a b c", "b c d", "d e"]), **SIZES)
    together = projection.project(_bags(["a b c", "d e", "b"]))
    for row, text in enumerate(["a b c", "d e", "b"]):
        np.testing.assert_array_equal(projection.project(_bags([text]))[0], together[row])


def test_size_is_that_asked_for_whatever_the_catalogue() -> None:
    for texts in ([], [""], ["a"], [f"word{n} word{n + 1}" for n in range(300)]):
        projection = ContentProjection.fit(_bags(texts), **SIZES)
        assert projection.matrix.shape == (1 << 12, 8)
        assert np.isfinite(projection.project(_bags(["a b"]))).all()


def test_projection_survives_storage_to_the_bit_in_a_quarter_of_its_size() -> None:
    projection = ContentProjection.fit(_bags(["a b", "b c"]), **SIZES)
    stored = projection.stored()
    assert sum(array.nbytes for array in stored.values()) <= projection.matrix.nbytes / 4 + 4 * len(projection.matrix)
    restored = ContentProjection.restored(stored, seed=projection.seed)
    assert restored is not None
    np.testing.assert_array_equal(restored.matrix, projection.matrix)


def test_projection_in_half_precision_is_read_and_written_as_it_was() -> None:
    half = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float16)
    old = ContentProjection.restored({"projection": half}, seed=1)
    assert old is not None
    np.testing.assert_array_equal(old.matrix, half.astype(np.float32))
    np.testing.assert_array_equal(old.stored()["projection"], half)
    assert ContentProjection.restored({}, seed=1) is None


def test_rounding_moves_a_projected_bag_little() -> None:
    bags = _bags([f"word{n % 7} word{n % 5} word{n % 11}" for n in range(100)])
    projection = ContentProjection.fit(bags, **SIZES)
    largest = np.abs(projection.matrix).max(axis=1, keepdims=True)
    steps = projection.stored()["projection"]
    assert np.abs(steps).max() == 127
    np.testing.assert_allclose(projection.matrix, steps * (largest / 127), atol=1e-7)


@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_gives_the_same_projection(seed: int) -> None:
    bags = _bags([f"word{n % 7} word{n % 5} word{n}" for n in range(100)])
    first, second = (ContentProjection.fit(bags, buckets=1 << 10, rank=16, seed=seed).matrix for _ in range(2))
    np.testing.assert_array_equal(first, second)
