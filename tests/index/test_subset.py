from __future__ import annotations

import numpy as np
import pytest

from index import bitmap, subset
from index.flat import FlatIndex
from index.live import LiveIndex
from index.protocols import SearchOptions

NORTH = np.array([[0, 1]], dtype=np.float32)


@pytest.fixture
def live() -> LiveIndex:
    """Returns the items a, B, c and D, all alike."""
    vectors = np.tile(NORTH, (4, 1))
    return LiveIndex(["B", "D", "a", "c"], vectors, FlatIndex(vectors), sequence=0)


def _is_upper(item_ids):
    return np.array([item_id.isupper() for item_id in item_ids], dtype=np.bool_)


def _found(live, **options):
    return live.subset().search(NORTH, 9, [SearchOptions(**options)])[0].item_ids


def test_there_is_no_subset_unless_one_is_told_apart(live):
    live.apply(["E"], NORTH, sequence=1)
    assert live.subset() is None


def test_subset_holds_what_was_there_and_what_is_written(live):
    live.apply(["E", "f"], np.tile(NORTH, (2, 1)), deleted=["D"], sequence=1)
    live.tell_apart(_is_upper)
    assert _found(live) == list(live.subset().item_ids()) == ["B", "E"]
    live.apply(["D", "g"], np.tile(NORTH, (2, 1)), deleted=["E"], sequence=2)
    assert _found(live) == ["B", "D"]
    assert _found(live, candidates=["D", "E", "a"], exclude=["x"]) == ["D"]
    assert ("D" in live.subset(), "a" in live.subset(), live.subset().num_items) == (True, False, 2)


def test_a_subset_stays_as_it_was_taken(live):
    live.tell_apart(_is_upper)
    before = live.subset()
    live.apply(["A"], NORTH, deleted=["B"], sequence=1)
    assert (list(before.item_ids()), list(live.subset().item_ids())) == (["B", "D"], ["A", "D"])


def test_the_first_test_stays_and_an_id_is_tested_once_a_row(live):
    asked = []

    def test(item_ids):
        asked.extend(item_ids)
        return _is_upper(item_ids)

    live.tell_apart(test)
    live.tell_apart(lambda item_ids: pytest.fail("asked"))
    live.apply(["E"], NORTH, sequence=1)
    live.apply([], [], deleted=["a"], sequence=2)
    assert _found(live) == ["B", "D", "E"]
    assert asked == ["B", "D", "a", "c", "E"]


def test_a_write_whose_test_fails_changes_nothing(live):
    def test(item_ids):
        if "bad" in item_ids:
            raise MemoryError
        return _is_upper(item_ids)

    live.tell_apart(test)
    with pytest.raises(MemoryError):
        live.apply([*"VWXYZ", "U", "T", "S", "bad"], np.tile(NORTH, (9, 1)), sequence=1)
    live.apply([], [], deleted=["B"], sequence=1)
    assert _found(live) == ["D"]
    live.apply(["E"], NORTH, sequence=2)
    assert _found(live) == ["D", "E"]
    assert live.num_items == 4


def test_ids_are_tested_a_bounded_number_at_once(monkeypatch):
    monkeypatch.setattr(subset, "_IDS_AT_ONCE", 3)
    sizes = []

    def test(item_ids):
        sizes.append(len(item_ids))
        return _is_upper(item_ids)

    assert subset.tested(test, list("aBCdEfG")).tolist() == [False, True, True, False, True, False, True]
    assert sizes == [3, 3, 1]
    assert subset.tested(test, []).tolist() == []


def test_rows_are_unpacked_as_far_as_asked(monkeypatch):
    monkeypatch.setattr(bitmap, "_ROWS_AT_ONCE", 5)
    rows = np.array([0, 4, 5, 9, 12])
    packed = bitmap.from_rows(rows, 13)
    assert list(bitmap.each_row(packed, 13)) == bitmap.to_rows(packed, 13).tolist() == rows.tolist()
    assert list(bitmap.each_row(packed, 12)) == [0, 4, 5, 9]
    assert list(bitmap.each_row(packed, 0)) == []
