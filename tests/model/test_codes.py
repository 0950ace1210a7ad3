"""The hash family against a reference in plain integers, and every trap of hashing ids to codes."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recall.model.bags import Bags
from recall.model.codes import HashFamily, mix64

GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
IDS = [0, 1, 2, 999_999, 1_000_003, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def _reference(family: HashFamily, ids: list[int]) -> list[list[int]]:
    """The documented format, in integers of any size."""
    rows = []
    for value in ids:
        row = []
        for pair in range(family.k // 2):
            mixed = mix64((value + mix64((family.seed + (pair + 1) * GAMMA) & MASK)) & MASK)
            row += [((mixed % 2**32) * family.m) >> 32, ((mixed >> 32) * family.m) >> 32]
        rows.append(row)
    return rows


def _cosines(codes: NDArray[np.float32]) -> NDArray[np.float64]:
    unit = codes.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(codes), 1)]


def _ids(count: int, *, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, size=count, dtype=np.uint64)


def test_mix_is_the_published_splitmix64() -> None:
    # First three outputs of splitmix64 seeded with 0 (Vigna's splitmix64.c).
    assert [mix64(GAMMA * n) for n in (1, 2, 3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
@pytest.mark.parametrize("m", [2, 97, 1_000_000, 2**31])
def test_compiled_hashes_equal_the_reference_to_the_bit(m: int, seed: int) -> None:
    family = HashFamily(k=16, m=m, seed=seed)
    hashes = family.hashes(np.array(IDS, dtype=np.uint64))
    assert hashes.tolist() == _reference(family, IDS)
    assert hashes.min() >= 0
    assert hashes.max() < m


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, MASK), max_size=5), st.integers(0, 2**63 - 1))
def test_any_id_hashes_as_in_the_reference(ids: list[int], seed: int) -> None:
    family = HashFamily(k=4, m=1_000_000, seed=seed)
    assert family.hashes(np.array(ids, dtype=np.uint64)).tolist() == _reference(family, ids)


def test_uniform_codes_scale_the_hashes_to_minus_one_to_one() -> None:
    family = HashFamily(k=1024)
    ids = _ids(500)
    hashes, codes = family.hashes(ids), family.codes(ids)
    scale = np.float32(2.0 / (family.m - 1.0))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, hashes.astype(np.float32) * scale - np.float32(1))
    assert np.abs(codes).max() <= 1.0
    assert np.abs(codes).max() > 0.9999


@pytest.mark.parametrize("m", [2, 3, 999_983, 1_000_000, 2**24 + 1, 2**31])
def test_scaling_stays_within_one_rounding_of_the_range_for_any_m(m: int) -> None:
    codes = HashFamily(k=256, m=m).codes(_ids(300))
    assert np.abs(codes).max() <= 1 + 2.0**-22
    assert codes.mean() == pytest.approx(0, abs=0.02)


def test_code_mean_is_near_zero() -> None:
    # A modulus just above m skews the mean to -.11; here its standard error is .58 / sqrt(2,000 * 1,024) = .0004.
    codes = HashFamily().codes(np.arange(2000, dtype=np.uint64))
    assert codes.mean(dtype=np.float64) == pytest.approx(0, abs=0.002)
    assert codes.std(dtype=np.float64) == pytest.approx(1 / np.sqrt(3), abs=0.002)


@pytest.mark.parametrize("start", [0, 10**6 - 1000, 2**63 - 1000])
@pytest.mark.parametrize("distribution", ["uniform", "gaussian"])
def test_codes_of_consecutive_ids_are_as_good_as_independent(distribution: str, start: int) -> None:
    ids = np.arange(2000, dtype=np.uint64) + np.uint64(start)
    cosines = _cosines(HashFamily(k=1024, distribution=distribution).codes(ids))  # type: ignore[arg-type]
    assert cosines.mean() == pytest.approx(0, abs=0.002)
    assert cosines.std() == pytest.approx(1 / np.sqrt(1024), abs=0.002)


def test_consecutive_ids_have_no_common_offset() -> None:
    # The mean code of n independent ids has length .58 sqrt(k / n); a common part would add to it.
    codes = HashFamily(k=1024).codes(np.arange(5000, dtype=np.uint64)).astype(np.float64)
    wanted = np.sqrt(1024 / 3 / 5000)
    assert np.linalg.norm(codes.mean(axis=0)) == pytest.approx(wanted, rel=0.1)
    steps = np.diff(codes, axis=0)
    assert np.linalg.norm(steps.mean(axis=0)) < 0.02 * np.linalg.norm(steps, axis=1).mean()


def test_no_small_distance_makes_two_ids_alike() -> None:
    # With one prime p for all functions, ids s and s + p agree in every dimension.
    family = HashFamily(k=64)
    distances = np.concatenate([np.arange(1, 5000), [999_983, 1_000_000, 1_000_003, 2**31 - 1, 2**32, 2**61 - 1]])
    for start in (0, 12_345, 2**62):
        hashes = family.hashes(np.uint64(start) + np.concatenate([[0], distances]).astype(np.uint64))
        equal = (hashes[1:] == hashes[0]).sum(axis=1)
        assert equal.max() <= 2, start


def test_functions_of_a_family_are_unrelated_to_each_other_and_to_another_seed() -> None:
    ids = _ids(4000)
    codes = HashFamily(k=64, seed=1).codes(ids)
    both = np.concatenate([codes, HashFamily(k=64, seed=2).codes(ids)], axis=1)
    correlations = np.corrcoef(both.T)[np.triu_indices(128, 1)]
    assert np.abs(correlations).max() < 6 / np.sqrt(len(ids))


def test_gaussian_codes_are_standard_normal_by_box_muller() -> None:
    family = HashFamily(k=64, distribution="gaussian")
    ids = _ids(3000)
    codes = family.codes(ids).astype(np.float64)
    assert codes.mean() == pytest.approx(0, abs=0.01)
    assert codes.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(codes) < 1.959964).mean() == pytest.approx(0.95, abs=0.005)
    unit = (family.hashes(ids) + 1) / family.m
    radius, angle = np.sqrt(-2 * np.log(unit[:, ::2])), 2 * np.pi * unit[:, 1::2]
    np.testing.assert_allclose(codes[:, ::2], radius * np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(codes[:, 1::2], radius * np.sin(angle), atol=1e-6)


def test_gaussian_codes_are_finite_where_a_hash_is_zero() -> None:
    family = HashFamily(k=64, m=2, distribution="gaussian")
    ids = np.array(IDS, dtype=np.uint64)
    assert (family.hashes(ids) == 0).any()
    assert np.isfinite(family.codes(ids)).all()


@pytest.mark.parametrize("distribution", ["uniform", "gaussian"])
def test_pooled_codes_are_the_weighted_sum_of_the_codes_of_a_bag(distribution: str) -> None:
    family = HashFamily(k=32, distribution=distribution)  # type: ignore[arg-type]
    ids = _ids(6)
    weights = np.array([1.0, -2.0, 0.5, 3.0, 0.0, 1.5], dtype=np.float32)
    pooled = family.pooled_codes(Bags(tokens=ids, weights=weights, offsets=np.array([0, 3, 3, 6])))
    codes = family.codes(ids) * weights[:, None]
    wanted = np.stack([codes[:3].sum(axis=0), np.zeros(32), codes[3:].sum(axis=0)])
    np.testing.assert_allclose(pooled, wanted, rtol=0, atol=1e-5)
    assert not pooled[1].any()


def test_pooled_codes_of_a_bag_do_not_depend_on_its_neighbours() -> None:
    family = HashFamily(k=32)
    ids, weights = _ids(5), np.ones(5, dtype=np.float32)
    pooled = family.pooled_codes(Bags(tokens=ids, weights=weights, offsets=np.array([0, 2, 5])))
    alone = Bags(tokens=ids[2:], weights=weights[2:], offsets=np.array([0, 3]))
    np.testing.assert_array_equal(pooled[1:], family.pooled_codes(alone))


def test_no_ids_give_no_codes() -> None:
    assert HashFamily(k=8).codes(np.zeros(0, dtype=np.uint64)).shape == (0, 8)
    assert HashFamily(k=8).hashes(np.zeros(0, dtype=np.uint64)).shape == (0, 8)


@pytest.mark.parametrize("k", [1023, 1, 0, -2])
def test_odd_or_too_small_k_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k = {k}; .* even"):
        HashFamily(k=k)


@pytest.mark.parametrize("m", [1, 0, 2**31 + 1])
def test_m_out_of_range_is_refused(m: int) -> None:
    with pytest.raises(ValueError, match=f"m = {m}; "):
        HashFamily(m=m)


@pytest.mark.slow
def test_hashes_and_codes_are_equal_in_another_process() -> None:
    family = HashFamily(k=1024, seed=5)
    ids = np.array(IDS, dtype=np.uint64)
    program = (
        "import hashlib, numpy as np\n"
        "from recall.model.codes import HashFamily\n"
        f"family, ids = HashFamily(k=1024, seed=5), np.array({IDS}, dtype=np.uint64)\n"
        "print(hashlib.sha256(family.hashes(ids).tobytes() + family.codes(ids).tobytes()).hexdigest())\n"
    )
    seen = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    wanted = hashlib.sha256(family.hashes(ids).tobytes() + family.codes(ids).tobytes()).hexdigest()
    assert seen.stdout.strip() == wanted
