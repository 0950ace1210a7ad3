from __future__ import annotations

import numpy as np
import pytest

from index.errors import SnapshotDamagedError
from index.lsh import LshIndex
from index.lsh_file import BUCKETS
from index.lsh_parameters import LshParameters

FIXED = {
    "cross_polytope": LshParameters(bits=5, functions=1, tables=3, probes=9, min_hits=1, rerank=20),
    "hyperplane": LshParameters(family="hyperplane", bits=5, functions=5, tables=3, probes=9, min_hits=1, rerank=20),
    "p_stable": LshParameters(
        family="p_stable", bits=5, functions=2, width=0.8, tables=3, probes=9, min_hits=1, rerank=20
    ),
}


def _assert_same(index: LshIndex, other: LshIndex, queries: np.ndarray) -> None:
    expected, found = index.search(queries, 7), other.search(queries, 7)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("family", FIXED)
def test_load_finds_what_was_saved_whether_packed_or_in_lists(unit_vectors, tmp_path, family):
    vectors = unit_vectors(300)
    index = LshIndex.build(vectors[:200], FIXED[family])
    index.append(vectors[200:])
    index.save(tmp_path)
    whole = LshIndex.build(vectors, FIXED[family])
    _assert_same(whole, LshIndex.load(tmp_path, vectors, FIXED[family]), vectors[:30])


def test_saved_buckets_are_those_of_the_functions(unit_vectors, tmp_path):
    vectors = unit_vectors(300)
    index = LshIndex.build(vectors[:200], FIXED["hyperplane"])
    index.append(vectors[200:])
    index.save(tmp_path)
    stored = np.load(tmp_path / BUCKETS)
    np.testing.assert_array_equal(stored, index._rows.family.buckets(vectors))


def test_load_reads_instead_of_hashing(unit_vectors, tmp_path):
    vectors = unit_vectors(300)
    LshIndex.build(vectors, FIXED["hyperplane"]).save(tmp_path)
    buckets = np.load(tmp_path / BUCKETS)
    buckets[200] = (buckets[200] + 1) % 32  # behind the rows that are compared
    np.save(tmp_path / BUCKETS, buckets)
    loaded = LshIndex.load(tmp_path, vectors, FIXED["hyperplane"])
    np.testing.assert_array_equal(loaded._rows.buckets(), buckets)


def test_a_folder_without_the_file_is_read_by_hashing(unit_vectors, tmp_path):
    vectors = unit_vectors(100)
    index = LshIndex.build(vectors, FIXED["hyperplane"])
    _assert_same(index, LshIndex.load(tmp_path, vectors, FIXED["hyperplane"]), vectors[:9])


def test_buckets_of_other_functions_are_not_used(unit_vectors, tmp_path):
    vectors = unit_vectors(100)
    index = LshIndex.build(vectors, FIXED["hyperplane"])
    index.save(tmp_path)
    np.save(tmp_path / BUCKETS, 31 - np.load(tmp_path / BUCKETS))
    _assert_same(index, LshIndex.load(tmp_path, vectors, FIXED["hyperplane"]), vectors[:9])


def test_no_rows_are_saved_and_read(tmp_path):
    vectors = np.empty((0, 4), dtype=np.float32)
    LshIndex.build(vectors, FIXED["hyperplane"]).save(tmp_path)
    assert LshIndex.load(tmp_path, vectors, FIXED["hyperplane"]).num_rows == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda buckets: buckets[:-1], r"\[99, 3\] buckets"),
        (lambda buckets: buckets[:, :2].copy(), r"\[100, 2\] buckets"),
        (lambda buckets: np.where(buckets == buckets.max(), np.uint32(32), buckets), "up to 32; .* below 32"),
        (lambda buckets: buckets.astype(np.int64), "int64"),
    ],
)
def test_a_damaged_file_is_named(unit_vectors, tmp_path, damage, message):
    vectors = unit_vectors(100)
    LshIndex.build(vectors, FIXED["hyperplane"]).save(tmp_path)
    np.save(tmp_path / BUCKETS, damage(np.load(tmp_path / BUCKETS)))
    with pytest.raises(SnapshotDamagedError, match=message):
        LshIndex.load(tmp_path, vectors, FIXED["hyperplane"])


def test_a_file_cut_short_is_named(unit_vectors, tmp_path):
    vectors = unit_vectors(100)
    LshIndex.build(vectors, FIXED["hyperplane"]).save(tmp_path)
    content = (tmp_path / BUCKETS).read_bytes()
    for size in (0, 60, len(content) - 1):
        (tmp_path / BUCKETS).write_bytes(content[:size])
        with pytest.raises(SnapshotDamagedError, match="lsh_buckets"):
            LshIndex.load(tmp_path, vectors, FIXED["hyperplane"])
