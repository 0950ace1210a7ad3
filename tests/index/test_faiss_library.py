"""How FAISS is called."""

from __future__ import annotations

import faiss
import pytest

from index.factory import IndexConfig, build_index
from index.faiss_library import openmp_threads
from index.kinds import KINDS, load_kind


@pytest.fixture
def three_threads():
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


def test_number_of_threads_holds_within_the_block_and_is_put_back_where_it_fails(three_threads):
    with openmp_threads(faiss, 2):
        assert faiss.omp_get_max_threads() == 2
        with pytest.raises(RuntimeError, match="could not open"), openmp_threads(faiss, 1):
            faiss.read_index("/nowhere")
        assert faiss.omp_get_max_threads() == 2
    assert faiss.omp_get_max_threads() == 3


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("gpu_")])
def test_index_leaves_the_threads_of_other_libraries_as_they_are(kind, threads, three_threads, unit_vectors, tmp_path):
    # PyTorch takes the same number: changed by a search, it gave the same user another vector in the last bits.
    vectors = unit_vectors(500)
    has_threads = kind in ("hnsw", "ivf_flat", "ivf_pq", "scalar")
    index = build_index(vectors, IndexConfig(kind=kind, parameters={"threads": threads} if has_threads else {}))
    assert faiss.omp_get_max_threads() == 3
    index.save(tmp_path)
    loaded = load_kind(kind, tmp_path, vectors, index.parameters())
    assert faiss.omp_get_max_threads() == 3
    for queries in (vectors[:1], vectors[:5]):
        for one in (index, loaded):
            one.search(queries, 1)
            assert faiss.omp_get_max_threads() == 3
