from __future__ import annotations

import json

import numpy as np
import pytest

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.factory import IndexConfig, build_index
from index.space import load_space, save_space


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_load_gives_the_same_vectors_and_results(unit_vectors, tmp_path, kind):
    vectors = unit_vectors(400)
    index = build_index(vectors, IndexConfig(kind=kind))
    save_space(tmp_path, vectors, index)
    mapped, loaded = load_space(tmp_path)
    np.testing.assert_array_equal(mapped, vectors)
    assert (loaded.kind, loaded.parameters()) == (kind, index.parameters())
    np.testing.assert_array_equal(loaded.search(vectors[:20], 5).rows, index.search(vectors[:20], 5).rows)


def test_load_names_what_is_wrong(unit_vectors, tmp_path):
    with pytest.raises(SnapshotDamagedError, match=r"vectors\.npy is missing"):
        load_space(tmp_path)
    vectors = unit_vectors(10)
    save_space(tmp_path, vectors, build_index(vectors, IndexConfig()))
    path = tmp_path / "index.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "kind": "octree"}))
    with pytest.raises(SnapshotMismatchError, match="octree"):
        load_space(tmp_path)
    path.write_text(json.dumps({**body, "format_version": 9}))
    with pytest.raises(SnapshotMismatchError, match="format version 9"):
        load_space(tmp_path)
    path.write_text("[]")
    with pytest.raises(SnapshotDamagedError, match=r"index\.json holds list; want a JSON object"):
        load_space(tmp_path)
    path.write_text("{")
    with pytest.raises(SnapshotDamagedError, match=r"index\.json is not valid JSON"):
        load_space(tmp_path)
    path.unlink()
    with pytest.raises(SnapshotDamagedError, match=r"index\.json is missing"):
        load_space(tmp_path)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float64))
    with pytest.raises(SnapshotDamagedError, match=r"float64 \[10, 16\]; want float32"):
        load_space(tmp_path)


def test_load_names_damage_that_leaves_the_files_readable(unit_vectors, tmp_path):
    vectors = unit_vectors(10)
    save_space(tmp_path, vectors, build_index(vectors, IndexConfig(kind="flat")))
    for lost in (b'"kind"', b'"parameters"'):
        _damaged(tmp_path / "index.json", lost, lost[:-2] + b'x"', match=r"index\.json names no kind")
    # Read as Python, the header of an array has a bracket that is not closed.
    _damaged(tmp_path / "vectors.npy", b"(10, ", b"((0, ", match=r"vectors\.npy is not a whole \.npy file")
    first = vectors[:1, :1].tobytes()
    _damaged(
        tmp_path / "vectors.npy", first, np.float32(3e38).tobytes(), match=r"vectors\.npy .* vectors\[0\] has values"
    )


def _damaged(path, seen, written, *, match):
    whole = path.read_bytes()
    assert seen in whole
    path.write_bytes(whole.replace(seen, written, 1))
    with pytest.raises(SnapshotDamagedError, match=match):
        load_space(path.parent)
    path.write_bytes(whole)
