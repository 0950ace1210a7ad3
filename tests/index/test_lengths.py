from __future__ import annotations

import logging

import numpy as np
import pytest

from index.flat import FlatIndex
from index.kinds import build_kind, kind_named, parameters_of

KINDS = ("hnsw", "ivf_flat", "ivf_pq", "scalar")


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_very_unequal_length_are_warned_of_once_with_the_cure(unit_vectors, caplog, kind, tmp_path):
    vectors = unit_vectors(200)
    vectors[5] *= 3
    with caplog.at_level(logging.WARNING):
        index = build_kind(kind, vectors, {})
        index.save(tmp_path)
        kind_named(kind).load(tmp_path, vectors, parameters_of(kind, index.parameters()))
    assert [record.getMessage() for record in caplog.records] == [
        f"{kind} assumes rows of about equal length, and the longest of these is 3 times as long as the median: "
        "recall may be low; choose flat or kd_tree, or normalise the rows"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_about_equal_length_are_not_warned_of(unit_vectors, caplog, kind):
    vectors = unit_vectors(200) * np.linspace(1, 2.5, 200, dtype=np.float32)[:, None]  # 2.5 / 1.75 < 2
    build_kind(kind, vectors, {})
    assert not caplog.records


def test_exact_search_takes_any_length(unit_vectors, caplog):
    vectors = unit_vectors(200) * np.logspace(-3, 3, 200, dtype=np.float32)[:, None]
    query = unit_vectors(1, seed=3)
    found = build_kind("kd_tree", vectors, {}).search(query, 9)
    np.testing.assert_array_equal(found.rows, FlatIndex(vectors).search(query, 9).rows)
    assert not caplog.records
