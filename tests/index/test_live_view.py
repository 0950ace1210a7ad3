from __future__ import annotations

import numpy as np
import pytest

from index.flat import FlatIndex
from index.live import LiveIndex

EAST, NORTH, WEST = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)


@pytest.fixture
def live() -> LiveIndex:
    """Items a and b in the base, c in the fresh part."""
    vectors = np.array([EAST, NORTH])
    index = LiveIndex(["a", "b"], vectors, FlatIndex(vectors), sequence=3)
    index.apply(["c"], WEST[None], sequence=4)
    return index


def test_a_view_stays_as_it_was_whatever_is_written_and_merged(live):
    before = live.view()
    live.apply(["c", "d"], np.array([EAST, EAST]), deleted=["a"], sequence=5)
    assert live.merge()
    assert (before.sequence, before.num_items, list(before.item_ids())) == (4, 3, ["a", "b", "c"])
    assert "d" not in before
    hits = before.search(EAST[None], 10)[0]
    assert (hits.item_ids, hits.scores.tolist()) == (["a", "b", "c"], [1, 0, -1])
    vectors, held = before.gather(["c", "d", "a"])
    assert held.tolist() == [True, False, True]
    np.testing.assert_array_equal(vectors, [WEST, EAST])
    assert (live.view().sequence, list(live.view().item_ids())) == (5, ["b", "c", "d"])


def test_a_view_says_which_part_holds_an_item(live):
    live.apply(["b"], NORTH[None], deleted=["a"], sequence=5)
    assert {item_id: live.view().part_of(item_id) for item_id in "abcx"} == {
        "a": None,
        "b": "fresh",
        "c": "fresh",
        "x": None,
    }
    live.merge()
    assert live.view().part_of("c") == "base"


def test_a_view_of_an_index_that_tells_none_apart_has_no_subset(live):
    assert live.view().subset() is None
    before = live.view()
    live.tell_apart(lambda item_ids: np.array([item_id > "a" for item_id in item_ids]))
    assert before.subset() is None
    assert list(live.view().subset().item_ids()) == ["b", "c"]
