from __future__ import annotations

import numpy as np
from numba import njit

from index.graph_simd import byte_product, move_up
from index.simd import prefetch


@njit(cache=True)
def _products(codes, query):
    totals = np.empty(codes.size // 64, dtype=np.int64)
    for line in range(totals.size):
        prefetch(codes, 64 * line)
        totals[line] = byte_product(codes, 64 * line, query, 0)
    return totals


@njit(cache=True)
def _moved(values, first, count):
    move_up(values, first, count)


def test_byte_product_is_exact_at_the_ends_of_both_ranges():
    codes = np.concatenate((np.full(64, 255), np.zeros(64), np.tile([255, 0], 32), np.arange(64))).astype(np.uint8)
    for query in (np.full(64, 127), np.full(64, -127), np.tile([127, -127], 32), np.arange(-32, 32)):
        expected = codes.reshape(-1, 64).astype(np.int64) @ query
        np.testing.assert_array_equal(_products(codes, query.astype(np.int8)), expected)


def test_move_up_keeps_what_lies_around():
    values = np.arange(6)
    _moved(values, 1, 3)
    assert values.tolist() == [0, 1, 1, 2, 3, 5]
    _moved(values, 5, 0)
    assert values.tolist() == [0, 1, 1, 2, 3, 5]
