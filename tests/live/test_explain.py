"""Why an item is or is not in an answer: every reason by hand, and over random recalls the same as the recalls say.

The user chose h, of jazz with the words x and y. Vectors of one topic are the same, so an item of jazz has a vector
score of 1. A word that is shared counts 2 in the cosine for items unseen in training, which all but b are, and .5 for
others, and unseen items have .25 besides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from index.conditions import And, Equals, Not, Range
from index.factory import IndexConfig
from recall.live.barriers import ItemFacts
from recall.live.catalog import Catalog
from recall.live.explanation import Explanation
from recall.live.generation import Generation
from recall.live.item_vectors import indexed_bags
from recall.live.query import AnsweredFrom, Channel, RecallQuery
from recall.live.rebuild import generation_in_memory
from recall.live.records import InteractionRecord, ItemRecord, StoredItem
from recall.live.retriever import Retriever
from recall.live.service import RecallSystem
from recall.model.fusion import FusionWeights
from recall.schema import DataSchema, FeatureSpec

FUSION = FusionWeights(seen=0.5, unseen=2.0, unseen_offset=0.25)
BAD = IndexConfig(kind="lsh", parameters={"family": "hyperplane", "bits": 6, "tables": 1, "probes": 1, "threads": 1})
SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
        FeatureSpec(name="price", kind="number", domain="price"),
    ),
    item_attributes=(
        FeatureSpec(name="cost", kind="number", domain="cost"),
        FeatureSpec(name="shop", kind="category", domain="shop"),
    ),
)


def item(item_id: str, topic: str, *tags: str, cost: float = 5.0, **more: object) -> ItemRecord:
    features: dict[str, object] = {"topic": topic, **({"tags": tags} if tags else {})}
    window = {name: more.pop(name) for name in ("available_from", "available_until") if name in more}
    return ItemRecord(item_id=item_id, features={**features, **more}, attributes={"cost": cost}, **window)


ITEMS = [
    item("h", "jazz", "_x", "_y"),
    item("a", "jazz", "_x"),
    item("b", "rock", "_y", "_z", cost=50.0),
    item("c", "rock"),
    item("gone", "jazz", "_x", "_y", available_until=100),
]


@pytest.fixture
def catalog(catalog_path) -> Iterator[Catalog]:
    with Catalog.create(catalog_path, SCHEMA) as opened:
        opened.put_items(ITEMS)
        chosen = [InteractionRecord(user_id=f"u{n}", item_id=i, timestamp=1) for n, i in enumerate("cccbb")]
        opened.add_interactions([*chosen, InteractionRecord(user_id="u", item_id="h", timestamp=1)])
        yield opened


@pytest.fixture
def system(deployment, make_model) -> Iterator[RecallSystem]:
    """All but d are in the base."""
    model = make_model(fusion=FUSION, known_items=frozenset("b"))
    deployment.rebuild(model=model)
    with deployment.serving(model) as opened:
        opened.upsert([item("d", "folk", "_x", "_y", "_z", "_w")])
        yield opened


def explain(system: RecallSystem, item_id: str, **query: object) -> Explanation:
    return system.explain(RecallQuery(**{"user_id": "u", "limit": 10, **query}), item_id)


def reasons(explanation: Explanation) -> list[str]:
    assert not (explanation.is_returned and explanation.missing)
    return [missing.reason.name for missing in explanation.missing]


def test_a_returned_item_has_its_score_in_parts_its_rank_and_its_place(system: RecallSystem) -> None:
    found = explain(system, "a")
    assert (found.is_returned, reasons(found), found.rank, found.num_eligible) == (True, [], 1, 4)
    assert found.vector_score == pytest.approx(1.0)
    assert found.content_score == pytest.approx(2 * 2**-0.5 + 0.25)
    result = system.recall(RecallQuery(user_id="u", limit=10))
    scores = dict(zip(result.item_ids, result.scores.tolist(), strict=True))
    assert found.score == scores["a"] == np.float32(found.vector_score) + np.float32(found.content_score)
    assert found.last_score == result.scores[-1]
    assert (found.part, found.is_trained, found.answered_from) == ("base", False, AnsweredFrom.HISTORY)
    assert (found.model_id, found.sequence) == ("a" * 64, result.sequence)


def test_parts_and_training_of_other_items(system: RecallSystem) -> None:
    fresh, trained, wordless = (explain(system, item_id) for item_id in "dbc")
    assert (fresh.part, fresh.is_trained, fresh.content_score) == ("fresh", False, pytest.approx(2 * 2**-0.5 + 0.25))
    assert (trained.part, trained.is_trained, trained.content_score) == ("base", True, pytest.approx(0.5 * 0.5))
    assert wordless.content_score == 0.25
    assert wordless.vector_score == trained.vector_score  # both of rock
    assert sorted(one.rank or 0 for one in (fresh, trained, wordless)) == [2, 3, 4]


def test_what_was_never_stored_or_is_deleted_is_not_stored(system: RecallSystem) -> None:
    system.delete(["c"])
    for item_id in ("never", "c"):
        found = explain(system, item_id)
        assert (found.is_returned, reasons(found)) == (False, ["NOT_STORED"])
        assert (found.score, found.rank, found.part, found.vector_score) == (None, None, None, 0.0)
        assert item_id in found.missing[0].message


def test_what_was_written_after_the_answer_is_not_stored_in_it(make_generation) -> None:
    stored = StoredItem(item_id="new", sequence=7)
    found = Retriever(None).explain(
        make_generation({"a": "jazz"}), RecallQuery(), "new", facts=lambda i: ItemFacts(item_id=i, stored=stored)
    )
    assert reasons(found) == ["NOT_STORED"]
    assert "min_sequence = 7" in found.missing[0].message


def test_an_item_that_cannot_be_embedded_says_why_and_what_else_bars_it(system: RecallSystem) -> None:
    """Its vector is not a number, which the catalogue can hold though no upsert takes it."""
    bad = item("bad", "jazz", price=-1.0, cost=99.0, available_from=4_000_000_000)
    system._catalog.put_items([bad])
    system._ingest.follow()
    found = explain(system, "bad", filter=Range("cost", high=10), exclude=("bad",))
    assert reasons(found) == ["NOT_EMBEDDED", "NOT_AVAILABLE", "EXCLUDED", "FILTERED"]
    assert "its vector is zero or not finite" in found.missing[0].message
    assert "available from 4000000000, and now it is" in found.missing[1].message
    assert reasons(explain(system, "bad", filter=Not(Range("cost", high=10)))) == ["NOT_EMBEDDED", "NOT_AVAILABLE"]


def test_a_damaged_item_is_not_embedded_whatever_else(deployment, catalog, make_model) -> None:
    with closing(sqlite3.connect(catalog.path)) as connection, connection:
        connection.execute("UPDATE items SET payload = payload || x'00' WHERE item_id = 'c'")
    model = make_model(fusion=FUSION)
    deployment.rebuild(model=model)
    with deployment.serving(model) as system:
        found = explain(system, "c", exclude=("c",))
    assert reasons(found) == ["NOT_EMBEDDED", "EXCLUDED"]
    assert "upsert the item again" in found.missing[0].message


def test_a_closed_window_is_named_with_its_ends(system: RecallSystem) -> None:
    found = explain(system, "gone")
    assert reasons(found) == ["NOT_AVAILABLE"]
    assert "available always until before 100, and now it is" in found.missing[0].message
    assert found.score == pytest.approx(1 + 2 + 0.25)  # of both words, and nothing takes its score
    assert (found.rank, found.part) == (None, "base")


def test_what_the_request_bars_is_named(system: RecallSystem) -> None:
    barred: list[tuple[dict[str, object], str, str]] = [
        ({"candidates": ("b", "c")}, "NOT_A_CANDIDATE", "2 items of candidate_item_ids"),
        ({"exclude": ("a",)}, "EXCLUDED", "exclude_item_ids"),
        ({"history": ("h", "a")}, "IN_HISTORY", "exclude_history = false"),
        ({"filter": And((Range("cost", low=1), Equals("shop", "here")))}, "FILTERED", "Equals(column='shop'"),
    ]
    for query, reason, words in barred:
        found = explain(system, "a", **query)
        assert reasons(found) == [reason]
        assert words in found.missing[0].message
        assert found.score is not None
        assert found.rank is None


def test_all_reasons_that_hold_are_named_together(system: RecallSystem) -> None:
    found = explain(
        system,
        "gone",
        history=("h", "gone"),
        candidates=("a",),
        exclude=("gone",),
        filter=Range("cost", high=5, includes_high=False),
    )
    assert reasons(found) == ["NOT_AVAILABLE", "NOT_A_CANDIDATE", "EXCLUDED", "IN_HISTORY", "FILTERED"]
    assert (found.num_eligible, found.last_score) == (0, None)


def test_an_item_below_the_limit_says_how_many_are_ahead_of_it(system: RecallSystem) -> None:
    found = explain(system, "d", limit=1)
    assert (reasons(found), found.rank, found.num_eligible) == (["BELOW_LIMIT"], 2, 4)
    assert "1 items are ahead of it, and 1 are wanted" in found.missing[0].message
    assert found.last_score == explain(system, "a").score
    assert found.score is not None
    assert found.score < found.last_score


def test_a_barred_item_is_also_below_the_limit_where_lifting_the_bar_would_not_help(system: RecallSystem) -> None:
    assert reasons(explain(system, "d", limit=1, exclude=("d",))) == ["EXCLUDED", "BELOW_LIMIT"]
    assert reasons(explain(system, "a", limit=1, exclude=("a",))) == ["EXCLUDED"]
    assert reasons(explain(system, "gone", limit=1)) == ["NOT_AVAILABLE"]  # it would be the first


def test_of_equal_scores_the_lower_id_is_ahead(make_generation) -> None:
    generation = make_generation(dict.fromkeys(("i1", "i2", "i3"), "jazz"))
    query = RecallQuery(vector=generation.model.vector({"topic": "jazz"}), limit=1)
    found = [Retriever(None).explain(generation, query, i, facts=_unknown) for i in ("i1", "i2", "i3")]
    assert [one.rank for one in found] == [1, 2, 3]
    assert [one.is_returned for one in found] == [True, False, False]
    assert found[2].last_score == found[2].score


def test_popularity_has_no_score_and_no_rank(system: RecallSystem) -> None:
    found = explain(system, "a", user_id="nobody", limit=2)
    assert (found.answered_from, reasons(found)) == (AnsweredFrom.POPULARITY, ["BELOW_LIMIT"])
    assert (found.score, found.rank, found.num_eligible, found.last_score) == (None, None, 5, 2.0)
    assert explain(system, "b", user_id="nobody", limit=2).is_returned
    assert reasons(explain(system, "c", user_id="nobody", limit=2, exclude=("c",))) == ["EXCLUDED"]


def test_a_vector_is_scored_without_words_and_channels_play_no_part(system: RecallSystem) -> None:
    vector = system.generation.model.vector({"topic": "jazz"})
    found = explain(system, "a", vector=vector, channels=(Channel.POPULARITY,), limit=1)
    assert (found.is_returned, found.content_score) == (True, 0.0)
    assert found.score == found.vector_score == pytest.approx(1.0)


def test_places_held_open_for_unseen_items_are_named_where_they_cost_an_item_its_own(make_model) -> None:
    """Of a list of two, one goes to an unseen item: the second best, which training saw, is left out."""
    model = make_model(known_items=frozenset(("i1", "i2")))
    features = [{"topic": topic} for topic in ("jazz", "jazz", "rock")]
    config = IndexConfig(kind="flat")
    generation = generation_in_memory(model, ["i1", "i2", "new"], features, counts={}, config=config)
    query = RecallQuery(vector=model.vector({"topic": "jazz"}), limit=2)
    retriever = Retriever(None, fresh_share=0.5)
    second, new = (retriever.explain(generation, query, item_id, facts=_unknown) for item_id in ("i2", "new"))
    assert (reasons(second), second.rank) == (["BELOW_LIMIT"], 2)
    assert "fresh_share = 0.5 holds places open" in second.missing[0].message
    assert (new.is_returned, new.rank) == (True, 3)


def _unknown(item_id: str) -> ItemFacts:
    return ItemFacts(item_id=item_id)


def _missing_index(model, item_ids: list[str]) -> Generation:
    """Returns items behind an index that finds few of them; some are fresh, some deleted."""
    features = [{"topic": f"t{n % 90}", "tags": (f"_{n % 7}", f"_{n % 5}")} for n in range(len(item_ids))]
    counts = {item_id: n % 4 for n, item_id in enumerate(item_ids)}
    generation = generation_in_memory(model, item_ids[30:], features[30:], counts=counts, config=BAD)
    encoded = model.encode_items(item_ids[:30], features[:30])
    bags = indexed_bags(encoded)
    generation.index.apply(item_ids[:30], encoded.vectors, deleted=item_ids[-4:], sequence=1, bags=bags)
    return generation


@pytest.mark.parametrize(("fusion", "fresh_share"), [(FusionWeights(), 0.0), (FUSION, 0.3)])
def test_explanations_say_what_recalls_say(make_model, fusion: FusionWeights, fresh_share: float) -> None:
    random = np.random.default_rng(7)
    item_ids = [f"i{n:03}" for n in range(160)]
    generation = _missing_index(make_model(fusion=fusion, known_items=frozenset(item_ids[::2])), item_ids)
    retriever = Retriever(None, fresh_share=fresh_share)
    seen: set[str] = set()
    for _ in range(40):
        query = _random_query(random, item_ids)
        exact = replace(query, exact=True)
        plain = replace(exact, limit=1000)
        returned, exactly, everything = retriever.recall(generation, [query, exact, plain])
        left_out = sorted(set(exactly.item_ids) - set(returned.item_ids))[:2]
        for item_id in [*random.choice([*item_ids, "never"], 3).tolist(), *(query.history or ()), *left_out]:
            found = retriever.explain(generation, query, item_id, facts=_unknown)
            assert found.is_returned == (item_id in returned.item_ids) == (not found.missing)
            missed = item_id in exactly.item_ids and item_id not in returned.item_ids
            assert ("MISSED_BY_INDEX" in reasons(found)) == missed
            assert found.num_eligible == len(everything.item_ids)
            assert (found.rank is not None) == (item_id in everything.item_ids and found.score is not None)
            if found.rank is not None:
                assert everything.item_ids[found.rank - 1] == item_id
                assert everything.scores[found.rank - 1] == found.score
            if found.is_returned and found.score is not None:
                assert returned.scores[returned.item_ids.index(item_id)] == found.score
            seen |= set(reasons(found))
    # Where words count too, so small an index is ranked whole, and misses nothing.
    missed_too = set() if fusion.is_on else {"MISSED_BY_INDEX"}
    assert seen == {"NOT_STORED", "NOT_A_CANDIDATE", "EXCLUDED", "IN_HISTORY", "BELOW_LIMIT"} | missed_too


def _random_query(random: np.random.Generator, item_ids: list[str]) -> RecallQuery:
    def some(most: int) -> tuple[str, ...]:
        return tuple(random.choice(item_ids, size=random.integers(most + 1)).tolist())

    return RecallQuery(
        history=some(3),
        limit=int(random.choice([1, 5, 40])),
        candidates=some(60) if random.random() < 0.2 else None,
        exclude=some(10),
        exclude_history=bool(random.random() < 0.7),
    )
