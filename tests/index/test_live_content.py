"""The live index over items with bags: one score of both parts, whatever holds the item and whatever is asked."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from index import sparse, view
from index.bags import Bags
from index.errors import InvalidQueryError
from index.factory import IndexConfig, build_index
from index.flat import FlatIndex
from index.live import LiveIndex
from index.protocols import Hits, SearchOptions
from index.sparse import SparseIndex

EAST, NORTH = np.array([[1, 0], [0, 1]], dtype=np.float32)
RED, BLUE = 11, 2**64 - 7


@pytest.fixture
def live(bags_of) -> LiveIndex:
    vectors = np.stack([EAST, NORTH, NORTH])
    content = SparseIndex(bags_of({RED: 1}, {}, {RED: 0.5, BLUE: 0.5}))
    return LiveIndex(["a", "b", "c"], vectors, FlatIndex(vectors), sequence=3, content=content)


@pytest.fixture
def big(unit_vectors, zipf_bags) -> LiveIndex:
    """A graph of 500 items; 45 are replaced, 60 deleted, 40 new, and some of it changed again."""
    vectors, item_ids = unit_vectors(500, 33), [f"{row:03}" for row in range(500)]
    base = build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1}))
    live = LiveIndex(item_ids, vectors, base, sequence=0, content=SparseIndex(zipf_bags(500)))
    live.apply(item_ids[:45], unit_vectors(45, 33, seed=5), deleted=item_ids[90:150], sequence=1, bags=zipf_bags(45))
    new = [f"n{number:02}" for number in range(40)]
    live.apply(new, unit_vectors(40, 33, seed=6), sequence=2, bags=zipf_bags(40, seed=6))
    live.apply(new[:5], unit_vectors(5, 33, seed=7), deleted=new[-4:], sequence=3, bags=zipf_bags(5, seed=7))
    return live


def _same(one: Hits, other: Hits) -> None:
    assert one.item_ids == other.item_ids
    np.testing.assert_array_equal(one.scores, other.scores)


def test_score_is_the_sum_of_both_parts(live, bags_of):
    hits = live.search(NORTH[None], 3, profiles=bags_of({RED: 2, BLUE: 0.5}))[0]
    assert hits.item_ids == ["c", "a", "b"]  # 1 + 1.25, 0 + 2, 1 + 0
    assert hits.scores.tolist() == [2.25, 2, 1]
    assert live.has_content


def test_upsert_is_found_by_its_tokens_at_once_and_a_delete_is_gone(live, bags_of):
    profile = bags_of({BLUE: 3})
    live.apply(["new"], EAST[None], sequence=4, bags=bags_of({BLUE: 1}))
    assert live.search(NORTH[None], 2, profiles=profile)[0].item_ids == ["new", "c"]
    live.apply(["new", "c"], np.stack([EAST, EAST]), sequence=5, bags=bags_of({RED: 1}, {BLUE: 2}))
    assert live.search(NORTH[None], 2, profiles=profile)[0].item_ids == ["c", "b"]
    live.apply([], [], deleted=["c"], sequence=6)
    assert live.search(NORTH[None], 2, profiles=profile)[0].item_ids == ["b", "a"]


def test_gather_gives_bags_of_base_and_fresh_items_in_the_order_asked(live, bags_of):
    live.apply(["new", "a"], np.stack([EAST, EAST]), sequence=4, bags=bags_of({BLUE: 1}, {RED: 4, BLUE: 5}))
    bags, mask = live.gather_bags(["c", "a", "unknown", "b", "new", "c"])
    assert mask.tolist() == [True, True, False, True, True, True]
    expected = bags_of({RED: 0.5, BLUE: 0.5}, {RED: 4, BLUE: 5}, {}, {BLUE: 1}, {RED: 0.5, BLUE: 0.5})
    for name in ("tokens", "weights", "offsets"):
        np.testing.assert_array_equal(getattr(bags, name), getattr(expected, name))
    assert len(live.gather_bags([])[0]) == 0


def test_every_way_to_search_gives_the_same_floats(big, unit_vectors, zipf_bags):
    queries, profiles = unit_vectors(8, 33, seed=1), zipf_bags(8, seed=2, length=40)
    everything = list(big.item_ids())
    exact = big.search(queries, 1000, [SearchOptions(exact=True)] * 8, profiles=profiles)
    listed = big.search(queries, 1000, [SearchOptions(candidates=everything)] * 8, profiles=profiles)
    nothing = np.empty((0, 33), dtype=np.float32)
    fresh = LiveIndex([], nothing, FlatIndex(nothing), sequence=0, content=SparseIndex(Bags.none(0)))
    fresh.apply(everything, big.gather(everything)[0], sequence=1, bags=big.gather_bags(everything)[0])
    all_fresh = fresh.search(queries, 1000, profiles=profiles)
    for i, hits in enumerate(exact):
        assert sorted(hits.item_ids) == everything
        _same(hits, listed[i])
        _same(hits, all_fresh[i])
    approximate = big.search(queries, 10, profiles=profiles)
    for hits, truth in zip(approximate, exact, strict=True):
        scores = dict(zip(truth.item_ids, truth.scores.tolist(), strict=True))
        assert hits.scores.tolist() == [scores[item_id] for item_id in hits.item_ids]
        assert len(set(hits.item_ids) & set(truth.item_ids[:10])) >= 9


def test_batch_of_different_options_and_profiles_equals_single_searches(big, unit_vectors, zipf_bags):
    queries, profiles = unit_vectors(12, 33, seed=1), zipf_bags(12, seed=2)
    profiles = profiles.take(np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]))
    item_ids = list(big.item_ids())
    kinds = [
        SearchOptions(),
        SearchOptions(exclude=item_ids[:40]),
        SearchOptions(candidates=item_ids[::3]),
        SearchOptions(exact=True, exclude={"007"}),
    ]
    assert 0 < np.count_nonzero(np.diff(profiles.offsets) == 0) < 12  # some are empty
    together = big.search(queries, 7, kinds * 3, profiles=profiles)
    for i in range(12):
        one = profiles.take(np.array([i]))
        _same(big.search(queries[i : i + 1], 7, kinds[i % 4 : i % 4 + 1], profiles=one)[0], together[i])


def test_empty_profiles_give_what_vectors_alone_give(big, unit_vectors):
    queries = unit_vectors(6, 33, seed=1)
    options = [SearchOptions(), SearchOptions(exact=True), SearchOptions(candidates=["007", "n01", "200"])] * 2
    dense = big.search(queries, 9, options)
    for hits, same in zip(big.search(queries, 9, options, profiles=Bags.none(6)), dense, strict=True):
        _same(hits, same)


def test_tie_at_the_last_place_among_fresh_rows_is_cut_in_id_order(live, bags_of):
    for number in range(60, 0, -1):
        live.apply([f"{number:03}"], NORTH[None], sequence=64 - number, bags=bags_of({RED: 0.5, BLUE: 0.5}))
    found = live.search(NORTH[None], 4, profiles=bags_of({RED: 1, BLUE: 3}))[0]
    assert found.item_ids == ["001", "002", "003", "004"]
    excluded = SearchOptions(exclude=["002"])
    found = live.search(NORTH[None], 3, [excluded], profiles=bags_of({RED: 1, BLUE: 3}))[0]
    assert found.item_ids == ["001", "003", "004"]


def test_compaction_keeps_bags_with_their_items(live, bags_of, monkeypatch):
    monkeypatch.setattr(view, "_MIN_DEAD_ROWS", 5)
    for number in range(40):
        bags = bags_of({RED: 1 + number}, {BLUE: number + 1})
        live.apply(["x", f"y{number % 3}"], np.stack([EAST, NORTH]), sequence=number + 4, bags=bags)
    bags, mask = live.gather_bags(["x", "y0", "y1", "y2", "a"])
    assert mask.all()
    assert bags.weights.tolist() == [40, 40, 38, 39, 1]
    assert live.search(EAST[None], 1, profiles=bags_of({RED: 1}))[0].scores.tolist() == [41]


def test_a_write_that_fails_for_want_of_memory_leaves_rows_and_bags_together(live, bags_of, monkeypatch):
    def full(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(sparse, "with_room", full)
        with pytest.raises(MemoryError):
            live.apply(["x", "y"], np.stack([EAST, NORTH]), sequence=4, bags=bags_of({RED: 1}, {BLUE: 1}))
    live.apply(["y", "z"], np.stack([NORTH, EAST]), sequence=4, bags=bags_of({BLUE: 4}, {RED: 8}))
    found = live.search(EAST[None], 2, profiles=bags_of({RED: 1, BLUE: 1}))[0]
    assert (found.item_ids, found.scores.tolist()) == (["z", "y"], [9, 4])


def test_bags_and_profiles_that_do_not_fit_are_refused(live, bags_of):
    with pytest.raises(InvalidQueryError, match="1 item_ids without bags"):
        live.apply(["x"], EAST[None], sequence=4)
    with pytest.raises(InvalidQueryError, match="2 bags for 1 item_ids"):
        live.apply(["x"], EAST[None], sequence=4, bags=bags_of({}, {}))
    with pytest.raises(InvalidQueryError, match="1 profiles for 2 queries"):
        live.search(np.stack([EAST, NORTH]), 1, profiles=bags_of({}))
    with pytest.raises(InvalidQueryError, match="1 ids and a content of 2 rows"):
        LiveIndex(["a"], EAST[None], FlatIndex(EAST[None]), sequence=0, content=SparseIndex(Bags.none(2)))
    assert (live.sequence, "x" in live) == (3, False)
    dense = LiveIndex(["a"], EAST[None], FlatIndex(EAST[None]), sequence=0)
    assert not dense.has_content
    with pytest.raises(InvalidQueryError, match="without content"):
        dense.search(EAST[None], 1, profiles=bags_of({RED: 1}))
    with pytest.raises(InvalidQueryError, match="1 bags for an index without content"):
        dense.apply(["x"], EAST[None], sequence=1, bags=bags_of({}))
    bags, mask = dense.gather_bags(["a", "b"])
    assert (len(bags), bags.num_tokens, mask.tolist()) == (1, 0, [True, False])


def test_readers_never_see_an_item_with_half_of_a_write(live, bags_of):
    # Vector and bag of "x" change together, so that both parts of its score always add up to 2.
    faults: list[object] = []
    done = threading.Event()
    live.apply(["x"], EAST[None], sequence=4, bags=bags_of({RED: 1}))

    def read() -> None:
        while not done.is_set():
            hits = live.search(EAST[None], 5, profiles=bags_of({RED: 1, BLUE: 2}))[0]
            scores = dict(zip(hits.item_ids, hits.scores.tolist(), strict=True))
            if sorted(scores) != ["a", "b", "c", "x"] or scores["x"] != 2:
                faults.append(scores)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(300):
        vector, bag = (EAST, {RED: 1}) if number % 2 else (NORTH, {BLUE: 1})
        live.apply(["x"], vector[None], sequence=5 + number, bags=bags_of(bag))
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
