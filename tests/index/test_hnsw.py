from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.flat import FlatIndex
from index.hnsw import GRAPH, HnswIndex, HnswParameters
from index.protocols import FloatArray
from index.space import save_space

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


@pytest.mark.parametrize(("values", "message"), [({"ef_search": 0}, "ef_search is 0"), ({"m": 3}, "'m' is no search")])
def test_retuned_refuses_what_a_search_cannot_change(built, values, message):
    with pytest.raises(InvalidIndexConfigError, match=message):
        built[1].retuned(**values)


def test_codes_of_another_name_are_refused():
    with pytest.raises(InvalidIndexConfigError, match="codes is 'int4'; want auto, int8 or float32"):
        HnswParameters(codes="int4")


def test_retuned_shares_the_graph_and_finds_more_with_a_longer_list(built, unit_vectors):
    vectors, index = built
    queries = unit_vectors(3060)[3000:]
    truth = FlatIndex(vectors).search(queries, 40).rows
    recalls = []
    for ef in (1, 60, 3000):
        tuned = index.retuned(ef_search=ef)
        assert tuned.parameters() == {**index.parameters(), "ef_search": ef}
        recalls.append(
            np.mean([np.isin(a, b).mean() for a, b in zip(truth, tuned.search(queries, 40).rows, strict=True)])
        )
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1  # against exact search: every row is looked at


def test_resident_bytes_are_those_of_vectors_codes_and_links(unit_vectors):
    vectors = unit_vectors(2000, 64)
    index = HnswIndex.build(vectors, HnswParameters(m=32, ef_construction=20, threads=1, codes="int8"))
    links = 4 * 2000 * 64
    least = vectors.nbytes + vectors.nbytes // 4 + links
    assert least < index.resident_bytes() < 1.1 * least
    assert index.resident_bytes() < 1.3 * (vectors.nbytes + links)
    assert index.retuned(ef_search=3).resident_bytes() == index.resident_bytes()


@pytest.mark.parametrize("share", [1, 0.6])
@pytest.mark.parametrize("codes", ["int8", "float32"])
def test_results_do_not_depend_on_threads_or_batches(built, unit_vectors, share, codes):
    vectors, _ = built
    index = HnswIndex.build(vectors[:900], HnswParameters(m=4, ef_construction=20, ef_search=9, threads=1, codes=codes))
    queries, mask = unit_vectors(3100)[3000:], np.random.default_rng(4).random(900) < share
    allowed = None if share == 1 else bitmap.from_mask(mask)
    found = index.retuned(threads=3).search(queries, 7, allowed=allowed)
    for i in range(0, 100, 9):
        alone = index.search(queries[i : i + 1], 7, allowed=allowed)
        np.testing.assert_array_equal(alone.rows[0], found.rows[i])
        np.testing.assert_array_equal(alone.scores[0], found.scores[i])


def _clusters(noise: float) -> FloatArray:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((8, 16))
    vectors = centres[generator.integers(0, 8, 1650)] + noise * generator.standard_normal((1650, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _outlier(*, longer: float) -> FloatArray:
    vectors = _clusters(0.5)
    vectors[7, 3] = longer
    return vectors


def _offset() -> FloatArray:
    vectors = _clusters(0.5)
    vectors[:, 2] += 40
    return vectors


@pytest.mark.parametrize(
    ("vectors", "codes"),
    [
        pytest.param(_clusters(0.5), "int8", id="wide clusters"),
        pytest.param(_clusters(0.003), "float32", id="clusters finer than a step of a code"),
        pytest.param(_outlier(longer=1), "int8", id="one coordinate as large as the vector"),
        pytest.param(_outlier(longer=1000), "float32", id="one huge coordinate in one row"),
        pytest.param(_offset(), "int8", id="a huge coordinate that all rows share"),
    ],
)
def test_codes_are_used_where_they_keep_recall(vectors, codes):
    vectors, queries = vectors[:1600], vectors[1600:]
    index = HnswIndex.build(vectors, HnswParameters(m=16, ef_construction=60, threads=1))
    assert index.parameters()["codes"] == codes
    truth, found = FlatIndex(vectors).search(queries, 20).rows, index.search(queries, 20).rows
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])
    assert recall > 0.93  # against exact search; vectors of unequal length are what costs most


def test_codes_may_be_forced(built, tmp_path):
    vectors, index = built
    index.save(tmp_path)
    for codes in ("int8", "float32"):
        loaded = HnswIndex.load(tmp_path, vectors, replace(SMALL, codes=codes))
        assert loaded.parameters()["codes"] == codes
        np.testing.assert_array_equal(loaded.search(vectors[:20], 1).rows[:, 0], np.arange(20))


def test_graph_of_faiss_itself_is_loaded(built, tmp_path):
    vectors, _ = built
    theirs = faiss.IndexHNSWFlat(16, 8, faiss.METRIC_INNER_PRODUCT)
    theirs.add(vectors)
    faiss.write_index(theirs, str(tmp_path / GRAPH), faiss.IO_FLAG_SKIP_STORAGE)
    found = HnswIndex.load(tmp_path, vectors).search(vectors[:50], 5)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(50))


@pytest.mark.slow
def test_missing_faiss_is_named_with_its_cure_and_a_built_graph_needs_none(built, tmp_path):
    vectors, index = built
    (tmp_path / "space").mkdir()
    save_space(tmp_path / "space", vectors, index)
    # An import of faiss that fails, as where it is not installed.
    (tmp_path / "faiss.py").write_text("raise ModuleNotFoundError(\"No module named 'faiss'\", name='faiss')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from index.space import load_space\n"
        "from index import IndexConfig, MissingBackendError, build_index\n"
        "vectors = np.eye(3, dtype=np.float32)\n"
        "build_index(vectors, IndexConfig(kind='flat'))\n"
        f"stored, index = load_space(Path({str(tmp_path / 'space')!r}))\n"
        "print(index.kind, index.search(stored[:4], 1).rows.tolist())\n"
        "try:\n"
        "    build_index(vectors, IndexConfig(kind='hnsw'))\n"
        "except MissingBackendError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "hnsw [[0], [1], [2], [3]]" in done.stdout
    assert "pip install 'dhe-recall[cpu]'" in done.stdout
