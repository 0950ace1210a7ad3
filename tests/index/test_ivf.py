from __future__ import annotations

from dataclasses import replace

import faiss
import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, MissingBackendError, SnapshotDamagedError
from index.flat import FlatIndex
from index.gpu import DeviceCopy
from index.inverted_lists import InvertedLists
from index.ivf import LISTS, NUMBERS, IvfFlatIndex, IvfFlatParameters

needs_gpu = pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="FAISS sees no GPU")


def test_search_reads_the_nearest_list_alone():
    # Two groups along two axes; the list of the second holds the fourth best row, which one probe leaves out.
    vectors = np.array([[1, 0], [0.99, 0.14], [0.98, 0.2], [0.14, 0.99], [0, 1], [0.2, 0.98]], dtype=np.float32)
    index = IvfFlatIndex.build(vectors, IvfFlatParameters(lists=2, nprobe=1, threads=1))
    query = np.array([[1, 0.01]], dtype=np.float32)
    assert index.search(query, 3).rows.tolist() == [[0, 1, 2]]
    assert index.search(query, 4).rows.tolist() == FlatIndex(vectors).search(query, 4).rows.tolist()  # completed


def test_saved_index_has_no_copy_of_the_vectors(unit_vectors, tmp_path):
    vectors = unit_vectors(2000)
    index = IvfFlatIndex.build(vectors, IvfFlatParameters(lists=10, threads=1))
    index.save(tmp_path)
    assert faiss.read_index(str(tmp_path / LISTS)).ntotal == 0
    numbers = np.load(tmp_path / NUMBERS)
    assert (numbers.dtype, numbers.shape) == (np.int32, (2000,))
    assert index.resident_bytes() == 2000 * (16 * 4 + 8) + 10 * 16 * 4


def test_load_refuses_list_numbers_that_do_not_fit(unit_vectors, tmp_path):
    vectors = unit_vectors(100)
    IvfFlatIndex.build(vectors, IvfFlatParameters(lists=5, threads=1)).save(tmp_path)
    numbers = np.load(tmp_path / NUMBERS)
    for wrong in (numbers[:99], np.full(100, 5, dtype=np.int32), np.full(100, -1, dtype=np.int32)):
        np.save(tmp_path / NUMBERS, wrong)
        with pytest.raises(SnapshotDamagedError, match=r"want 100, each from 0 to 4 .*; rebuild or restore it"):
            IvfFlatIndex.load(tmp_path, vectors)
    (tmp_path / NUMBERS).unlink()
    with pytest.raises(SnapshotDamagedError, match=f"{NUMBERS} is missing"):
        IvfFlatIndex.load(tmp_path, vectors)


def test_device_is_cpu_or_gpu():
    with pytest.raises(InvalidIndexConfigError, match="device is 'tpu'; want one of cpu, gpu"):
        IvfFlatParameters(device="tpu")


@pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="there is a GPU")
def test_gpu_is_refused_where_there_is_none(unit_vectors):
    with pytest.raises(MissingBackendError, match=r"ivf_flat on a GPU .* sees 0; pip install 'dhe-recall\[gpu\]'"):
        IvfFlatIndex.build(unit_vectors(50), IvfFlatParameters(device="gpu"))


def test_search_through_a_device_copy_is_that_of_the_lists(unit_vectors):
    # A copy of the lists on the CPU stands where that on a GPU would.
    vectors = unit_vectors(2000)
    parameters = IvfFlatParameters(lists=20, nprobe=5, threads=1)
    index = IvfFlatIndex.build(vectors, parameters)
    lists = index._lists.lists
    copied = IvfFlatIndex(
        InvertedLists(replace(lists, on_gpu=DeviceCopy(faiss.clone_index(lists.index))), FlatIndex(vectors)),
        parameters.resolved(2000),
    )
    _assert_same(copied, index, vectors)


@pytest.mark.gpu
@needs_gpu
def test_lists_on_a_gpu_find_what_they_find_on_the_cpu(unit_vectors, tmp_path):
    vectors = unit_vectors(5000, 32)
    on_cpu = IvfFlatIndex.build(vectors, IvfFlatParameters(lists=40, nprobe=8))
    on_cpu.save(tmp_path)
    on_gpu = IvfFlatIndex.load(tmp_path, vectors, IvfFlatParameters(lists=40, nprobe=8, device="gpu"))
    _assert_same(on_gpu, on_cpu, vectors)


def _assert_same(one, other, vectors):
    allowed = bitmap.from_mask(np.arange(len(vectors)) % 3 > 0)
    for bits in (None, allowed):
        for k in (1, 20, 1500):
            found, truth = one.search(vectors[:50], k, allowed=bits), other.search(vectors[:50], k, allowed=bits)
            np.testing.assert_array_equal(found.scores, truth.scores)
            np.testing.assert_array_equal(found.rows, truth.rows)
