from __future__ import annotations

import numpy as np
import pytest

from index import bitmap
from index.errors import SnapshotDamagedError
from index.flat import FlatIndex
from index.scalar import ScalarIndex, ScalarParameters


def test_one_list_is_exhaustive_but_for_rounding(unit_vectors):
    vectors, queries = np.split(unit_vectors(3100, 32), [3000])
    index = ScalarIndex.build(vectors, ScalarParameters(lists=1, rerank=4, threads=1))
    found, truth = index.search(queries, 20), FlatIndex(vectors).search(queries, 20)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


@pytest.mark.parametrize("dim", [3, 64, 70])
def test_all_lists_are_exhaustive_but_for_rounding_also_under_a_bitmap(unit_vectors, dim):
    vectors, queries = np.split(unit_vectors(2040, dim), [2000])
    index = ScalarIndex.build(vectors, ScalarParameters(lists=9, nprobe=9, rerank=6, threads=2))
    allowed = bitmap.from_mask(np.arange(2000) % 3 > 0)
    for some in (None, allowed):
        found, truth = index.search(queries, 12, allowed=some), FlatIndex(vectors).search(queries, 12, allowed=some)
        np.testing.assert_array_equal(found.rows, truth.rows)


def test_lists_around_centroids_far_from_zero_are_coded_by_what_rows_are_off(unit_vectors):
    # Codes of whole values would have steps of 1/255 of the space between the groups, coarser than each group.
    groups = np.repeat(np.eye(8, dtype=np.float32), 100, axis=0)
    vectors = groups + 0.001 * unit_vectors(800, 8)
    index = ScalarIndex.build(vectors, ScalarParameters(lists=24, nprobe=6, rerank=2, threads=1))
    found, truth = index.search(vectors[::50], 10), FlatIndex(vectors).search(vectors[::50], 10)
    np.testing.assert_array_equal(found.rows, truth.rows)


def test_resident_bytes_are_a_byte_a_coordinate_and_a_row_number(unit_vectors):
    index = ScalarIndex.build(unit_vectors(500, 64), ScalarParameters(lists=2, threads=1))
    centroids = 2 * (64 * 4 + 64 + 4) + 64 * 4  # floats, codes and scales; steps
    assert index.resident_bytes() == 500 * (64 + 4) + centroids + 3 * 8 + 64 * 4


def test_load_refuses_a_missing_cut_or_foreign_file(unit_vectors, tmp_path):
    vectors = unit_vectors(300)
    index = ScalarIndex.build(vectors, ScalarParameters(lists=4, threads=1))
    index.save(tmp_path)
    with pytest.raises(SnapshotDamagedError, match=r"holds lists of 300 rows x 16; want 299 x 16.*; rebuild"):
        ScalarIndex.load(tmp_path, vectors[:299])
    rows = np.load(tmp_path / "rows.npy")
    for wrong in (-1, 300, rows[1]):
        np.save(tmp_path / "rows.npy", np.concatenate(([np.int32(wrong)], rows[1:])).astype(np.int32))
        with pytest.raises(SnapshotDamagedError, match=r"rows.npy lacks a row or has one twice; rebuild or restore it"):
            ScalarIndex.load(tmp_path, vectors)
    np.save(tmp_path / "rows.npy", rows)
    sizes = np.load(tmp_path / "sizes.npy")
    np.save(tmp_path / "sizes.npy", np.array([-1, *sizes[1:]]))
    with pytest.raises(SnapshotDamagedError, match="each row in one list; rebuild or restore it"):
        ScalarIndex.load(tmp_path, vectors)
    for name in ("sizes", "rows", "codes", "steps", "scales", "centroids"):
        content = (tmp_path / f"{name}.npy").read_bytes()
        (tmp_path / f"{name}.npy").write_bytes(content[:-1])
        with pytest.raises(SnapshotDamagedError, match=f"{name}.npy is not a whole .npy file"):
            ScalarIndex.load(tmp_path, vectors)
        (tmp_path / f"{name}.npy").unlink()
        with pytest.raises(SnapshotDamagedError, match=f"{name}.npy is missing"):
            ScalarIndex.load(tmp_path, vectors)
        (tmp_path / f"{name}.npy").write_bytes(content)
