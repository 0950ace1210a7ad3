from __future__ import annotations

import numpy as np
import pytest

from index.errors import InvalidQueryError, SnapshotDamagedError
from index.rows import RowTable


def test_load_gives_what_was_saved(tmp_path):
    item_ids = ["10", "9", "a b", "é", "名", "😀"]  # UTF-8 byte order
    RowTable.from_items(item_ids, np.arange(6)).save(tmp_path)
    table = RowTable.load(tmp_path)
    assert table.item_ids() == item_ids
    assert table.popularity.tolist() == [0, 1, 2, 3, 4, 5]
    assert table.num_rows == 6


def test_an_empty_table_survives(tmp_path):
    RowTable.from_items([], np.empty(0, dtype=np.int64)).save(tmp_path)
    assert RowTable.load(tmp_path).item_ids() == []


@pytest.mark.parametrize("item_ids", [["b", "a"], ["a", "a"], ["", "a"]])
def test_from_items_refuses_ids_that_do_not_ascend(item_ids):
    with pytest.raises(InvalidQueryError, match="empty or out of order"):
        RowTable.from_items(item_ids, np.zeros(2, dtype=np.int64))


def test_from_items_refuses_counts_of_another_length():
    with pytest.raises(InvalidQueryError, match="1 item_ids and 2 popularity counts"):
        RowTable.from_items(["a"], np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize("name", ["ids.npy", "id_offsets.npy", "popularity.npy"])
def test_load_names_a_missing_or_cut_file(tmp_path, name):
    RowTable.from_items(["a", "b"], np.zeros(2, dtype=np.int64)).save(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-1])
    with pytest.raises(SnapshotDamagedError, match=name):
        RowTable.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SnapshotDamagedError, match=f"{name} is missing"):
        RowTable.load(tmp_path)


def test_load_refuses_offsets_that_do_not_fit(tmp_path):
    RowTable.from_items(["a", "b"], np.zeros(2, dtype=np.int64)).save(tmp_path)
    np.save(tmp_path / "id_offsets.npy", np.array([0, 1, 3]))
    with pytest.raises(SnapshotDamagedError, match=r"3 offsets up to \[3\] for 2 rows and 2 bytes"):
        RowTable.load(tmp_path)
