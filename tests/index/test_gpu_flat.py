from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import bitmap
from index.errors import MissingBackendError
from index.flat import FlatIndex
from index.gpu import MOST, DeviceCopy
from index.gpu_flat import GpuFlatIndex


def _on_cpu(vectors):
    """FAISS's flat index on the CPU stands where that on a GPU would."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return GpuFlatIndex(FlatIndex(vectors), DeviceCopy(index))


BUILDS = [
    _on_cpu,
    pytest.param(
        GpuFlatIndex.build,
        marks=[pytest.mark.gpu, pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="FAISS sees no GPU")],
    ),
]


def _assert_exact(index, vectors, queries, k, *, allowed=None):
    found, truth = index.search(queries, k, allowed=allowed), FlatIndex(vectors).search(queries, k, allowed=allowed)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)
    np.testing.assert_array_equal(found.counts, truth.counts)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("k", [1, 100, MOST - 1, 4000])
def test_search_is_exact_search(build, k, unit_vectors):
    vectors, queries = unit_vectors(5000, 24), unit_vectors(20, 24, seed=9)
    _assert_exact(build(vectors), vectors, queries, k)


@pytest.mark.parametrize("build", BUILDS)
def test_ties_at_the_last_place_are_cut_at_the_lowest_rows(build, unit_vectors):
    vectors = np.tile(unit_vectors(20), (200, 1))
    _assert_exact(build(vectors), vectors, vectors[:20], 50)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("share", [0.99, 0.5, 0.1, 0.01, 0])
def test_search_under_a_bitmap_is_exact_search(build, share, unit_vectors):
    vectors, queries = unit_vectors(3000), unit_vectors(30, seed=2)
    allowed = bitmap.from_mask(np.random.default_rng(0).random(3000) < share)
    _assert_exact(build(vectors), vectors, queries, 40, allowed=allowed)


@pytest.mark.parametrize("build", BUILDS)
def test_few_rows_are_all_returned(build, unit_vectors, tmp_path):
    vectors = unit_vectors(3)
    index = build(vectors)
    _assert_exact(index, vectors, vectors, 10)
    index.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (index.parameters(), index.retuned() is index, index.resident_bytes()) == ({}, True, 3 * 16 * 4)


@pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="there is a GPU")
def test_missing_gpu_is_named_with_its_cure(unit_vectors):
    with pytest.raises(MissingBackendError, match=r"gpu_flat on a GPU .* sees 0; pip install 'dhe-recall\[gpu\]'"):
        GpuFlatIndex.build(unit_vectors(10))
