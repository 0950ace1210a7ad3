from __future__ import annotations

import numpy as np

from index.flat import FlatIndex
from index.scalar import ScalarIndex, ScalarParameters


def test_one_list_is_exhaustive_but_for_rounding(unit_vectors):
    vectors, queries = np.split(unit_vectors(3100, 32), [3000])
    index = ScalarIndex.build(vectors, ScalarParameters(lists=1, rerank=4, threads=1))
    found, truth = index.search(queries, 20), FlatIndex(vectors).search(queries, 20)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


def test_resident_bytes_are_a_byte_a_coordinate_and_a_row_number(unit_vectors):
    index = ScalarIndex.build(unit_vectors(500, 32), ScalarParameters(lists=2, threads=1))
    assert index.resident_bytes() == 500 * (32 + 8) + 2 * 32 * 4 + 32 * 8
