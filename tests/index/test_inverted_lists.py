"""What the kinds with inverted lists have in common."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.factory import IndexConfig, build_index
from index.flat import FlatIndex
from index.kinds import load_kind
from index.list_building import num_lists

KINDS = ("ivf_flat", "ivf_pq", "scalar")


@pytest.fixture(scope="module", params=KINDS)
def built(request, unit_vectors):
    vectors = unit_vectors(3000)
    return vectors, _build(request.param, vectors, lists=40, nprobe=10)


def _build(kind, vectors, **parameters):
    return build_index(vectors, IndexConfig(kind=kind, parameters={"threads": 1, **parameters}))


def test_lists_follow_the_root_of_the_rows_where_each_gets_enough_of_them():
    assert [num_lists(n) for n in (0, 1, 39, 390, 1_000_000)] == [1, 1, 1, 10, 4000]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_read_by_default_are_those_that_hold_the_neighbors(kind):
    # Four groups far apart of 300 rows each, in four lists: the 100 nearest rows of a row are in its own group.
    generator = np.random.default_rng(0)
    groups = np.repeat(np.eye(4), 300, axis=0) + 0.01 * generator.standard_normal((1200, 4))
    assert _build(kind, groups.astype(np.float32), lists=4).parameters()["nprobe"] == 1
    # Without groups in many dimensions, neighbors lie in most of the lists.
    scattered = generator.standard_normal((1200, 64)).astype(np.float32)
    index = _build(kind, scattered, lists=30)
    assert 15 <= index.parameters()["nprobe"] <= 30
    truth, found = FlatIndex(scattered).search(scattered, 100).rows, index.search(scattered, 100).rows
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]) >= 0.95  # against exact search


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_rows", [1, 2, 7, 130])
def test_fewer_rows_than_lists_are_all_found(kind, num_rows, unit_vectors, tmp_path):
    vectors = unit_vectors(num_rows)
    index = _build(kind, vectors, lists=200)
    truth = FlatIndex(vectors).search(vectors[:3], 100)
    index.save(tmp_path)
    for one in (index, load_kind(kind, tmp_path, vectors, index.parameters())):
        found = one.search(vectors[:3], 100)
        assert found.counts.tolist() == truth.counts.tolist()
        assert one.parameters()["lists"] == num_rows
    if num_rows <= 100:
        np.testing.assert_array_equal(found.rows, truth.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_index_without_rows_is_written_and_read(kind, tmp_path):
    nothing = np.empty((0, 6), dtype=np.float32)
    index = _build(kind, nothing)
    index.save(tmp_path)
    loaded = load_kind(kind, tmp_path, nothing, index.parameters())
    assert loaded.search(np.ones((2, 6), dtype=np.float32), 3).rows.shape == (2, 0)
    assert loaded.resident_bytes() < 10_000


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_all_alike_are_found_to_the_number_asked_for(kind):
    vectors = np.tile(np.array([[0.6, 0.8, 0, 0]], dtype=np.float32), (700, 1))
    found = _build(kind, vectors, lists=20).search(vectors[:2], 30)
    assert found.counts.tolist() == [30, 30]
    assert all(len(set(rows)) == 30 for rows in found.rows.tolist())


def test_reading_every_list_and_ranking_enough_is_exact_search(built, unit_vectors):
    vectors, index = built
    wider = {"nprobe": 40} if index.kind == "ivf_flat" else {"nprobe": 40, "rerank": 40}
    found, truth = index.retuned(**wider).search(vectors[:60], 20), FlatIndex(vectors).search(vectors[:60], 20)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


def test_retuned_index_shares_what_was_built(built):
    vectors, index = built
    fewer = index.retuned(nprobe=1, threads=2)
    assert fewer.parameters() == {**index.parameters(), "nprobe": 1, "threads": 2}
    assert index.parameters()["nprobe"] == 10
    assert fewer._lists is index._lists
    assert index.retuned(nprobe=99).parameters()["nprobe"] == 40
    assert _recall(fewer, vectors) <= _recall(index, vectors)  # against exact search


def test_search_where_lists_hold_too_few_is_completed(built):
    vectors, index = built
    found = index.retuned(nprobe=1).search(vectors[:10], 700)
    assert found.counts.tolist() == [700] * 10
    assert all(len(set(rows)) == 700 and min(rows) >= 0 for rows in found.rows.tolist())


@pytest.mark.parametrize("share", [0.97, 0.7, 0.3, 0.02, 0.001])
def test_search_under_a_bitmap_is_complete_and_near_exact(built, share):
    vectors, index = built
    mask = np.random.default_rng(3).random(3000) < share
    allowed = bitmap.from_mask(mask)
    truth, found = (
        FlatIndex(vectors).search(vectors[:40], 20, allowed=allowed),
        index.search(vectors[:40], 20, allowed=allowed),
    )
    np.testing.assert_array_equal(found.counts, truth.counts)
    assert mask[found.rows[found.rows >= 0]].all()
    recall = np.mean([np.isin(a[:n], b).mean() for a, b, n in zip(truth.rows, found.rows, truth.counts, strict=True)])
    assert recall > 0.9  # against exact search


def test_load_gives_the_same_index(built, tmp_path):
    vectors, index = built
    index.save(tmp_path)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    loaded = load_kind(index.kind, tmp_path, mapped, index.parameters())
    before, after = index.search(vectors[:50], 10), loaded.search(vectors[:50], 10)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.scores, after.scores)
    assert loaded.parameters() == index.parameters()
    assert loaded.resident_bytes() == index.resident_bytes()


def test_file_is_smaller_than_the_vectors(built, tmp_path):
    vectors, index = built
    index.save(tmp_path)
    size_bytes = sum(path.stat().st_size for path in tmp_path.iterdir())
    # 16 dimensions, ids of 8 bytes a row; codes of scalar are padded to 64 bytes a row.
    ratio = {"ivf_flat": 0.2, "ivf_pq": 0.5, "scalar": 1.2}[index.kind]
    assert size_bytes < ratio * vectors.nbytes


def test_build_is_the_same_each_time(built, tmp_path):
    vectors, index = built
    again = build_index(vectors, IndexConfig(kind=index.kind, parameters=index.parameters()))
    for name, one in (("one", index), ("two", again)):
        (tmp_path / name).mkdir()
        one.save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_pq"])
def test_load_refuses_a_missing_cut_or_foreign_file(kind, unit_vectors, tmp_path):
    vectors = unit_vectors(3000)
    index = _build(kind, vectors, lists=40, nprobe=10)
    path = tmp_path / f"{kind}.faiss"

    def load(rows=3000):
        return load_kind(kind, tmp_path, vectors[:rows], index.parameters())

    with pytest.raises(SnapshotDamagedError, match=rf"{path.name} is no whole FAISS index.*; rebuild or restore it"):
        load()
    index.save(tmp_path)
    with pytest.raises(SnapshotDamagedError, match=r"3000 .*want .*2999"):
        load(2999)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SnapshotDamagedError, match=f"{path.name} is no whole FAISS index"):
        load()
    path.write_bytes(b"not an index at all")
    with pytest.raises(SnapshotDamagedError, match=f"{path.name} is no whole FAISS index"):
        load()
    (tmp_path / "flat").mkdir()
    other = "ivf_flat" if kind == "ivf_pq" else "ivf_pq"
    _build(other, vectors, lists=40).save(tmp_path / "flat")
    path.write_bytes((tmp_path / "flat" / f"{other}.faiss").read_bytes())
    with pytest.raises(SnapshotDamagedError, match=r"holds Index\w+ of .*; want Index\w+ of .*; rebuild or restore it"):
        load()


@pytest.mark.parametrize("kind", ["ivf_pq", "scalar"])
def test_mapped_vectors_are_never_read_into_memory_as_a_whole(kind, unit_vectors, tmp_path):
    np.save(tmp_path / "vectors.npy", unit_vectors(20_000, 64))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    (tmp_path / "index").mkdir()
    tracemalloc.start()
    try:
        index = _build(kind, mapped, lists=16, nprobe=4)
        index.save(tmp_path / "index")
        parameters = index.parameters()
        del index
        loaded = load_kind(kind, tmp_path / "index", mapped, parameters)
        loaded.search(mapped[:8], 100)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < mapped.nbytes / 2
    assert loaded.resident_bytes() < mapped.nbytes / 2


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_out_of_range_are_refused(kind):
    with pytest.raises(InvalidIndexConfigError, match="nprobe is -1; want 0 or more"):
        IndexConfig(kind=kind, parameters={"nprobe": -1})


def _recall(index, vectors):
    truth, found = FlatIndex(vectors).search(vectors[:50], 20).rows, index.search(vectors[:50], 20).rows
    return np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])
