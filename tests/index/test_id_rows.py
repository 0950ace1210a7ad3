from __future__ import annotations

import numpy as np

from index import id_rows
from index.id_rows import IdRows


def test_finds_the_row_of_each_id_and_none_of_others():
    item_ids = sorted(f"item-{n}" for n in range(0, 2_000, 2))
    found = IdRows(item_ids).find([*reversed(item_ids), "item-1", "", "item-3"])
    assert found.tolist() == [*reversed(range(1_000)), -1, -1, -1]


def test_none_of_no_ids():
    assert IdRows([]).find(["a"]).tolist() == [-1]
    assert IdRows(["a"]).find([]).tolist() == []


def test_ids_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(id_rows, "_hashes", lambda ids: np.array([len(i) for i in ids], dtype=np.int64))
    rows = IdRows(["a", "b", "bb", "c", "cc"])
    assert rows.find(["c", "cc", "a", "d", "b", "bb", "dd", "ddd"]).tolist() == [3, 4, 0, -1, 1, 2, -1, -1]
