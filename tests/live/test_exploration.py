from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from index.protocols import Hits
from recall.live import exploration
from recall.live.config import ServeConfig
from recall.live.exploration import MAX_FETCH, num_wanted, with_unseen
from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.retriever import Retriever


@pytest.fixture
def ranked(make_model):
    """Returns a model that has seen the items in capitals, and a search of one ranking a question that is counted."""

    def make(*rankings):
        asked = []

        def search(places, k):
            asked.append((list(places), k))
            return [
                Hits(list(rankings[p][:k]), np.arange(len(rankings[p]), 0, -1, dtype=np.float32)[:k]) for p in places
            ]

        seen = frozenset(item_id for ranking in rankings for item_id in ranking if item_id.isupper())
        return make_model(known_items=seen), search, asked

    return make


@pytest.mark.parametrize(
    ("limit", "share", "wanted"),
    [(100, 0.29, 29), (10, 0.3, 3), (10, 0.39, 3), (3, 0.34, 1), (1, 0.99, 0), (100, 0.0, 0), (7, 0.57, 3)],
)
def test_wanted_is_the_share_rounded_down_in_decimals(limit, share, wanted):
    assert num_wanted(limit, share) == wanted


def test_no_share_is_one_search_that_asks_no_model(ranked):
    _, search, asked = ranked("AbC")
    hits = with_unseen(search, 1, 2, model=None, share=0.0)
    assert hits[0].item_ids == ["A", "b"]
    assert asked == [([0], 2)]


def test_the_best_unseen_items_take_the_places_of_the_lowest_others(ranked):
    model, search, asked = ranked("ABcDEfGhi")
    (hits,) = with_unseen(search, 1, 5, model=model, share=0.6)
    assert hits.item_ids == ["A", "B", "c", "f", "h"]
    assert hits.scores.tolist() == [9, 8, 7, 4, 2]
    assert asked == [([0], 5), ([0], 10)]


def test_unseen_items_of_the_list_are_never_the_ones_replaced(ranked):
    model, search, _ = ranked("ABCdEfg")
    (hits,) = with_unseen(search, 1, 4, model=model, share=0.75)
    assert hits.item_ids == ["A", "d", "f", "g"]


def test_a_list_with_enough_unseen_items_is_left_as_it_is(ranked):
    model, search, asked = ranked("abCdE")
    (hits,) = with_unseen(search, 1, 4, model=model, share=0.5)
    assert hits.item_ids == ["a", "b", "C", "d"]
    assert asked == [([0], 4)]


def test_search_ends_where_everything_was_seen(ranked):
    model, search, asked = ranked("ABCDEFGHIj", "ABC", "")
    hits = with_unseen(search, 3, 2, model=model, share=0.99)
    assert [h.item_ids for h in hits] == [["A", "j"], ["A", "B"], []]
    assert asked == [([0, 1, 2], 2), ([0, 1], 4), ([0], 8), ([0], 16)]


def test_search_ends_at_the_stated_maximum(ranked, monkeypatch):
    monkeypatch.setattr(exploration, "MAX_FETCH", 5)
    model, search, asked = ranked("ABCDEfg", "ABCDEFg")
    hits = with_unseen(search, 2, 2, model=model, share=0.5)
    assert [h.item_ids for h in hits] == [["A", "B"], ["A", "B"]]
    assert [k for _, k in asked] == [2, 4, 5]
    asked.clear()
    assert with_unseen(search, 1, 6, model=model, share=0.5)[0].item_ids == list("ABCDEf")
    assert [k for _, k in asked] == [6]
    assert MAX_FETCH >= 20_000


def test_a_batch_looks_at_a_bounded_number_of_items_at_once(ranked, monkeypatch):
    model, search, asked = ranked(*["ABCDEFGh"] * 5)
    wanted = with_unseen(search, 5, 2, model=model, share=0.5)
    assert [k * len(places) for places, k in asked] == [10, 20, 40]
    asked.clear()
    monkeypatch.setattr(exploration, "_HITS_AT_ONCE", 16)
    got = with_unseen(search, 5, 2, model=model, share=0.5)
    assert [h.item_ids for h in got] == [h.item_ids for h in wanted] == [["A", "h"]] * 5
    assert asked[1:] == [([0, 1, 2, 3], 4), ([4], 4), ([0, 1], 8), ([2, 3], 8), ([4], 8)]


def test_share_outside_its_range_is_refused():
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValidationError, match="fresh_share"):
            ServeConfig(fresh_share=share)
    assert ServeConfig().fresh_share == 0.0


def test_popularity_leaves_room_for_unseen_items_too(make_generation, make_model):
    model = make_model(known_items=frozenset("abcd"))
    generation = make_generation(dict.fromkeys("abcdxyz", "jazz"), model=model, a=4, b=3, c=2)
    query = RecallQuery(limit=4, exclude=("x",))
    (plain,) = Retriever(None).recall(generation, [query])
    (mixed,) = Retriever(None, fresh_share=0.5).recall(generation, [query])
    assert plain.item_ids == ["a", "b", "c", "d"]
    assert mixed.item_ids == ["a", "b", "y", "z"]
    assert mixed.answered_from is AnsweredFrom.POPULARITY


def test_share_obeys_exclusions_allow_lists_deletions_and_the_one_order(make_generation, make_model):
    topics = {f"s{n:02}": "jazz" for n in range(20)} | {f"u{n:02}": "rock" for n in range(9)}
    generation = make_generation(topics, model=make_model(known_items=frozenset(f"s{n:02}" for n in range(20))))
    generation.index.apply([], np.empty((0, 16), np.float32), deleted=["u00"], sequence=1)
    retriever = Retriever(None, fresh_share=0.3)
    history, limit = ("s00", "u01"), 10
    queries = [
        RecallQuery(history=("s00",), limit=limit, exclude=("u02",)),
        RecallQuery(history=("s00",), limit=limit, exclude=("u02",), exact=True),
        RecallQuery(history=history, limit=limit),
        RecallQuery(history=history, limit=limit, candidates=(*(f"s{n:02}" for n in range(20)), "u03", "u00", "gone")),
        RecallQuery(history=("s00",), limit=3),
        RecallQuery(vector=generation.model.vector({"topic": "jazz"}), limit=limit),
    ]
    results = retriever.recall(generation, queries)
    unseen = [[i for i in result.item_ids if i.startswith("u")] for result in results]
    assert unseen == [
        ["u01", "u03", "u04"],
        ["u01", "u03", "u04"],
        ["u02", "u03", "u04"],
        ["u03"],
        [],
        ["u01", "u02", "u03"],
    ]
    for query, result in zip(queries, results, strict=True):
        assert len(set(result.item_ids)) == len(result.item_ids) == query.limit
        assert list(zip(-result.scores, result.item_ids, strict=True)) == sorted(
            zip(-result.scores, result.item_ids, strict=True)
        )
        alone = retriever.recall(generation, [query])[0]
        assert alone.item_ids == result.item_ids
        assert result.short_reason == ""
