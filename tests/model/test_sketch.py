"""The count sketch: absent keys count 0, present ones about what they should, within the bytes allowed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recall.model.sketch import CountSketch

MEGABYTES = 64 << 20


def _keys(count: int, *, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**63, size=count, dtype=np.uint64)


def _sketch(count: int, *, seed: int = 0, max_bytes: int = MEGABYTES) -> CountSketch:
    return CountSketch.build(_keys(count, seed=seed), np.ones(count, dtype=np.int64), seed=seed, max_bytes=max_bytes)


@pytest.mark.parametrize("num_keys", [100, 3000, 100_000])
def test_unseen_keys_count_zero_but_for_one_in_a_million(num_keys: int) -> None:
    sketch = _sketch(num_keys)
    # Unseen keys have their highest bit set, seen ones do not. The bound allows 1 of a million; 4 would be luck of 2%.
    unseen = _keys(1_000_000, seed=1) | np.uint64(1 << 63)
    assert (sketch.counts(unseen) > 0).sum() <= 3


@pytest.mark.parametrize("num_keys", [0, 1, 10, 20, 50, 117, 1000, 20_000])
def test_share_of_used_cells_keeps_the_bound_for_any_number_of_keys(num_keys: int) -> None:
    # A key's cells are independent, one a row: the chance that all are used is the product of the shares of used cells.
    chances = [np.prod((_sketch(num_keys, seed=seed).levels > 0).mean(axis=1)) for seed in range(20)]
    assert max(chances) <= 1e-6


def test_consecutive_unseen_keys_are_no_exception() -> None:
    keys = np.arange(50_000, dtype=np.uint64)
    sketch = CountSketch.build(keys, np.ones(len(keys), dtype=np.int64), seed=3, max_bytes=MEGABYTES)
    assert (sketch.counts(keys + np.uint64(50_000)) > 0).sum() <= 1
    assert (sketch.counts(keys) == 1).mean() > 0.999


def test_estimates_are_never_below_and_seldom_above_the_count() -> None:
    counts = np.random.default_rng(0).zipf(1.5, size=20_000).clip(1, 10**8).astype(np.int64)
    sketch = CountSketch.build(_keys(20_000), counts, seed=0, max_bytes=MEGABYTES)
    estimates = sketch.counts(_keys(20_000)).astype(np.float64)
    one_level = 2 ** (1 / 8)
    assert (estimates >= counts * (1 - 1e-6)).all()
    assert (estimates <= counts * one_level * (1 + 1e-6)).mean() > 0.999


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000, 10**6, 2**31])
def test_a_single_count_is_kept_to_one_level(count: int) -> None:
    sketch = CountSketch.build(_keys(1), np.array([count]), seed=0, max_bytes=MEGABYTES)
    assert count * (1 - 1e-6) <= sketch.counts(_keys(1))[0] <= count * 2 ** (1 / 8)


def test_counts_beyond_the_scale_saturate_without_wrapping() -> None:
    sketch = CountSketch.build(_keys(1), np.array([2**62]), seed=0, max_bytes=MEGABYTES)
    assert sketch.counts(_keys(1))[0] >= 2**31


@pytest.mark.parametrize("max_bytes", [1 << 12, 5000, 1 << 14])
def test_bounded_sketch_keeps_the_frequent_keys_and_forgets_the_rest(max_bytes: int) -> None:
    keys, counts = _keys(10_000), np.arange(1, 10_001)
    sketch = CountSketch.build(keys, counts, seed=0, max_bytes=max_bytes)
    assert sketch.levels.nbytes <= max_bytes
    kept = sketch.counts(keys) > 0
    num_kept = int(kept.sum())
    assert 90 <= num_kept < 1000
    assert kept[-num_kept + 2 :].all()
    assert not kept[: -num_kept - 2].any()


def test_equal_keys_and_counts_in_another_order_give_equal_bytes() -> None:
    keys, counts = _keys(5000), np.random.default_rng(1).integers(1, 5, size=5000)
    order = np.random.default_rng(2).permutation(5000)
    first = CountSketch.build(keys, counts, seed=0, max_bytes=1 << 14)
    second = CountSketch.build(keys[order], counts[order], seed=0, max_bytes=1 << 14)
    np.testing.assert_array_equal(first.levels, second.levels)


def test_empty_sketch_counts_everything_zero() -> None:
    sketch = _sketch(0)
    assert not sketch.counts(_keys(1000)).any()
    assert sketch.counts(_keys(0)).shape == (0,)
