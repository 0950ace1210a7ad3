"""Windows of items: a recall at a moment returns what is available then, without a rewrite of anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.attributes import Attributes
from index.conditions import And, Equals, Not, Present
from recall.errors import InvalidRequestError
from recall.live.availability import (
    FROM,
    UNTIL,
    Windows,
    available_at,
    described,
    is_available,
    narrowed,
    with_windows,
    without_empty_windows,
)
from recall.live.catalog import Catalog
from recall.live.query import AnsweredFrom, RecallQuery, SimilarBy, SimilarQuery
from recall.live.records import InteractionRecord, ItemRecord
from recall.live.retriever import Retriever
from recall.live.service import RecallSystem
from recall.live.snapshot import load_generation

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
Ask = Callable[[int], list[str]]


def item(item_id: str, begins: int | None = None, ends: int | None = None, *tags: str) -> ItemRecord:
    features = {"topic": "jazz", "tags": tags} if tags else {"topic": "jazz"}
    return ItemRecord(item_id=item_id, features=features, available_from=begins, available_until=ends)


ITEMS = [item("always"), item("early", None, 100), item("late", 200, None), item("mid", 100, 200)]
AT = {
    0: ["always", "early"],
    99: ["always", "early"],
    100: ["always", "mid"],
    199: ["always", "mid"],
    200: ["always", "late"],
    10**9: ["always", "late"],
}


def asking(system: RecallSystem, query: RecallQuery | None = None, *, users: Catalog | None = None) -> Ask:
    asked = query or RecallQuery(vector=system.generation.model.vector({"topic": "jazz"}), limit=10)

    def ask(now: int) -> list[str]:
        (result,) = Retriever(users, clock=lambda: now + 0.5).recall(system.generation, [asked])
        return result.item_ids

    return ask


def test_window_begins_with_its_first_second_and_ends_before_its_last_live_restarted_and_rebuilt(deployment) -> None:
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert(ITEMS)
        assert {now: asking(system)(now) for now in AT} == AT
    with deployment.serving() as system:  # the same snapshot, with the writes replayed
        assert {now: asking(system)(now) for now in AT} == AT
    deployment.rebuild()
    with deployment.serving() as system:
        assert system.generation.index.counts().fresh == 0
        assert {now: asking(system)(now) for now in AT} == AT
        system.upsert([item("late"), item("always", 10, 11)])  # whole items: the one loses its window
        assert asking(system)(10) == ["always", "early", "late"]
        assert asking(system)(11) == ["early", "late"]


def test_window_is_stored_and_comes_back(catalog: Catalog) -> None:
    catalog.put_items(ITEMS)
    stored = [catalog.get_item(given.item_id) for given in ITEMS]
    assert [(s.available_from, s.available_until) for s in stored] == [
        (None, None),
        (None, 100),
        (200, None),
        (100, 200),
    ]
    assert catalog.changed_items([*ITEMS[:3], item("mid", 100, 201)]) == [item("mid", 100, 201)]


def test_popular_and_similar_items_and_twins_are_available_too(deployment, catalog) -> None:
    tagged = [item(given.item_id, given.available_from, given.available_until, "p", "q") for given in ITEMS]
    catalog.put_items(tagged)
    catalog.add_interactions(
        [InteractionRecord(user_id="u", item_id="mid"), InteractionRecord(user_id="u", item_id="early")]
    )
    deployment.rebuild()
    with deployment.serving() as system:
        generation = system.generation
        popular = asking(system, RecallQuery(limit=10))
        assert [popular(now) for now in (0, 150, 300)] == [["early", "always"], ["mid", "always"], ["always", "late"]]
        for by in SimilarBy:
            for limit in (1, 2, 10):
                query = SimilarQuery(item_id="mid", limit=limit, by=by)
                found = Retriever(None, clock=lambda: 300).similar(generation, query).item_ids
                assert found == ["always", "late"][:limit], (by, limit)
        described_item = SimilarQuery(features={"topic": "jazz"}, limit=10)
        assert Retriever(None, clock=lambda: 0).similar(generation, described_item).item_ids == ["always", "early"]


def test_an_item_outside_its_window_still_shapes_its_users(deployment, catalog) -> None:
    catalog.put_items([*ITEMS, ItemRecord(item_id="rock", features={"topic": "rock"})])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="early")])
    deployment.rebuild()
    with deployment.serving() as system:
        retriever = Retriever(catalog, clock=lambda: 150)
        (result,) = retriever.recall(system.generation, [RecallQuery(user_id="u", limit=2)])
        assert (result.answered_from, result.item_ids) == (AnsweredFrom.HISTORY, ["always", "mid"])


def test_a_short_recall_says_what_is_available(deployment, catalog) -> None:
    catalog.put_items(ITEMS)
    deployment.rebuild()
    with deployment.serving() as system:
        vector = system.generation.model.vector({"topic": "jazz"})
        query = RecallQuery(vector=vector, limit=3, exclude=("late", "mid"))
        (result,) = Retriever(None, clock=lambda: 150).recall(system.generation, [query])
    assert result.short_reason == (
        "3 items were wanted, 1 are eligible: the catalogue holds 2 retrievable items that are available now, "
        "1 of them excluded"
    )


def test_a_snapshot_older_than_attributes_honours_windows(tmp_path: Path) -> None:
    sample = Path(shutil.copytree(SAMPLES / "v1", tmp_path / "sample"))
    system = RecallSystem.start(sample / "snapshots", sample / "catalog.sqlite")
    try:
        query = RecallQuery(user_id="u1", limit=100)
        before = system.recall(query).item_ids
        system.upsert([ItemRecord(item_id="new", features={"title": "word1"}, available_from=2**33)])
        assert system.recall(query).item_ids == before
        system.upsert([ItemRecord(item_id="new", features={"title": "word1"}, available_from=5)])
        assert sorted(system.recall(query).item_ids) == sorted([*before, "new"])
    finally:
        system.close()


def test_a_snapshot_holds_no_columns_of_windows_where_no_item_has_one(deployment, catalog, load_model) -> None:
    catalog.put_items([item("always")])
    first = deployment.root / deployment.rebuild()
    catalog.put_items([item("late", 200)])
    second = deployment.root / deployment.rebuild()
    size = [len(list((folder / "rows").glob("attribute_*"))) for folder in (first, second)]
    assert size[1] - size[0] == 2
    loaded = [load_generation(folder, lineage=None, load_model=load_model) for folder in (first, second)]
    assert [generation.windows.exist for generation in loaded] == [False, True]
    assert [FROM in (g.index.columns or ()) for g in loaded] == [True, True]


def test_a_question_is_asked_again_where_the_first_window_comes_meanwhile() -> None:
    windows, asked = Windows(), []

    def ask(condition: object) -> int:
        asked.append(condition)
        windows.exist = True
        return len(asked)

    assert windows.honoured(5.5, ask) == 2
    assert asked == [None, available_at(5)]
    assert windows.honoured(5.5, ask) == 3


def test_conditions_are_joined_and_described() -> None:
    asked, available = Equals("shop", "here"), available_at(3)
    assert narrowed(None, None) is None
    assert narrowed(asked, None) is asked
    assert narrowed(None, available) is available
    joined = narrowed(asked, available)
    assert joined == And((asked, available))
    words = [described(condition) for condition in (None, asked, available, joined, And((asked, asked)))]
    assert words == [
        "",
        " that pass the filter",
        " that are available now",
        " that are available now and pass the filter",
        " that pass the filter",
    ]
    deep = asked
    for _ in range(31):
        deep = Not(deep)
    with pytest.raises(InvalidRequestError, match="filter: And nests 33 conditions; want at most 32: flatten it"):
        narrowed(deep, available)


def test_columns_of_windows_are_added_and_left_out_again() -> None:
    added = with_windows(None, 3)
    assert [spec.name for spec in added.specs] == [FROM.name, UNTIL.name]
    assert not Windows.of(added).exist
    assert with_windows(added, 3) == added
    assert without_empty_windows(added) == Attributes(specs=(), columns=(), num_rows=3)


moments = st.one_of(st.none(), st.integers(0, 4))


@given(windows=st.lists(st.tuples(moments, moments), max_size=8), now=st.integers(0, 5))
def test_the_condition_holds_for_the_items_whose_window_holds_the_moment(
    windows: list[tuple[int | None, int | None]], now: int
) -> None:
    """The columns as an index has them, against the sentence of the contract."""
    from index.attribute_growth import GrowingAttributes
    from index.filtering import Rows

    items = [item(str(row), *window) for row, window in enumerate(windows)]
    columns = GrowingAttributes((FROM, UNTIL))
    names = {FROM.name: "available_from", UNTIL.name: "available_until"}
    columns.append([{n: v for n, a in names.items() if (v := getattr(given, a)) is not None} for given in items])
    rows = Rows(columns=columns.frozen().by_name(), num_rows=len(items), find=lambda ids: np.empty(0, np.int64))
    bits = np.unpackbits(rows.bits(available_at(now + 0.25)), bitorder="little")[: len(items)]
    assert bits.astype(bool).tolist() == [is_available(given, now) for given in items]
    assert np.unpackbits(rows.bits(Present(FROM.name)), bitorder="little")[: len(items)].sum() == sum(
        begins is not None for begins, _ in windows
    )
