"""A fresh part that is hashed: the switch hides nothing, and what it returns obeys filters, deletes and the order."""

from __future__ import annotations

import numpy as np
import pytest

from index import fresh, view
from index.flat import FlatIndex
from index.live import LiveIndex
from index.lsh import LshIndex
from index.lsh_parameters import LshParameters
from index.protocols import SearchOptions

EAST, NORTH = np.array([[1, 0], [0, 1]], dtype=np.float32)


@pytest.fixture
def live(unit_vectors) -> LiveIndex:
    """100 items in the base; 400 are fresh, in no order, after 30 deletes."""
    vectors = unit_vectors(500, 16)
    item_ids = [f"{row:03}" for row in range(0, 500, 5)]
    live = LiveIndex(item_ids, vectors[::5], FlatIndex(vectors[::5]), sequence=0)
    rows = np.random.default_rng(0).permutation([row for row in range(500) if row % 5])
    live.apply([f"{row:03}" for row in rows], vectors[rows], sequence=1)
    live.apply([], [], deleted=[f"{row:03}" for row in range(30)], sequence=2)
    return live


def test_hashed_part_finds_nearly_what_a_scan_finds_with_the_same_scores(live, unit_vectors):
    queries = unit_vectors(20, 16, seed=1)
    scanned = live.search(queries, 20)
    live.hash_fresh()
    hashed = live.search(queries, 20)
    shared = [len(set(a.item_ids) & set(b.item_ids)) for a, b in zip(scanned, hashed, strict=True)]
    assert np.mean(shared) >= 18
    for one, other in zip(scanned, hashed, strict=True):
        scores = dict(zip(one.item_ids, one.scores.tolist(), strict=True))
        assert all(scores.get(i, s) == s for i, s in zip(other.item_ids, other.scores.tolist(), strict=True))
        assert (np.diff(other.scores) <= 0).all()
        assert len(other.item_ids) == 20
        assert not any(item_id < "030" for item_id in other.item_ids)
    exact = live.search(queries, 20, [SearchOptions(exact=True)] * 20)
    assert [hits.item_ids for hits in exact] == [hits.item_ids for hits in scanned]


@pytest.mark.parametrize(("num_asked", "given"), [(31, None), (32, 32), (400, 160)])
def test_tables_suit_what_was_asked_last(live, unit_vectors, monkeypatch, num_asked, given):
    asked, seen, build = unit_vectors(num_asked, 16, seed=3), [], LshIndex.build
    monkeypatch.setattr(
        LshIndex, "build", lambda *arguments, queries: (seen.append(queries), build(*arguments, queries=queries))[1]
    )
    for query in asked:
        live.search(query[None], 3)
    live.hash_fresh()
    if given is None:
        assert seen == [None]
    else:
        assert {tuple(row) for row in seen[0]} == {tuple(row) for row in asked[-given:]}


def test_everything_there_is_can_be_asked_for(live, unit_vectors):
    live.hash_fresh()
    hits = live.search(unit_vectors(1, 16, seed=1), 1000, [SearchOptions(exclude=["100", "101"])])[0]
    assert sorted(hits.item_ids) == sorted(set(live.item_ids()) - {"100", "101"})


def test_writes_after_the_switch_and_while_it_is_made_are_found(live, unit_vectors, monkeypatch):
    new, build = unit_vectors(3, 16, seed=2), LshIndex.build

    def build_and_be_written_to(*arguments, **queries):
        hashed = build(*arguments, **queries)
        live.apply(["during"], new[:1], deleted=["499"], sequence=3)
        assert live.search(new[:1], 1)[0].item_ids == ["during"]
        return hashed

    monkeypatch.setattr(LshIndex, "build", build_and_be_written_to)
    live.hash_fresh()
    live.apply(["after"], new[1:2], deleted=["498"], sequence=4)
    for row, item_id in ((0, "during"), (1, "after")):
        assert live.search(new[row : row + 1], 1)[0].item_ids == [item_id]
    assert not {"499", "498"} & set(live.search(new[:1], 1000)[0].item_ids)
    live.hash_fresh()  # again: nothing to do
    assert live._view.fresh.hashed.num_rows == live._view.num_fresh_rows == 402


def test_ties_at_the_last_place_are_cut_in_id_order(monkeypatch):
    monkeypatch.setattr(fresh, "HASHING", LshParameters(bits=1, tables=1, probes=2))
    live = LiveIndex(["m"], NORTH[None], FlatIndex(NORTH[None]), sequence=0)
    live.apply([f"{number:03}" for number in range(300, 0, -1)], np.tile(EAST, (300, 1)), sequence=1)
    live.hash_fresh()
    assert live.search(EAST[None], 5)[0].item_ids == ["001", "002", "003", "004", "005"]
    assert live.search(EAST[None], 3, [SearchOptions(exclude=["002"])])[0].item_ids == ["001", "003", "004"]


def test_part_that_was_compacted_meanwhile_is_scanned_until_it_is_hashed_again(live, unit_vectors, monkeypatch):
    monkeypatch.setattr(view, "_MIN_DEAD_ROWS", 10)
    live.hash_fresh()
    live.apply([], [], deleted=[f"{row:03}" for row in range(300)], sequence=3)
    assert live._view.fresh.hashed is None
    assert len(live.search(unit_vectors(1, 16), 1000)[0].item_ids) == 200
    live.hash_fresh()
    assert live._view.fresh.hashed.num_rows == 160


def test_tables_that_find_no_memory_are_given_up(live, unit_vectors, monkeypatch):
    def full(*_):
        raise MemoryError

    live.hash_fresh()
    monkeypatch.setattr(live._view.fresh.hashed, "append", full)
    new = unit_vectors(1, 16, seed=3)
    live.apply(["new"], new, sequence=3)
    assert live._view.fresh.hashed is None
    assert live.search(new, 1)[0].item_ids == ["new"]
