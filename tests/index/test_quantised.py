from __future__ import annotations

import numpy as np

from index.quantised import ByteCodes


def test_codes_spread_over_the_range_of_each_dimension():
    vectors = np.array([[0, 100, 7], [0.5, 102, 7], [2, 110, 7]], dtype=np.float32)
    coded = ByteCodes.of(vectors)
    # By hand: the first dimension has range 2, the second 10, the third none; 0.5 is 63.75 steps.
    assert coded.codes[:, :3].tolist() == [[0, 0, 0], [64, 51, 0], [255, 255, 0]]
    np.testing.assert_allclose(coded.steps, [2 / 255, 10 / 255, 0], rtol=1e-6)


def test_rows_fill_whole_cache_lines_with_zeros_behind():
    for dim, stride in ((3, 64), (64, 64), (65, 128)):
        codes = ByteCodes.of(np.ones((5, dim), dtype=np.float32) * np.arange(5, dtype=np.float32)[:, None]).codes
        assert codes.shape == (5, stride)
        assert codes.ctypes.data % 64 == 0
        assert (codes[:, dim:] == 0).all()


def test_codes_are_within_half_a_step_of_the_values():
    generator = np.random.default_rng(0)
    vectors = (generator.standard_normal((70_000, 5)) * [1, 100, 1e-6, 1, 1] + [0, 0, 0, 1e3, 0]).astype(np.float32)
    coded = ByteCodes.of(vectors)
    values = coded.codes[:, :5] * coded.steps.astype(np.float64) + vectors.min(axis=0)
    assert (np.abs(values - vectors) <= coded.steps * 0.51).all()


def test_a_huge_or_a_tiny_range_does_not_overflow():
    vectors = np.array([[-1e19, 1e-42, 1], [1e19, 2e-42, 1]], dtype=np.float32)
    coded = ByteCodes.of(vectors)
    assert np.isfinite(coded.steps).all()
    assert coded.codes[:, 0].tolist() == [0, 255]
