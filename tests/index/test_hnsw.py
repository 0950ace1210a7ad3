from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.flat import FlatIndex
from index.hnsw import GRAPH, HnswIndex, HnswParameters

SMALL = HnswParameters(m=8, ef_construction=40, ef_search=32, threads=1)


@pytest.fixture(scope="module")
def built(unit_vectors):
    vectors = unit_vectors(3000)
    return vectors, HnswIndex.build(vectors, SMALL)


def test_load_gives_the_same_index(built, tmp_path):
    vectors, index = built
    index.save(tmp_path)
    np.save(tmp_path / "vectors.npy", vectors)
    loaded = HnswIndex.load(tmp_path, np.load(tmp_path / "vectors.npy", mmap_mode="r"), SMALL)
    before, after = index.search(vectors[:50], 10), loaded.search(vectors[:50], 10)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.scores, after.scores)
    assert loaded.parameters() == index.parameters()


def test_build_on_one_thread_is_the_same_each_time(built, tmp_path):
    vectors, index = built
    for name, built_one in (("one", index), ("two", HnswIndex.build(vectors, SMALL))):
        (tmp_path / name).mkdir()
        built_one.save(tmp_path / name)
    assert (tmp_path / "one" / GRAPH).read_bytes() == (tmp_path / "two" / GRAPH).read_bytes()


@pytest.mark.parametrize("share", [0.97, 0.7, 0.3, 0.02, 0.001])
def test_search_under_a_bitmap_is_complete_and_near_exact(built, unit_vectors, share):
    vectors, index = built
    mask = np.random.default_rng(3).random(3000) < share
    allowed = bitmap.from_mask(mask)
    queries = unit_vectors(3040)[3000:]
    truth, found = FlatIndex(vectors).search(queries, 20, allowed=allowed), index.search(queries, 20, allowed=allowed)
    np.testing.assert_array_equal(found.counts, truth.counts)
    assert found.counts[0] == min(20, mask.sum())
    recall = np.mean([np.isin(a[:n], b).mean() for a, b, n in zip(truth.rows, found.rows, truth.counts, strict=True)])
    assert recall > 0.9  # against exact search


def test_walk_that_ends_in_an_island_is_completed_by_exact_search():
    # Two far clusters with m = 2: the graph of one need not lead to the other.
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((2000, 4)).astype(np.float32) * 0.001
    vectors[:1000, 0] += 1
    vectors[1000:, 0] -= 1
    index = HnswIndex.build(vectors, HnswParameters(m=2, ef_construction=2, ef_search=1, threads=1))
    found = index.search(vectors[:5], 40)
    assert found.counts.tolist() == [40] * 5
    assert (found.rows >= 0).all()
    assert all(len(set(rows)) == 40 for rows in found.rows.tolist())


def test_load_refuses_a_missing_or_cut_file(built, tmp_path):
    vectors, index = built
    with pytest.raises(SnapshotDamagedError, match=r"hnsw\.faiss"):
        HnswIndex.load(tmp_path, vectors)
    index.save(tmp_path)
    with pytest.raises(SnapshotDamagedError, match="3000 rows x 16; want one of 2999 x 16"):
        HnswIndex.load(tmp_path, vectors[:2999])
    content = (tmp_path / GRAPH).read_bytes()
    (tmp_path / GRAPH).write_bytes(content[: len(content) // 2])
    with pytest.raises(SnapshotDamagedError, match=r"hnsw\.faiss is no FAISS index"):
        HnswIndex.load(tmp_path, vectors)


def test_parameters_out_of_range_are_refused():
    with pytest.raises(InvalidIndexConfigError, match="m is 1; want 2 or more"):
        HnswParameters(m=1)


@pytest.mark.slow
def test_missing_faiss_is_named_with_its_cure(tmp_path):
    # An import of faiss that fails, as where it is not installed.
    (tmp_path / "faiss.py").write_text("raise ModuleNotFoundError(\"No module named 'faiss'\", name='faiss')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy as np\n"
        "from index import IndexConfig, MissingBackendError, build_index\n"
        "vectors = np.eye(3, dtype=np.float32)\n"
        "build_index(vectors, IndexConfig(kind='flat'))\n"
        "try:\n"
        "    build_index(vectors, IndexConfig(kind='hnsw'))\n"
        "except MissingBackendError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "pip install 'dhe-recall[cpu]'" in done.stdout
