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
