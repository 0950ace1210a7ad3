from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import hadamard as hadamard_matrix
from scipy.stats import norm

from index.lsh_cross_polytope import hadamard
from index.lsh_families import (
    CrossPolytope,
    Hyperplanes,
    PStable,
    Shape,
    coordinates_of,
    cross_polytope_collision,
    draw,
    hyperplane_collision,
    p_stable_collision,
)
from index.lsh_instructions import LANES


def _shape(dim: int, bits: int, tables: int, *, functions: int = 1, width: float = 0.0, seed: int = 0) -> Shape:
    return Shape(dim=dim, bits=bits, functions=functions, width=width, tables=tables, seed=seed)


def _pairs(cosine: float, num_pairs: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns pairs of unit vectors of a cosine, in random directions."""
    generator = np.random.default_rng(7)
    first = generator.standard_normal((num_pairs, dim))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    other = generator.standard_normal((num_pairs, dim))
    other -= (other * first).sum(axis=1, keepdims=True) * first
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    second = cosine * first + math.sqrt(1 - cosine**2) * other
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize("degrees", [10, 45, 90, 150])
def test_a_hyperplane_collides_with_probability_one_minus_angle_over_pi(degrees):
    # 200 tables x 40 pairs of one bit are 8,000 draws: three standard deviations are at most 3 * sqrt(.25 / 8000).
    cosine = math.cos(math.radians(degrees))
    family = Hyperplanes(_shape(24, 1, 200))
    first, second = _pairs(cosine, 40, 24)
    assert hyperplane_collision(cosine) == pytest.approx(1 - degrees / 180)
    assert np.mean(family.buckets(first) == family.buckets(second)) == pytest.approx(1 - degrees / 180, abs=0.017)


@pytest.mark.parametrize(("distance", "width"), [(0.5, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 4.0)])
def test_a_slot_is_shared_with_the_probability_of_datar_et_al(distance, width):
    # Their section 3.2: the integral over t in (0, w) of the density of |c X| at t, times 1 - t / w.
    integral = quad(lambda t: 2 * norm.pdf(t / distance) / distance * (1 - t / width), 0, width)[0]
    assert p_stable_collision(distance, width) == pytest.approx(integral, abs=1e-9)
    family = PStable(_shape(16, 8, 250, functions=2, width=width))
    generator = np.random.default_rng(0)
    first = generator.standard_normal((20, 16)).astype(np.float32)
    step = generator.standard_normal((20, 16))
    second = (first + distance * step / np.linalg.norm(step, axis=1, keepdims=True)).astype(np.float32)
    # 10,000 draws: three standard deviations are at most .015.
    assert np.mean(family.slots(first) == family.slots(second)) == pytest.approx(integral, abs=0.016)
    same_slots = (family.slots(first) == family.slots(second)).all(axis=2)
    same_bucket = family.buckets(first) == family.buckets(second)
    assert same_bucket[same_slots].all()
    assert np.mean(same_bucket[~same_slots]) < 4 / 256  # 1 / 256 were the hash of slot numbers a random one


@pytest.mark.parametrize("degrees", [20, 60, 90, 140])
def test_cross_polytopes_of_one_and_two_coordinates_are_hyperplanes(degrees):
    cosine = math.cos(math.radians(degrees))
    p = 1 - degrees / 180
    assert cross_polytope_collision(cosine, 1) == pytest.approx(p, abs=1e-4)
    assert cross_polytope_collision(cosine, 2) == pytest.approx(p * p, abs=1e-4)


def test_cross_polytope_of_unrelated_vectors_collides_by_chance():
    for coordinates in (1, 4, 64):
        assert cross_polytope_collision(0.0, coordinates) == pytest.approx(1 / (2 * coordinates), rel=1e-3)


@pytest.mark.parametrize("cosine", [0.3, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("bits", [4, 7])
def test_a_cross_polytope_collides_with_the_probability_of_a_gaussian_rotation(cosine, bits):
    # bits 4 are 8 of 64 coordinates, bits 7 all of them; 12,000 draws, three standard deviations are at most .014.
    family = CrossPolytope(_shape(64, bits, 200))
    assert family.coordinates == [1 << (bits - 1)]
    first, second = _pairs(cosine, 60, 64)
    expected = cross_polytope_collision(cosine, 1 << (bits - 1))
    assert np.mean(family.buckets(first) == family.buckets(second)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("family", ["hyperplane", "cross_polytope"])
def test_tables_are_the_or_of_ands(family):
    # One draw is "the pair shares a bucket in some of 3 tables"; 80 x 30 draws, three standard deviations are .031.
    cosine, tables = 0.7, 3
    bits = 4 if family == "hyperplane" else 9
    first, second = _pairs(cosine, 30, 32)
    drawn = draw(family, _shape(32, bits, tables * 80))
    shared = (drawn.buckets(first) == drawn.buckets(second)).reshape(30, 80, tables).any(axis=2)
    # 32 coordinates with sign are 6 bits, so 9 bits are one function over all of them and one over 4.
    whole, part = cross_polytope_collision(cosine, 32), cross_polytope_collision(cosine, 4)
    p = hyperplane_collision(cosine) ** bits if family == "hyperplane" else whole * part
    assert np.mean(shared) == pytest.approx(1 - (1 - p) ** tables, abs=0.035)


@pytest.mark.parametrize(
    ("dim", "bits", "coordinates"),
    [(64, 14, [64, 64]), (64, 12, [64, 16]), (64, 8, [64, 1]), (5, 3, [4]), (256, 1, [1])],
)
def test_functions_of_a_cross_polytope_table_fill_its_bits(dim, bits, coordinates):
    assert coordinates_of(dim, bits) == coordinates
    assert math.prod(2 * width for width in coordinates) == 1 << bits


@pytest.mark.parametrize("dim", [16, 32, 64, 128])
def test_hadamard_transforms_every_lane(dim):
    lanes = np.random.default_rng(0).standard_normal((dim, LANES)).astype(np.float32)
    expected = hadamard_matrix(dim) @ lanes.astype(np.float64)
    flat = lanes.reshape(-1).copy()
    hadamard(flat)
    np.testing.assert_allclose(flat.reshape(dim, LANES), expected, atol=1e-4)


def test_a_hash_is_the_largest_coordinate_of_the_rotated_vector(unit_vectors):
    # Three rounds of signs and transform, in float64 and one function at a time.
    vectors = unit_vectors(50, 20)
    family = CrossPolytope(_shape(20, 8, 20))  # 20 is padded to 32: 6 bits, and 2 coordinates for 2 bits more
    padded = np.zeros((50, 32))
    padded[:, :20] = vectors
    codes = []
    for function in range(40):
        rotated = padded
        for turn in family._signs[function // LANES].reshape(4, 32, LANES)[:3, :, function % LANES]:
            rotated = rotated * turn @ hadamard_matrix(32)
        rotated = rotated[:, : family.coordinates[function % 2]]
        place = np.abs(rotated).argmax(axis=1)
        codes.append(2 * place + (np.take_along_axis(rotated, place[:, None], axis=1)[:, 0] < 0))
    expected = np.stack([4 * codes[2 * table] + codes[2 * table + 1] for table in range(20)], axis=1)
    np.testing.assert_array_equal(family.buckets(vectors), expected)


@pytest.mark.parametrize("family", ["hyperplane", "p_stable", "cross_polytope"])
def test_a_bucket_does_not_depend_on_what_else_is_hashed(unit_vectors, family):
    vectors = unit_vectors(40, 24)
    drawn = draw(family, _shape(24, 9, 7, functions=3, width=0.5))
    buckets = drawn.buckets(vectors)
    assert buckets.max() < 1 << 9
    for row in range(0, 40, 7):
        np.testing.assert_array_equal(drawn.buckets(vectors[row : row + 1])[0], buckets[row])
