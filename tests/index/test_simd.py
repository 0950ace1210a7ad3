from __future__ import annotations

import pytest

from index.simd import aligned_zeros, padded


@pytest.mark.parametrize(("dim", "expected"), [(1, 64), (64, 64), (65, 128)])
def test_rows_are_padded_to_whole_lines(dim, expected):
    assert padded(dim) == expected


def test_rows_begin_at_lines_and_are_zero():
    for num_rows in (1, 7):
        rows = aligned_zeros(num_rows, 128)
        assert (rows.shape, rows.ctypes.data % 64) == ((num_rows, 128), 0)
        assert not rows.any()
