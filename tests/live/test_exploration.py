from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from pydantic import ValidationError

from index.protocols import Hits
from recall.live import exploration
from recall.live.config import ServeConfig
from recall.live.exploration import Searches, explorable, num_wanted, with_unseen, worth_widening
from recall.live.query import AnsweredFrom, RecallQuery
from recall.live.retriever import Retriever


@pytest.fixture
def ranked(make_model):
    """Returns a model that has seen the items in capitals, and counted searches of one ranking a question."""

    def make(*rankings, widened=0):
        asked = []

        def searching(what, rankings):
            def search(places, k):
                asked.append((what, list(places), k))
                return [rankings[place].head(k) for place in places]

            return search

        whole = [_Ranking.of(ranking) for ranking in rankings]
        searches = Searches(
            everything=searching("all", whole),
            unseen=searching("unseen", [ranking.unseen() for ranking in whole]),
            widened=widened,
        )
        seen = frozenset(item_id for ranking in rankings for item_id in ranking if item_id.isupper())
        return make_model(known_items=seen), searches, asked

    return make


@dataclass(frozen=True)
class _Ranking:
    """Items and their scores, best first."""

    pairs: list[tuple[str, int]]

    @classmethod
    def of(cls, item_ids):
        return cls(list(zip(item_ids, range(len(item_ids), 0, -1), strict=True)))

    def unseen(self):
        return _Ranking([pair for pair in self.pairs if pair[0].islower()])

    def head(self, k):
        return Hits([i for i, _ in self.pairs[:k]], np.array([score for _, score in self.pairs[:k]], dtype=np.float32))


@pytest.mark.parametrize(
    ("limit", "share", "wanted"),
    [(100, 0.29, 29), (10, 0.3, 3), (10, 0.39, 3), (3, 0.34, 1), (1, 0.99, 0), (100, 0.0, 0), (7, 0.57, 3)],
)
def test_wanted_is_the_share_rounded_down_in_decimals(limit, share, wanted):
    assert num_wanted(limit, share) == wanted


def test_too_small_a_share_is_one_search(ranked):
    model, searches, asked = ranked("AbC")
    hits = with_unseen(searches, 1, 2, model=model, share=0.4)
    assert hits[0].item_ids == ["A", "b"]
    assert asked == [("all", [0], 2)]


def test_the_best_unseen_items_take_the_places_of_the_lowest_others(ranked):
    for widened, asked_then in ((0, ("unseen", [0], 3)), (8, ("all", [0], 8))):
        model, searches, asked = ranked("ABcDEfGhi", widened=widened)
        (hits,) = with_unseen(searches, 1, 5, model=model, share=0.6)
        assert hits.item_ids == ["A", "B", "c", "f", "h"]
        assert hits.scores.tolist() == [9, 8, 7, 4, 2]
        assert asked == [("all", [0], 5), asked_then]


def test_unseen_items_of_the_list_are_never_the_ones_replaced(ranked):
    model, searches, _ = ranked("ABCdEfg")
    (hits,) = with_unseen(searches, 1, 4, model=model, share=0.75)
    assert hits.item_ids == ["A", "d", "f", "g"]


def test_a_list_with_enough_unseen_items_is_left_as_it_is(ranked):
    model, searches, asked = ranked("abCdE")
    (hits,) = with_unseen(searches, 1, 4, model=model, share=0.5)
    assert hits.item_ids == ["a", "b", "C", "d"]
    assert asked == [("all", [0], 4)]


def test_a_list_holds_what_unseen_items_there_are(ranked):
    model, searches, asked = ranked("ABCDEFGHIjk", "ABC", "", "AB")
    hits = with_unseen(searches, 4, 3, model=model, share=0.99)
    assert [h.item_ids for h in hits] == [["A", "j", "k"], ["A", "B", "C"], [], ["A", "B"]]
    assert asked == [("all", [0, 1, 2, 3], 3), ("unseen", [0, 1], 2)]


def test_a_wider_search_is_left_for_the_unseen_ones_where_it_finds_too_few(ranked):
    model, searches, asked = ranked("ABCDEFgh", "ABcDeF", "ABCd", "ABCDEF", widened=5)
    hits = with_unseen(searches, 4, 2, model=model, share=0.5)
    assert [h.item_ids for h in hits] == [["A", "g"], ["A", "c"], ["A", "d"], ["A", "B"]]
    assert asked == [("all", [0, 1, 2, 3], 2), ("all", [0, 1, 2, 3], 5), ("unseen", [0, 3], 1)]


def test_a_batch_looks_at_a_bounded_number_of_items_at_once(ranked, monkeypatch):
    model, searches, asked = ranked(*["ABCDEFGh"] * 5, widened=8)
    wanted = with_unseen(searches, 5, 2, model=model, share=0.5)
    assert [k * len(places) for _, places, k in asked] == [10, 40]
    asked.clear()
    monkeypatch.setattr(exploration, "_HITS_AT_ONCE", 16)
    got = with_unseen(searches, 5, 2, model=model, share=0.5)
    assert [h.item_ids for h in got] == [h.item_ids for h in wanted] == [["A", "h"]] * 5
    assert asked[1:] == [("all", [0, 1], 8), ("all", [2, 3], 8), ("all", [4], 8)]


def test_the_one_order_holds_where_a_search_among_few_finds_what_that_of_all_missed(ranked):
    model, searches, _ = ranked("ABc")
    overlooked = replace(searches, unseen=lambda places, k: [Hits(["d", "c"][:k], np.array([2.5, 1], np.float32)[:k])])
    (hits,) = with_unseen(overlooked, 1, 2, model=model, share=0.5)
    assert (hits.item_ids, hits.scores.tolist()) == (["A", "d"], [3, 2.5])


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


def test_few_unseen_items_are_scanned_and_many_are_sought_in_the_whole(make_generation, make_model):
    class Sized:
        def __init__(self, num_items):
            self.num_items = num_items

    def widened(num_unseen):
        return worth_widening(Sized(100_000), Sized(num_unseen), 100, share=0.1)

    assert widened(0) == widened(100) == widened(6_000) == 0
    assert widened(10_000) == 200  # twice the list, in which evenly spread ones would be 20
    assert widened(8_000) == 250
    assert widened(90_000) == 200


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_share_follows_upserts_deletions_and_compaction(make_item, make_model, deployment, catalog, kind, monkeypatch):
    catalog.put_items([make_item(f"s{n:02}", "jazz") for n in range(20)] + [make_item("u0", "rock")])
    seen = make_model(known_items=frozenset(f"s{n:02}" for n in range(20)))
    deployment.rebuild(kind=kind)
    monkeypatch.setattr("index.view._MIN_DEAD_ROWS", 2)
    query = RecallQuery(vector=seen.vector({"topic": "jazz"}), limit=6)
    with deployment.serving(seen, fresh_share=0.5) as system:

        def unseen(query=query):
            result = system.recall(query)
            assert len(set(result.item_ids)) == len(result.item_ids) == query.limit
            return [item_id for item_id in result.item_ids if item_id.startswith("u")]

        assert unseen() == ["u0"]
        system.upsert([make_item("u1", "folk"), make_item("s01", "folk")])
        assert sorted(unseen()) == ["u0", "u1"]
        assert sorted(unseen(RecallQuery(limit=6))) == ["u0", "u1"]
        system.delete(["u0"])
        assert unseen() == ["u1"]
        for topic in ("rock", "folk", "rock", "jazz", "rock"):
            system.upsert([make_item("u1", topic), make_item("s02", topic)])
            assert unseen() == ["u1"]
        system.delete(["u1"])
        assert unseen() == unseen(RecallQuery(limit=6)) == []
        system.upsert([make_item("u0", "jazz")])
        assert unseen() == ["u0"]
    with deployment.serving(seen, fresh_share=0.5) as system:
        assert unseen() == ["u0"]


def test_share_follows_a_switch_to_a_model_that_has_seen_the_items(deployment, catalog, make_item, make_model, until):
    catalog.put_items([make_item(item_id, "jazz") for item_id in "abcdxy"])
    deployment.rebuild("a")
    seen = {"a": "abcd", "b": "abcdx"}
    models = [make_model(model_id=letter * 64, known_items=frozenset(ids)) for letter, ids in seen.items()]
    with deployment.serving(*models, fresh_share=0.5) as system:
        assert system.recall(RecallQuery(limit=4)).item_ids == ["a", "b", "x", "y"]
        deployment.rebuild("b")
        until(lambda: system.status().model_id == "b" * 64)
        assert system.recall(RecallQuery(limit=4)).item_ids == ["a", "b", "c", "y"]


def test_nothing_is_told_apart_without_a_share(deployment, catalog, make_item):
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild()
    with deployment.serving() as plain, deployment.serving(fresh_share=0.1) as shared:
        assert plain.recall(RecallQuery(limit=1)).item_ids == ["a"]
        assert plain.generation.index.subset() is None
        assert shared.generation.index.subset().num_items == 1


def test_the_popular_unseen_items_come_first(make_generation, make_model):
    model = make_model(known_items=frozenset("abcd"))
    generation = explorable(make_generation(dict.fromkeys("abcdwxyz", "jazz"), model=model, a=4, b=3, z=1))
    assert generation.unseen_popularity.ranking == {"z": 1}
    (mixed,) = Retriever(None, fresh_share=0.5).recall(generation, [RecallQuery(limit=6)])
    assert mixed.item_ids == ["a", "b", "z", "c", "w", "x"]
    (excluding,) = Retriever(None, fresh_share=0.5).recall(generation, [RecallQuery(limit=6, exclude=("w", "x"))])
    assert excluding.item_ids == ["a", "b", "z", "c", "d", "y"]
