"""Merging base and fresh part into a new base: the same answers, writes meanwhile, memory given back."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from index import merging
from index.attribute_growth import GrowingAttributes
from index.attributes import ColumnSpec
from index.conditions import AnyOf, Equals, Not, Present, Range
from index.errors import MissingBackendError
from index.factory import IndexConfig, build_index
from index.flat import FlatIndex
from index.live import IndexCounts, LiveIndex
from index.protocols import Hits, SearchOptions
from index.sparse import SparseIndex

EAST, NORTH, WEST = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
COLUMNS = [
    ColumnSpec(name="color", kind="category"),
    ColumnSpec(name="tags", kind="set"),
    ColumnSpec(name="price", kind="number"),
]


@pytest.fixture
def live() -> LiveIndex:
    vectors = np.stack([EAST, NORTH, WEST])
    return LiveIndex(["a", "c", "e"], vectors, FlatIndex(vectors), sequence=3)


def _same(one: list[Hits], other: list[Hits]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.item_ids == b.item_ids
        np.testing.assert_array_equal(a.scores, b.scores)


def test_merge_puts_live_items_in_id_order_and_empties_the_fresh_part(live):
    live.apply(["f", "b", "c"], np.stack([EAST, NORTH, WEST]), deleted=["e"], sequence=4)
    live.apply([], [], deleted=["f"], sequence=5)
    live.apply(["0"], NORTH[None], sequence=6)
    assert live.merge()
    assert live.counts() == IndexCounts(base=4, fresh=0, deleted=0, items=4)
    assert live._view.item_ids == ["0", "a", "b", "c"]
    np.testing.assert_array_equal(live.gather(["0", "a", "b", "c"])[0], np.stack([NORTH, EAST, NORTH, WEST]))
    assert (live.sequence, live.base.kind) == (6, "flat")
    live.apply(["e"], EAST[None], sequence=7)
    assert live.search(EAST[None], 2)[0].item_ids == ["a", "e"]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh", "ivf_flat", "scalar", "kd_tree"])
def test_merged_base_is_of_the_same_kind_and_parameters_and_answers_alike(kind, unit_vectors):
    vectors, item_ids = unit_vectors(300, 8), [f"{row:03}" for row in range(300)]
    parameters = {"hnsw": {"threads": 1, "m": 8}, "ivf_flat": {"lists": 4}, "lsh": {"threads": 1}}.get(kind, {})
    live = LiveIndex(item_ids, vectors, build_index(vectors, IndexConfig(kind=kind, parameters=parameters)), sequence=0)
    live.apply([f"n{row}" for row in range(40)], unit_vectors(40, 8, seed=1), deleted=item_ids[::7], sequence=1)
    queries, options = unit_vectors(5, 8, seed=2), [SearchOptions(exact=True)] * 5
    before, old = live.search(queries, 20, options), live.base
    assert live.merge()
    assert live.base is not old
    assert (live.base.kind, live.base.parameters()) == (kind, old.parameters())
    _same(live.search(queries, 20, options), before)
    found = live.search(queries, 20)
    assert np.mean([len(set(a.item_ids) & set(b.item_ids)) for a, b in zip(found, before, strict=True)]) >= 18


def test_bags_attributes_and_subset_go_along(live, bags_of):
    vectors = np.stack([EAST, NORTH, WEST])
    live = LiveIndex(
        ["a", "c", "e"], vectors, FlatIndex(vectors), sequence=0, content=SparseIndex(bags_of({1: 1}, {}, {2: 1}))
    )
    columns = GrowingAttributes(COLUMNS)
    columns.append([{"color": "red", "tags": ["x", "y"]}, {"price": 3}, {"color": "blue", "tags": ["z"], "price": 1.5}])
    live.set_attributes(columns.frozen())
    live.tell_apart(lambda ids: np.array([item_id in "abc" for item_id in ids], dtype=np.bool_))
    rows = [{"color": "green", "tags": ["y"], "price": 2}, {"color": "red"}]
    live.apply(
        ["b", "e"], np.stack([WEST, EAST]), deleted=["c"], sequence=1, bags=bags_of({7: 4}, {1: 2}), attributes=rows
    )

    def answers() -> list[list[str]]:
        red, x = Equals("color", "red"), AnyOf("tags", ("x", "y"))
        conditions = [red, x, Not(red), Present("price"), Range("price", low=1.6), Equals("color", "blue")]
        found = [list(live.filtered(condition).item_ids()) for condition in conditions]
        subset = live.subset()
        return [*found, list(subset.item_ids()), list(live.item_ids())]

    expected = [["a", "e"], ["a", "b"], ["b"], ["b"], ["b"], [], ["a", "b"], ["a", "b", "e"]]
    assert answers() == expected
    assert live.merge()
    assert answers() == expected
    assert live.gather_bags(["a", "b", "e"])[0].weights.tolist() == [1, 4, 2]
    assert live.search(EAST[None], 1, profiles=bags_of({1: 1}))[0].item_ids == ["e"]
    live.apply(["d"], EAST[None], sequence=2, bags=bags_of({1: 9}), attributes=[{"color": "red", "tags": ["x"]}])
    assert answers()[:2] == [["a", "d", "e"], ["a", "b", "d"]]


def test_writes_during_a_merge_are_in_the_new_base_or_on_top_of_it(live, monkeypatch):
    build, vector = merging.build_kind, NORTH[None].copy()

    def build_and_be_written_to(*arguments):
        base = build(*arguments)
        live.apply(["b"], vector, deleted=["a"], sequence=5)
        vector[:] = WEST  # the caller's array is its own again
        live.apply(["c"], WEST[None], sequence=6)
        live.tell_apart(lambda ids: np.array([item_id > "b" for item_id in ids], dtype=np.bool_))
        live.apply([], [], deleted=["d"], sequence=7)
        assert live.search(NORTH[None], 1)[0].item_ids == ["b"]
        return base

    live.apply(["d"], EAST[None], sequence=4)
    monkeypatch.setattr(merging, "build_kind", build_and_be_written_to)
    assert live.merge()
    assert list(live.item_ids()) == ["b", "c", "e"]
    assert live.counts() == IndexCounts(base=4, fresh=2, deleted=3, items=3)
    np.testing.assert_array_equal(live.gather(["b", "c", "e"])[0], np.stack([NORTH, WEST, WEST]))
    assert live.sequence == 7
    assert list(live.subset().item_ids()) == ["c", "e"]


def test_failing_or_stopped_merge_leaves_the_old_base_serving(live, monkeypatch):
    def fail(*_):
        raise MissingBackendError("no library")

    live.apply(["b"], NORTH[None], sequence=4)
    before = live._view
    with monkeypatch.context() as patched:
        patched.setattr(merging, "build_kind", fail)
        with pytest.raises(MissingBackendError):
            live.merge()
    answers = iter([True, False])
    assert not live.merge(lambda: next(answers))
    assert not live.merge(lambda: False)
    assert live._view is before
    live.apply(["d"], EAST[None], sequence=5)
    assert live.merge()
    assert list(live.item_ids()) == ["a", "b", "c", "d", "e"]


def test_memory_of_the_old_base_is_given_back(unit_vectors):
    vectors = unit_vectors(50)
    base = build_index(vectors, IndexConfig(kind="hnsw", parameters={"threads": 1}))
    live = LiveIndex([f"{row:02}" for row in range(50)], vectors, base, sequence=0)
    live.apply(["x"], vectors[:1], sequence=1)
    old, fresh = weakref.ref(base), weakref.ref(live._view.fresh)
    del base
    subset = live.subset()
    assert live.merge()
    gc.collect()
    assert (old(), fresh(), subset) == (None, None, None)


def test_everything_may_be_deleted_before_a_merge(live):
    live.apply([], [], deleted=["a", "c", "e"], sequence=4)
    assert live.merge()
    assert live.search(EAST[None], 3)[0].item_ids == []
    live.apply(["x"], EAST[None], sequence=5)
    assert live.merge()
    assert live.search(EAST[None], 3)[0].item_ids == ["x"]


def test_readers_and_a_writer_go_on_while_bases_are_merged(live):
    faults: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            hits = live.search(EAST[None], 20)[0]
            scores = dict(zip(hits.item_ids, hits.scores.tolist(), strict=True))
            if scores.get("x", 0) * scores.get("y", 0) != -1:
                faults.append(scores)

    def merge() -> None:
        while live.merge(lambda: not done.is_set()):
            pass

    live.apply(["x", "y"], np.stack([EAST, WEST]), sequence=4)
    threads = [threading.Thread(target=target) for target in (read, read, merge)]
    for thread in threads:
        thread.start()
    for number in range(200):
        there, back = (EAST, WEST) if number % 2 else (WEST, EAST)
        live.apply(["x", "y", f"n{number % 7}"], np.stack([there, back, NORTH]), deleted=["n"], sequence=number + 5)
        hits = live.search(there[None], 20)[0]
        if hits.scores[hits.item_ids.index("x")] != 1:
            faults.append(f"write {number} is not visible")
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert live.num_items == 12
