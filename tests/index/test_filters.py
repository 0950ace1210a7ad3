"""Filtered search of a live index: known answers first, then brute force over random filters."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter_oracle import SPECS as DRAWN_SPECS
from filter_oracle import Draw, holds
from index import filtering, view
from index.attribute_growth import GrowingAttributes
from index.attributes import AttributeMap, ColumnSpec
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from index.errors import InvalidQueryError
from index.factory import IndexConfig, build_index
from index.filtering import KeptBitmaps
from index.flat import FlatIndex
from index.live import LiveIndex
from index.protocols import SearchOptions
from index.sparse import SparseIndex

SPECS = (
    ColumnSpec(name="color", kind="category"),
    ColumnSpec(name="tags", kind="set"),
    ColumnSpec(name="size", kind="number"),
)
ITEMS: dict[str, AttributeMap] = {
    "a": {"color": "red", "tags": ("new",), "size": 1},
    "b": {"color": "blue", "tags": ("new", "sale"), "size": 2},
    "c": {"tags": ("sale",)},
    "d": {"color": "red", "size": 3},
}
EAST = np.array([[1.0, 0.0]], dtype=np.float32)
RED = Equals("color", "red")


def live_of(items: dict[str, AttributeMap], specs: tuple[ColumnSpec, ...] = SPECS) -> LiveIndex:
    vectors = np.repeat(EAST, len(items), axis=0)
    live = LiveIndex(list(items), vectors, FlatIndex(vectors), sequence=0)
    columns = GrowingAttributes(specs)
    columns.append(list(items.values()))
    live.set_attributes(columns.frozen())
    return live


@pytest.fixture
def live() -> LiveIndex:
    """Items a to d of one vector, so that an answer is whatever the filter leaves, in the order of the ids."""
    return live_of(ITEMS)


def found(live: LiveIndex, condition: Condition, k: int = 10, **options: object) -> str:
    option = SearchOptions(filter=condition, **options)
    return "".join(live.search(EAST, k, [option])[0].item_ids)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (RED, "ad"),
        (Equals("color", "Red"), ""),
        (Equals("size", 2), "b"),
        (In("color", ("red", "blue")), "abd"),
        (In("size", (1, 3, 9)), "ad"),
        (In("color", ()), ""),
        (AnyOf("tags", ("new", "unheard of")), "ab"),
        (AnyOf("tags", ()), ""),
        (AllOf("tags", ("new", "sale")), "b"),
        (AllOf("tags", ()), "abc"),
        (Range("size", 1, 2), "ab"),
        (Range("size", 1, 3, includes_low=False), "bd"),
        (Range("size", 1, 3, includes_high=False), "ab"),
        (Range("size", 2, 2, includes_high=False), ""),
        (Range("size", low=2), "bd"),
        (Range("size", high=2, includes_high=False), "a"),
        (Range("size", includes_low=False, includes_high=False), "abd"),
        (Range("size", float("inf"), includes_low=False), ""),
        (Present("color"), "abd"),
        (Not(RED), "bc"),
        (Not(Range("size", low=0)), "c"),
        (And((Present("color"), Not(RED))), "b"),
        (And((RED, Range("size", low=2))), "d"),
        (And(()), "abcd"),
        (Or((Equals("color", "blue"), Not(Present("size")))), "bc"),
        (Or(()), ""),
        (ItemIn(("d", "b", "nobody")), "bd"),
        (Not(ItemIn(("d", "b"))), "ac"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_filter_leaves_the_items_that_it_holds_for(live: LiveIndex, condition: Condition, expected: str) -> None:
    assert found(live, condition) == expected
    assert "".join(live.filtered(condition).item_ids()) == expected
    assert live.filtered(condition).num_items == len(expected)


def test_filter_joins_with_exclusions_candidates_exact_and_k(live: LiveIndex) -> None:
    assert found(live, RED, exclude=["a"]) == "d"
    assert found(live, RED, candidates=("b", "c", "d", "nobody")) == "d"
    assert found(live, RED, exact=True) == "ad"
    assert found(live, RED, k=1) == "a"


def test_written_item_has_its_new_attributes_at_once(live: LiveIndex) -> None:
    live.apply(["d", "e"], np.repeat(EAST, 2, axis=0), sequence=1, attributes=[{"color": "blue"}, {"color": "red"}])
    assert found(live, RED) == "ae"
    assert found(live, Present("size")) == "ab"  # what is replaced has the new ones alone
    live.apply([], [], deleted=["a"], sequence=2)
    assert found(live, RED) == "e"
    assert found(live, Not(ItemIn(("e",)))) == "bcd"
    assert found(live, ItemIn(("e", "d"))) == "de"
    live.apply(["e"], EAST, sequence=3, attributes=[{}])
    assert found(live, RED) == ""


def test_compaction_keeps_the_attributes_of_what_it_keeps(live: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_MIN_DEAD_ROWS", 2)
    for number in range(12):
        color = ("red", "blue")[number % 2]
        live.apply(
            ["x", f"y{number % 3}"],
            np.repeat(EAST, 2, axis=0),
            sequence=number + 1,
            attributes=[{"color": color, "size": number}, {"tags": (color, "all"), "size": number}],
        )
    assert live.counts().fresh == 4
    assert found(live, AnyOf("tags", ("all",))) == "y0y1y2"
    assert found(live, AnyOf("tags", ("red",))) == "y1"
    assert found(live, Equals("color", "blue")) == "bx"
    assert found(live, Range("size", low=10)) == "xy1y2"


def test_view_that_a_reader_holds_does_not_see_later_writes(live: LiveIndex) -> None:
    live.apply(["e"], EAST, sequence=1, attributes=[{"color": "red"}])
    reds = live.filtered(RED)
    live.apply(["e", "f"], np.repeat(EAST, 2, axis=0), deleted=["a"], sequence=2, attributes=[{}, {"color": "red"}])
    assert list(reds.item_ids()) == ["a", "d", "e"]
    assert list(reds.filtered(ItemIn(("a", "e", "f"))).item_ids()) == ["a", "e"]
    assert list(live.filtered(RED).item_ids()) == ["d", "f"]


def test_subset_that_is_told_apart_is_filtered_too(live: LiveIndex) -> None:
    live.tell_apart(lambda item_ids: np.array([item_id in "bde" for item_id in item_ids], dtype=np.bool_))
    live.apply(["e"], EAST, sequence=1, attributes=[{"color": "red"}])
    subset = live.subset()
    assert subset is not None
    assert subset.search(EAST, 9, [SearchOptions(filter=RED)])[0].item_ids == ["d", "e"]
    assert list(subset.filtered(Not(RED)).item_ids()) == ["b"]


def test_queries_of_one_batch_have_filters_of_their_own(live: LiveIndex) -> None:
    filters = [RED, None, Not(RED), Equals("color", "red")]
    hits = live.search(np.repeat(EAST, 4, axis=0), 9, [SearchOptions(filter=one) for one in filters])
    assert ["".join(hit.item_ids) for hit in hits] == ["ad", "abcd", "bc", "ad"]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (
            And((RED, Not(Equals("colour", "red")))),
            "filter.conditions[1].condition compares 'colour', which is no column; known columns are color (category)",
        ),
        (Equals("tags", "new"), "filter compares 'tags', a set, by Equals; want one of AnyOf, AllOf, Present"),
        (AnyOf("color", ("red",)), "filter compares 'color', a category, by AnyOf; want one of Equals, In, Present"),
        (Range("color", 1), "by Range; want one of Equals, In, Present"),
        (Or((Equals("color", 1),)), "filter.conditions[0] compares 'color', a category, with 1; want a string"),
        (In("size", ("2",)), "filter compares 'size', a number, with '2'; want a number"),
    ],
)
def test_condition_that_does_not_fit_is_refused_with_its_place(
    live: LiveIndex, condition: Condition, text: str
) -> None:
    for search in (found, lambda index, one: index.filtered(one)):
        with pytest.raises(InvalidQueryError) as refused:
            search(live, condition)
        assert text in str(refused.value)


def test_index_without_attributes_filters_by_id_alone() -> None:
    vectors = np.repeat(EAST, 2, axis=0)
    live = LiveIndex(["a", "b"], vectors, FlatIndex(vectors), sequence=0)
    assert live.columns is None
    assert found(live, ItemIn(("b",))) == "b"
    with pytest.raises(
        InvalidQueryError, match="compares 'color', but this index or snapshot holds no attributes; reb"
    ):
        found(live, RED)
    with pytest.raises(InvalidQueryError, match="1 attributes for an index without any"):
        live.apply(["c"], EAST, sequence=1, attributes=[{}])
    with pytest.raises(InvalidQueryError, match="there is no column: declare item attributes"):
        found(live_of({"a": {}}, specs=()), RED)


def test_attributes_that_do_not_fit_are_refused_before_anything_changes(live: LiveIndex) -> None:
    with pytest.raises(InvalidQueryError, match="1 item_ids without attributes for an index with attributes"):
        live.apply(["e"], EAST, sequence=1)
    with pytest.raises(InvalidQueryError, match="item 'e' has the attribute 'colour'"):
        live.apply(["e"], EAST, sequence=1, attributes=[{"colour": "red"}])
    with pytest.raises(InvalidQueryError, match="set attributes first, and once"):
        live.set_attributes(GrowingAttributes(SPECS).frozen())
    plain = LiveIndex(["a"], EAST, FlatIndex(EAST), sequence=0)
    with pytest.raises(InvalidQueryError, match="attributes of 0 rows for a base of 1; want one row each"):
        plain.set_attributes(GrowingAttributes(SPECS).frozen())
    assert (live.sequence, live.num_items) == (0, 4)


def test_kept_bitmaps_are_bounded_and_the_last_asked_for_stay() -> None:
    kept = KeptBitmaps(most_bytes=25)
    for name in "ab":
        kept.put(ItemIn((name,)), np.zeros(10, dtype=np.uint8))
    assert kept.get(ItemIn(("a",))) is not None
    kept.put(ItemIn(("c",)), np.zeros(10, dtype=np.uint8))
    kept.put(ItemIn(("huge",)), np.zeros(99, dtype=np.uint8))
    assert [name for name in ("a", "b", "c", "huge") if kept.get(ItemIn((name,))) is not None] == ["a", "c"]


def test_condition_over_the_base_is_evaluated_once(live: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Condition] = []
    compare = filtering._compared
    monkeypatch.setattr(
        filtering, "_compared", lambda column, condition: compared.append(condition) or compare(column, condition)
    )
    for sequence in (1, 2, 3):
        assert found(live, And((RED, Range("size", low=2)))) == "d"
        live.apply([], [], deleted=[f"nobody{sequence}"], sequence=sequence)
    assert compared == [RED, Range("size", low=2)]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
@pytest.mark.parametrize("share", [0.9, 0.3, 0.01], ids=str)
def test_bases_of_every_kind_return_as_many_as_there_are(unit_vectors, zipf_bags, kind: str, share: float) -> None:
    vectors, item_ids = unit_vectors(1500, seed=3), [f"{row:04}" for row in range(1500)]
    live = LiveIndex(
        item_ids,
        vectors,
        build_index(vectors, IndexConfig(kind=kind)),
        sequence=0,
        content=SparseIndex(zipf_bags(1500)),
    )
    picked = np.random.default_rng(5).random(1500) < share
    columns = GrowingAttributes([ColumnSpec(name="picked", kind="number")])
    columns.append([{"picked": 1} if one else {} for one in picked])
    live.set_attributes(columns.frozen())
    queries, profiles = unit_vectors(4, seed=4), zipf_bags(4, seed=9)
    option = SearchOptions(filter=Present("picked"), exclude=item_ids[:5])
    eligible = np.flatnonzero(picked[5:]) + 5
    for bags in (None, profiles):
        hits = live.search(queries, 50, [option] * 4, profiles=bags)
        exact = live.search(queries, 50, [SearchOptions(candidates=[item_ids[r] for r in eligible])] * 4, profiles=bags)
        overlap = 0
        for hit, wanted in zip(hits, exact, strict=True):
            assert len(hit.item_ids) == min(50, eligible.size) == len(wanted.item_ids)
            assert {int(item_id) for item_id in hit.item_ids} <= set(eligible.tolist())
            overlap += len(set(hit.item_ids) & set(wanted.item_ids))
            if kind == "flat" or share == 0.01:  # few are searched exactly
                assert (hit.item_ids, hit.scores.tolist()) == (wanted.item_ids, wanted.scores.tolist())
        if kind == "hnsw":
            assert overlap >= 0.9 * sum(len(wanted.item_ids) for wanted in exact)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), num_items=st.integers(0, 40), writes=st.integers(0, 3))
def test_random_filters_leave_what_brute_force_leaves(seed: int, num_items: int, writes: int) -> None:
    rng = random.Random(seed)
    names = sorted(f"{letter}{number}" for letter in "aZé" for number in range(14))
    draw = Draw(rng, names)
    items: dict[str, AttributeMap] = {name: draw.attributes() for name in sorted(rng.sample(names, num_items))}
    live = live_of(items, specs=DRAWN_SPECS)
    for sequence in range(1, writes + 1):
        upserts = {name: draw.attributes() for name in rng.sample(names, 8)}
        gone = [name for name in rng.sample(names, 8) if name not in upserts]
        vectors = np.repeat(EAST, 8, axis=0)
        live.apply(list(upserts), vectors, deleted=gone, sequence=sequence, attributes=list(upserts.values()))
        items = {name: row for name, row in {**items, **upserts}.items() if name not in gone}
    for _ in range(15):
        condition = draw.condition(depth=4)
        expected = [name for name in sorted(items) if holds(condition, name, items[name])]
        assert live.search(EAST, 99, [SearchOptions(filter=condition)])[0].item_ids == expected, condition


def test_filtered_readers_and_a_writer_get_along(live: LiveIndex) -> None:
    stop, faults = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            hits = live.search(EAST, 99, [SearchOptions(filter=Equals("color", "green"))])[0].item_ids
            if len(hits) % 2 or len(set(hits)) != len(hits):  # pairs are written together
                faults.append(hits)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(150):
        pair = [f"x{number % 7}", f"y{number % 7}"]
        rows = [{"color": "green" if number % 3 else "red", "tags": pair, "size": number}] * 2
        live.apply(pair, np.repeat(EAST, 2, axis=0), sequence=number + 1, attributes=rows)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []


def test_empty_base_is_filtered() -> None:
    live = live_of({})
    assert found(live, RED) == ""
    live.apply(["a"], EAST, sequence=1, attributes=[{"color": "red"}])
    assert found(live, RED) == "a"
