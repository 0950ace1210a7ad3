from __future__ import annotations

import threading

import numpy as np
import pytest

from index import view
from index.errors import InvalidQueryError, InvalidVectorError
from index.factory import IndexConfig, build_index
from index.flat import FlatIndex
from index.live import IndexCounts, LiveIndex
from index.protocols import SearchOptions

EAST, NORTH, WEST, DIAGONAL = np.array([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]], dtype=np.float32)


def _live(items: dict[str, np.ndarray], *, sequence: int = 0) -> LiveIndex:
    item_ids = sorted(items)
    vectors = np.array([items[item_id] for item_id in item_ids], dtype=np.float32).reshape(-1, 2)
    return LiveIndex(item_ids, vectors, FlatIndex(vectors), sequence=sequence)


@pytest.fixture
def live() -> LiveIndex:
    return _live({"a": EAST, "b": NORTH, "c": WEST}, sequence=3)


def _found(live: LiveIndex, query: np.ndarray, k: int = 10, **options: object) -> list[str]:
    return live.search(query[None], k, [SearchOptions(**options)])[0].item_ids


def test_upsert_is_found_by_the_next_search(live):
    live.apply(["new"], DIAGONAL[None], sequence=4)
    hits = live.search(NORTH[None], 3)[0]
    assert hits.item_ids == ["b", "new", "a"]
    np.testing.assert_array_equal(hits.scores, np.array([1, 0.8, 0], dtype=np.float32))
    assert live.sequence == 4
    assert "new" in live


def test_upsert_replaces_a_base_item_and_then_a_fresh_one(live):
    live.apply(["a"], NORTH[None], sequence=4)
    assert _found(live, NORTH) == ["a", "b", "c"]
    live.apply(["a"], WEST[None], sequence=5)
    assert _found(live, WEST) == ["a", "c", "b"]
    assert live.counts() == IndexCounts(base=3, fresh=1, deleted=1, items=3)


def test_delete_hides_base_and_fresh_items_for_good(live):
    live.apply(["new"], EAST[None], deleted=["b"], sequence=4)
    live.apply([], np.empty((0, 2), dtype=np.float32), deleted=["new", "a", "never stored"], sequence=5)
    assert _found(live, EAST) == ["c"]
    assert "new" not in live
    assert live.counts() == IndexCounts(base=3, fresh=0, deleted=2, items=1)


def test_deleted_item_comes_back_when_upserted(live):
    live.apply([], [], deleted=["a"], sequence=4)
    live.apply(["a"], EAST[None], sequence=5)
    assert _found(live, EAST, 1) == ["a"]


def test_empty_index_takes_items():
    live = _live({})
    assert live.search(EAST[None], 5)[0].item_ids == []
    live.apply(["x"], EAST[None], sequence=1)
    assert _found(live, EAST) == ["x"]


def test_equal_scores_come_in_byte_order_of_ids_across_the_parts():
    live = _live({"b": EAST, "é": EAST, "😀": EAST})
    live.apply(["z", "a", "Z", "\uffff"], np.tile(EAST, (4, 1)), sequence=1)
    expected = sorted(["b", "é", "😀", "z", "a", "Z", "\uffff"], key=lambda item_id: item_id.encode())
    for k in range(1, 8):
        assert _found(live, EAST, k) == expected[:k]


def test_tie_at_the_last_place_among_fresh_rows_is_cut_in_id_order():
    live = _live({"m": NORTH})
    for number in range(300, 0, -1):
        live.apply([f"{number:03}"], EAST[None], sequence=301 - number)
    assert _found(live, EAST, 5) == ["001", "002", "003", "004", "005"]
    assert _found(live, EAST, 3, exclude=["002"]) == ["001", "003", "004"]


def test_exclusion_never_leaves_a_result_short(live, unit_vectors):
    vectors = unit_vectors(300)
    item_ids = [f"{row:03}" for row in range(300)]
    live = LiveIndex(
        item_ids, vectors, build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1})), sequence=0
    )
    near = live.search(vectors[:1], 100)[0].item_ids
    hits = live.search(vectors[:1], 50, [SearchOptions(exclude=[*near, "unknown"])])[0]
    assert len(hits.item_ids) == 50
    assert not set(hits.item_ids) & set(near)
    assert live.search(vectors[:1], 50, [SearchOptions(exclude=item_ids)])[0].item_ids == []


def test_candidates_are_the_only_ones_returned(live):
    live.apply(["new"], DIAGONAL[None], deleted=["c"], sequence=4)
    assert _found(live, EAST, candidates=["new", "unknown", "b", "c", "b"]) == ["new", "b"]
    assert _found(live, EAST, candidates=["new", "b"], exclude=["new"]) == ["b"]
    assert _found(live, EAST, candidates=[]) == []
    assert _found(live, EAST, 1, candidates=["a", "b"]) == ["a"]


def test_every_way_to_search_gives_the_same_floats(unit_vectors):
    vectors, queries = unit_vectors(500, 33), unit_vectors(8, 33, seed=1)
    item_ids = [f"{row:03}" for row in range(500)]
    live = LiveIndex(
        item_ids, vectors, build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1})), sequence=0
    )
    fresh = LiveIndex([], vectors[:0], FlatIndex(vectors[:0]), sequence=0)
    fresh.apply(item_ids, vectors, sequence=1)
    exact = live.search(queries, 500, [SearchOptions(exact=True)] * 8)
    listed = live.search(queries, 500, [SearchOptions(candidates=item_ids)] * 8)
    for other in (listed, fresh.search(queries, 500)):
        for a, b in zip(exact, other, strict=True):
            assert a.item_ids == b.item_ids
            np.testing.assert_array_equal(a.scores, b.scores)
    for i, hits in enumerate(live.search(queries, 10)):
        scores = dict(zip(exact[i].item_ids, exact[i].scores.tolist(), strict=True))
        assert hits.scores.tolist() == [scores[item_id] for item_id in hits.item_ids]


def test_batch_of_different_options_equals_single_searches(unit_vectors):
    vectors, queries = unit_vectors(400), unit_vectors(12, seed=1)
    item_ids = [f"{row:03}" for row in range(400)]
    live = LiveIndex(
        item_ids, vectors, build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1})), sequence=0
    )
    live.apply(item_ids[::9], unit_vectors(45, seed=2), deleted=item_ids[1::9], sequence=1)
    shared = item_ids[::3]
    kinds = [
        SearchOptions(),
        SearchOptions(exclude=item_ids[:40]),
        SearchOptions(candidates=shared),
        SearchOptions(exact=True, exclude={"007"}),
    ]
    options = kinds * 3
    together = live.search(queries, 7, options)
    for i in range(12):
        alone = live.search(queries[i : i + 1], 7, options[i : i + 1])[0]
        assert alone.item_ids == together[i].item_ids
        np.testing.assert_array_equal(alone.scores, together[i].scores)


def test_gather_gives_present_vectors_and_which_they_are(live):
    live.apply(["a", "new"], np.stack([WEST, DIAGONAL]), deleted=["b"], sequence=4)
    vectors, mask = live.gather(["new", "b", "a", "unknown", "c"])
    assert mask.tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(vectors, np.stack([DIAGONAL, WEST, WEST]))
    vectors, mask = live.gather([])
    assert (vectors.shape, mask.shape) == ((0, 2), (0,))


def test_item_ids_are_those_of_one_moment_in_byte_order(live):
    live.apply(["😀", "aa"], np.stack([EAST, WEST]), deleted=["b"], sequence=4)
    listed = live.item_ids()
    first = next(listed)
    live.apply(["ab"], EAST[None], deleted=["c"], sequence=5)
    assert [first, *listed] == ["a", "aa", "c", "😀"]
    assert list(live.item_ids()) == ["a", "aa", "ab", "😀"]
    assert (live.dim, live.base.kind) == (2, "flat")


def test_a_frozen_index_stays_as_it_was_whatever_is_written_and_merged(live):
    live.apply(["d"], WEST[None], sequence=4)
    before = live.frozen()
    live.apply(["d", "e"], np.array([EAST, EAST]), deleted=["a"], sequence=5)
    assert live.merge()
    assert (before.sequence, before.num_items, list(before.item_ids())) == (4, 4, ["a", "b", "c", "d"])
    hits = before.search(EAST[None], 10)[0]
    assert (hits.item_ids, hits.scores.tolist()) == (["a", "b", "c", "d"], [1, 0, -1, -1])
    vectors, held = before.gather(["d", "e", "a"])
    assert held.tolist() == [True, False, True]
    np.testing.assert_array_equal(vectors, [WEST, EAST])
    assert (live.sequence, list(live.item_ids())) == (5, ["b", "c", "d", "e"])


def test_an_index_says_which_part_holds_an_item(live):
    live.apply(["b", "new"], np.array([NORTH, NORTH]), deleted=["a"], sequence=4)
    parts = {"a": None, "b": "fresh", "c": "base", "new": "fresh", "unknown": None}
    assert {item_id: live.part_of(item_id) for item_id in parts} == parts
    live.merge()
    assert {live.part_of(item_id) for item_id in ("b", "c", "new")} == {"base"}


def test_item_rewritten_for_ever_does_not_fill_memory(live, monkeypatch):
    monkeypatch.setattr(view, "_MIN_DEAD_ROWS", 10)
    for number in range(100):
        live.apply(["x", f"y{number % 3}"], np.stack([EAST, NORTH]), sequence=number + 4)
        assert live._view.fresh.num_rows <= 26
    assert _found(live, EAST, 2) == ["a", "x"]
    assert live.counts() == IndexCounts(base=3, fresh=4, deleted=0, items=7)


def test_bad_step_changes_nothing(live):
    before = live.counts(), live.sequence
    bad = np.stack([EAST, NORTH])
    bad[1, 0] = np.nan
    with pytest.raises(InvalidVectorError, match=r"vectors\[1\] \(item 'y'\) is NaN at position 0"):
        live.apply(["x", "y"], bad, deleted=["a"], sequence=4)
    with pytest.raises(InvalidVectorError, match=r"want \[n, 2\]"):
        live.apply(["x"], np.ones((1, 3), dtype=np.float32), sequence=4)
    with pytest.raises(InvalidQueryError, match="'x' comes twice"):
        live.apply(["x", "x"], np.stack([EAST, NORTH]), sequence=4)
    with pytest.raises(InvalidQueryError, match="'x' is in item_ids and in deleted"):
        live.apply(["x"], EAST[None], deleted=["x"], sequence=4)
    with pytest.raises(InvalidQueryError, match="1 vectors for 2 item_ids"):
        live.apply(["x", "y"], EAST[None], sequence=4)
    with pytest.raises(InvalidQueryError, match="sequence 2 is below 3"):
        live.apply(["x"], EAST[None], sequence=2)
    assert (live.counts(), live.sequence) == before
    assert "x" not in live


def test_search_refuses_options_of_another_number(live):
    with pytest.raises(InvalidQueryError, match="1 options for 2 queries"):
        live.search(np.stack([EAST, WEST]), 1, [SearchOptions()])


def test_parts_that_do_not_belong_together_are_refused():
    vectors = np.stack([EAST, WEST])
    with pytest.raises(InvalidQueryError, match="do not belong together"):
        LiveIndex(["a"], vectors, FlatIndex(vectors), sequence=0)
    with pytest.raises(InvalidQueryError, match=r"item_ids\[1\] 'a' does not come after 'b'"):
        LiveIndex(["b", "a"], vectors, FlatIndex(vectors), sequence=0)


def test_k_of_a_thousand_million_returns_everything(live):
    assert _found(live, EAST, 10**9) == ["a", "b", "c"]


def test_readers_never_see_an_item_in_neither_or_both_states(unit_vectors):
    # Item "x" moves between EAST and WEST in one step with "y", which goes the other way.
    live = _live({"x": EAST, "y": WEST, "z": NORTH})
    faults: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            hits = live.search(EAST[None], 4)[0]
            scores = dict(zip(hits.item_ids, hits.scores.tolist(), strict=True))
            if sorted(hits.item_ids) != ["x", "y", "z"] or scores["x"] != -scores["y"]:
                faults.append(f"search {hits}")
            vectors, mask = live.gather(["x", "y", "z"])
            if not mask.all() or vectors[0, 0] != -vectors[1, 0]:
                faults.append(f"gather {vectors.tolist()} {mask.tolist()}")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(400):
        there, back = (EAST, WEST) if number % 2 else (WEST, EAST)
        live.apply(["x", "y"], np.stack([there, back]), sequence=number + 1)
        if live.search(there[None], 1)[0].item_ids != ["x"]:
            faults.append(f"write {number} is not visible")
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []


def test_a_frozen_index_stays_as_it_was_through_writes_and_merges(live):
    live.apply(["new"], DIAGONAL[None], sequence=4)
    frozen, counts = live.frozen(), live.counts()
    live.apply(["newer"], NORTH[None], deleted=["b"], sequence=5)
    assert live.merge()
    assert _found(live, NORTH) == ["newer", "new", "a", "c"]
    assert _found(frozen, NORTH) == ["b", "new", "a", "c"]
    assert (frozen.sequence, frozen.counts(), "newer" in frozen) == (4, counts, False)
