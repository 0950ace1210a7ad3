from __future__ import annotations

import numpy as np
import pytest

from index.factory import IndexConfig
from recall.errors import InvalidRequestError, NotFoundError
from recall.live.query import AnsweredFrom, RecallQuery, SimilarQuery
from recall.live.rebuild import generation_in_memory
from recall.live.records import InteractionRecord, UserRecord
from recall.live.retriever import Retriever
from recall.model.fusion import FusionWeights

TOPICS = {"jazz1": "jazz", "jazz2": "jazz", "rock1": "rock", "rock2": "rock", "folk1": "folk"}


def test_recall_from_history_prefers_items_like_it_and_leaves_it_out(make_generation):
    generation = make_generation(TOPICS)
    (result,) = Retriever(None).recall(generation, [RecallQuery(history=("jazz1",), limit=3)])
    assert result.item_ids[0] == "jazz2"
    assert result.scores[0] == pytest.approx(1.0, abs=1e-6)
    assert "jazz1" not in result.item_ids
    assert result.answered_from is AnsweredFrom.HISTORY
    assert (result.model_id, result.sequence, result.short_reason) == ("a" * 64, 0, "")


def test_recall_may_return_the_history_where_asked(make_generation):
    query = RecallQuery(history=("jazz1",), limit=2, exclude_history=False)
    (result,) = Retriever(None).recall(make_generation(TOPICS), [query])
    assert result.item_ids == ["jazz1", "jazz2"]


def test_recall_uses_the_latest_items_of_a_long_history(make_generation, make_model):
    generation = make_generation(TOPICS, model=make_model(max_history=1))
    (result,) = Retriever(None).recall(generation, [RecallQuery(history=("rock1", "gone", "jazz1", "gone"), limit=1)])
    assert result.item_ids == ["jazz2"]


def test_recall_of_a_batch_equals_recall_one_by_one(make_generation):
    generation, retriever = make_generation(TOPICS), Retriever(None)
    vector = generation.model.vector({"topic": "folk"})
    queries = [
        RecallQuery(history=("jazz1",), limit=2),
        RecallQuery(vector=vector, limit=4),
        RecallQuery(limit=3),
        RecallQuery(history=("rock2", "jazz2"), limit=1, candidates=("folk1", "rock1")),
        RecallQuery(features={"country": "fr"}, limit=2),
    ]
    alone = [retriever.recall(generation, [query])[0] for query in queries]
    together = retriever.recall(generation, queries)
    assert [r.item_ids for r in together] == [r.item_ids for r in alone]
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(together, alone, strict=True))
    assert [r.answered_from for r in together] == [
        AnsweredFrom.HISTORY,
        AnsweredFrom.VECTOR,
        AnsweredFrom.POPULARITY,
        AnsweredFrom.HISTORY,
        AnsweredFrom.FEATURES,
    ]


def test_recall_of_thousands_of_queries_keeps_their_order(make_generation):
    generation = make_generation(TOPICS)
    histories = [(item_id,) for item_id in ("jazz1", "rock1")] * 600
    results = Retriever(None).recall(generation, [RecallQuery(history=h, limit=1) for h in histories])
    assert [r.item_ids for r in results] == [["jazz2"], ["rock2"]] * 600


def test_recall_with_a_limit_above_the_catalogue_returns_everything_and_says_why(make_generation):
    query = RecallQuery(history=("jazz1", "unknown"), limit=10_000, exclude=("folk1", "folk1"))
    (result,) = Retriever(None).recall(make_generation(TOPICS), [query])
    assert sorted(result.item_ids) == ["jazz2", "rock1", "rock2"]
    assert "10000 items were wanted, 3 are eligible" in result.short_reason
    assert "2 of them excluded" in result.short_reason


def test_recall_says_how_many_candidates_are_retrievable(make_generation):
    query = RecallQuery(history=("jazz1",), limit=5, candidates=("rock1", "jazz1", "nothing"))
    (result,) = Retriever(None).recall(make_generation(TOPICS), [query])
    assert result.item_ids == ["rock1"]
    assert "1 are eligible: 2 of 3 candidates are retrievable items, 1 of them excluded" in result.short_reason


def test_recall_with_no_candidate_returns_none(make_generation):
    for history in ((), ("jazz1",)):
        (result,) = Retriever(None).recall(make_generation(TOPICS), [RecallQuery(history=history, candidates=())])
        assert result.item_ids == []
        assert "0 of 0 candidates" in result.short_reason


def test_recall_of_an_empty_catalogue_is_empty(make_generation):
    generation = make_generation({})
    for query in (RecallQuery(), RecallQuery(features={"country": "fr"})):
        (result,) = Retriever(None).recall(generation, [query])
        assert result.item_ids == []
        assert "the catalogue holds 0 retrievable items" in result.short_reason


def test_recall_of_nothing_known_is_by_popularity_then_by_id(make_generation):
    generation = make_generation(TOPICS, rock2=5, jazz2=7, rock1=5)
    (result,) = Retriever(None).recall(generation, [RecallQuery(user_id="stranger", limit=10)])
    assert result.item_ids == ["jazz2", "rock1", "rock2", "folk1", "jazz1"]
    assert result.scores.tolist() == [7, 5, 5, 0, 0]
    assert result.answered_from is AnsweredFrom.POPULARITY


def test_recall_by_popularity_obeys_deletions_exclusions_candidates_and_new_items(make_generation):
    generation = make_generation(TOPICS, rock2=5, jazz2=7, rock1=5)
    new = generation.model.embed_items(["k"], [{"topic": "new"}])
    generation.index.apply(["k"], new, deleted=["jazz2"], sequence=1)
    retriever = Retriever(None)
    (plain,) = retriever.recall(generation, [RecallQuery(limit=10, exclude=("rock1",))])
    assert plain.item_ids == ["rock2", "folk1", "jazz1", "k"]
    (narrowed,) = retriever.recall(generation, [RecallQuery(candidates=("k", "rock2", "k", "jazz2"), limit=10)])
    assert narrowed.item_ids == ["rock2", "k"]


def test_recall_of_an_id_known_to_the_model_is_not_by_popularity(make_generation, make_model):
    generation = make_generation(TOPICS, model=make_model(known_users=frozenset({"old"})))
    known, unknown = Retriever(None).recall(generation, [RecallQuery(user_id="old"), RecallQuery(user_id="new")])
    assert known.answered_from is AnsweredFrom.FEATURES
    assert unknown.answered_from is AnsweredFrom.POPULARITY


def test_recall_reads_what_is_stored_and_given_parts_override_it(make_generation, catalog):
    catalog.put_users([UserRecord(user_id="u", features={"country": "fr"})])
    events = [InteractionRecord(user_id="u", item_id=i, timestamp=t) for t, i in enumerate(("rock1", "jazz1"))]
    catalog.add_interactions(events)
    generation, retriever = make_generation(TOPICS), Retriever(catalog)
    stored, history, no_history = retriever.recall(
        generation,
        [
            RecallQuery(user_id="u", limit=5),
            RecallQuery(user_id="u", history=("folk1",), limit=5),
            RecallQuery(user_id="u", history=(), limit=5),
        ],
    )
    assert set(stored.item_ids) == {"jazz2", "rock2", "folk1"}
    assert set(history.item_ids) == set(TOPICS) - {"folk1"}
    assert stored.answered_from is history.answered_from is AnsweredFrom.HISTORY
    assert no_history.answered_from is AnsweredFrom.FEATURES
    (as_given,) = Retriever(None).recall(
        generation, [RecallQuery(features={"country": "fr"}, history=("rock1", "jazz1"), limit=5)]
    )
    assert as_given.item_ids == stored.item_ids
    assert np.array_equal(as_given.scores, stored.scores)


def test_recall_reflects_an_item_of_the_history_that_was_just_written(make_generation):
    generation, retriever = make_generation(TOPICS), Retriever(None)
    query = RecallQuery(history=("brand-new",), limit=1)
    (before,) = retriever.recall(generation, [query])
    assert before.answered_from is AnsweredFrom.POPULARITY
    vectors = generation.model.embed_items(["brand-new"], [{"topic": "rock"}])
    generation.index.apply(["brand-new"], vectors, sequence=9)
    (after,) = retriever.recall(generation, [query])
    assert after.item_ids == ["rock1"]
    assert after.answered_from is AnsweredFrom.HISTORY
    assert after.sequence == 9


@pytest.mark.parametrize("vector", [np.zeros(16), np.ones(15), np.full(16, np.nan)])
def test_recall_refuses_a_vector_that_does_not_fit(make_generation, vector):
    with pytest.raises(InvalidRequestError, match=r"vector: .*send 16 finite numbers"):
        Retriever(None).recall(make_generation(TOPICS), [RecallQuery(vector=vector.astype(np.float32))])


def test_recall_refuses_features_that_do_not_fit_the_model(make_generation):
    with pytest.raises(InvalidRequestError, match=r"features\.country"):
        Retriever(None).recall(make_generation(TOPICS), [RecallQuery(features={"country": 3.0})])


def test_similar_of_a_stored_item_leaves_it_out(make_generation):
    result = Retriever(None).similar(make_generation(TOPICS), SimilarQuery(item_id="jazz1", limit=2))
    assert result.item_ids[0] == "jazz2"
    assert "jazz1" not in result.item_ids


def test_similar_of_features_finds_the_stored_item_too(make_generation):
    for item_id in (None, "jazz1", "not-stored"):
        query = SimilarQuery(item_id=item_id, features={"topic": "jazz"}, limit=2, exclude=("jazz2",))
        result = Retriever(None).similar(make_generation(TOPICS), query)
        assert result.item_ids[0] == "jazz1"
        assert len(result.item_ids) == 2


@pytest.mark.parametrize(("seen", "unseen", "offset"), [(2.0, 0.0, 0.0), (0.0, 2.0, 0.5), (4.0, 0.5, -0.5)])
def test_nothing_is_more_similar_to_features_than_the_item_that_has_them(make_model, seen, unseen, offset):
    fusion = FusionWeights(seen=seen, unseen=unseen, unseen_offset=offset)
    model = make_model(fusion=fusion, known_items=frozenset(("known",)))
    features = [{"topic": "jazz", "tags": tags} for tags in (("_a", "_b", "_c"), ("_a", "_b"))]
    item_ids = ["known", "new"]
    generation = generation_in_memory(model, item_ids, features, counts={}, config=IndexConfig(kind="flat"))
    for item_id, own in zip(item_ids, features, strict=True):
        result = Retriever(None).similar(generation, SimilarQuery(features=own, limit=1))
        assert result.item_ids == [item_id]
        # The vectors are the same and so are the bags.
        assert result.scores[0] == pytest.approx(1 + (seen + unseen) / 2, abs=1e-5)


def test_similar_of_an_unknown_item_says_so(make_generation):
    with pytest.raises(NotFoundError, match="'nobody'"):
        Retriever(None).similar(make_generation(TOPICS), SimilarQuery(item_id="nobody"))


def test_similar_with_features_that_do_not_fit_names_the_field(make_generation):
    with pytest.raises(InvalidRequestError, match=r"item\.features\.price"):
        Retriever(None).similar(make_generation(TOPICS), SimilarQuery(features={"price": "cheap"}))


def test_similar_with_a_limit_above_the_catalogue_says_why(make_generation):
    result = Retriever(None).similar(make_generation(TOPICS), SimilarQuery(item_id="jazz1", limit=10_000))
    assert len(result.item_ids) == 4
    assert "4 are eligible" in result.short_reason
