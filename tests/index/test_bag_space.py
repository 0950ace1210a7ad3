from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index.bag_space import load_content, save_content
from index.bags import Bags
from index.errors import SnapshotDamagedError, SnapshotMismatchError

SAMPLE = Path(__file__).parents[1] / "samples" / "content-v1"


def test_content_written_by_format_version_1_loads():
    bags = load_content(SAMPLE).bags
    assert bags.tokens.tolist() == [3, 2**64 - 1, 3, 7]
    np.testing.assert_array_equal(bags.weights, np.array([0.6, 0.8, -1, 2**-20], dtype=np.float32))
    assert bags.offsets.tolist() == [0, 2, 2, 4]


@pytest.mark.parametrize("num_rows", [0, 1, 300])
def test_load_gives_the_same_bags_and_results(zipf_bags, tmp_path, num_rows):
    bags, queries = zipf_bags(num_rows), zipf_bags(9, seed=1)
    save_content(tmp_path, bags)
    loaded = load_content(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "content.json",
        "offsets.npy",
        "tokens.npy",
        "weights.npy",
    ]
    for name in ("tokens", "weights", "offsets"):
        np.testing.assert_array_equal(getattr(loaded.bags, name), getattr(bags, name))
    assert loaded.search(queries, 5).rows.shape == (9, min(5, num_rows))
    assert len(loaded.bags.take(np.arange(num_rows))) == num_rows


def test_save_writes_only_what_the_offsets_reach(bags_of, tmp_path):
    bags = bags_of({1: 1}, {2: 1})
    save_content(tmp_path, Bags(tokens=bags.tokens, weights=bags.weights, offsets=bags.offsets[:2]))
    assert load_content(tmp_path).bags.tokens.tolist() == [1]


def test_load_names_what_is_wrong(zipf_bags, tmp_path):
    with pytest.raises(SnapshotDamagedError, match=r"content\.json is missing"):
        load_content(tmp_path)
    bags = zipf_bags(20)
    save_content(tmp_path, bags)
    body = json.loads((tmp_path / "content.json").read_text())
    (tmp_path / "content.json").write_text(json.dumps({**body, "format_version": 9}))
    with pytest.raises(SnapshotMismatchError, match=r"\(9, 'sparse'\), this program reads \(1, 'sparse'\)"):
        load_content(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "content.json").write_text(text)
        with pytest.raises((SnapshotDamagedError, SnapshotMismatchError), match=r"content\.json"):
            load_content(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "fault"),
    [
        ("tokens", np.array([1], dtype=np.uint64), "for 1 tokens and 3 weights"),
        ("tokens", np.array([2, 1, 5], dtype=np.uint64), "do not ascend"),
        ("tokens", np.array([1, 2, 3], dtype=np.int64), "int64"),
        ("weights", np.array([1, 0, 1], dtype=np.float32), "zero or not"),
        ("weights", np.array([1, np.nan, 1], dtype=np.float32), "not finite"),
        ("offsets", np.array([0, 4, 3]), "does not ascend"),
        ("offsets", np.array([0, 2**63 - 1, -(2**63), -1, 3]), "does not ascend"),  # no difference is below 0
        ("offsets", np.array([1, 2, 3]), "does not ascend from 0"),
        ("offsets", np.array([0, 2, 9]), "ends at 9"),
        ("offsets", np.array([], dtype=np.int64), "does not ascend"),
    ],
)
def test_load_refuses_damage(bags_of, tmp_path, name, array, fault):
    save_content(tmp_path, bags_of({1: 1, 2: 1}, {5: 1}))
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(SnapshotDamagedError, match=fault):
        load_content(tmp_path)
