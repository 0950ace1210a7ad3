"""Channels of a recall: what each holds, how several take turns, and that whatever restricts a recall holds in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.conditions import Range
from index.factory import IndexConfig
from index.protocols import Hits
from recall.errors import NotReadyError
from recall.live.catalog import Catalog
from recall.live.channels import in_turns
from recall.live.item_vectors import indexed_bags
from recall.live.query import AnsweredFrom, Channel, RecallQuery, Result
from recall.live.rebuild import generation_in_memory
from recall.live.records import InteractionRecord, ItemRecord
from recall.live.retriever import Retriever
from recall.model.fusion import FusionWeights
from recall.schema import DataSchema, FeatureMap, FeatureSpec

SERVED, EXACT, CONTENT, POPULARITY = Channel
FUSION = FusionWeights(seen=0.5, unseen=2.0, unseen_offset=0.25)
NOW = 150
SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
        FeatureSpec(name="price", kind="number", domain="price"),
    ),
    item_attributes=(FeatureSpec(name="price", kind="number", domain="price"),),
)

Ask = Callable[..., Result]


def item(item_id: str, topic: str, *tags: str, price: float = 5.0, until: int | None = None) -> ItemRecord:
    features = {"topic": topic, "tags": tags} if tags else {"topic": topic}
    return ItemRecord(item_id=item_id, features=features, attributes={"price": price}, available_until=until)


ITEMS = [
    item("h", "jazz", "_x", "_y"),
    item("a", "jazz", "_x"),
    item("b", "rock", "_y", "_z", price=50.0),
    item("c", "rock"),
    item("gone", "jazz", "_x", "_y", until=100),
]
CHOSEN = ("c", "c", "c", "b", "b", "a")


@pytest.fixture
def catalog(catalog_path) -> Iterator[Catalog]:
    with Catalog.create(catalog_path, SCHEMA) as opened:
        opened.put_items(ITEMS)
        events = [InteractionRecord(user_id=f"u{n}", item_id=i, timestamp=n + 1) for n, i in enumerate(CHOSEN)]
        opened.add_interactions([*events, InteractionRecord(user_id="u", item_id="h", timestamp=1)])
        yield opened


@pytest.fixture
def ask(deployment, make_model) -> Iterator[Ask]:
    """Asks on behalf of a user who chose h; the last item is written after the snapshot."""
    model = make_model(fusion=FUSION, known_items=frozenset("b"))
    deployment.rebuild(model=model)
    with deployment.serving(model) as system:
        system.upsert([item("d", "folk", "_x", "_y", "_z", "_w")])

        def answer(*channels: Channel, **query: object) -> Result:
            asked = RecallQuery(**{"user_id": "u", "limit": 10, **query}, channels=channels)
            (result,) = Retriever(system._catalog, clock=lambda: NOW).recall(system.generation, [asked])
            return result

        yield answer


def test_content_is_the_cosine_of_all_words_whatever_the_model_makes_of_seen_and_unseen_items(ask: Ask) -> None:
    """The history has x and y, both of 1/sqrt(2); a x alone, b one of two, d two of four; c nothing."""
    result = ask(CONTENT)
    assert result.item_ids == ["a", "d", "b"]
    assert result.scores.tolist() == pytest.approx([2**-0.5, 2**-0.5, 0.5])
    assert result.item_channels == (CONTENT,) * 3
    assert result.answered_from is AnsweredFrom.HISTORY
    assert ask(CONTENT, exclude_history=False).item_ids[0] == "h"


def test_content_that_is_short_says_how_many_have_words_in_common(ask: Ask) -> None:
    reason = ask(CONTENT).short_reason
    assert reason.startswith("10 items were wanted, 4 are eligible, 3 of them have words or set values in common")
    assert ask(CONTENT, limit=3).short_reason == ""
    nobody = ask(CONTENT, user_id="nobody")
    assert nobody.item_ids == []
    assert "5 are eligible, 0 of them have words" in nobody.short_reason


def test_content_of_a_given_vector_has_no_history(ask: Ask) -> None:
    assert ask(CONTENT, vector=np.ones(16, dtype=np.float32)).item_ids == []


def test_content_reads_the_whole_history_and_every_word_of_it(make_model) -> None:
    """The model reads 1 item of the history; the profile of the fused score would keep 1,024 words."""
    model = make_model(fusion=FUSION, max_history=1)
    words = tuple(f"_{n}" for n in range(1500))
    features = [{"tags": words}, {"tags": ("_only",)}, {"tags": words}, {"tags": ("_only",)}]
    item_ids = ["many", "one", "same as many", "same as one"]
    generation = generation_in_memory(model, item_ids, features, counts={}, config=IndexConfig(kind="flat"))
    queries = [RecallQuery(history=h, channels=(CONTENT,)) for h in (("many",), ("many", "one"), ("many", "gone"))]
    whole, both, held = Retriever(None).recall(generation, queries)
    assert (whole.item_ids, whole.scores.tolist()) == (["same as many"], pytest.approx([1.0], abs=1e-4))
    assert (both.item_ids, both.scores.tolist()) == (
        ["same as many", "same as one"],
        pytest.approx([2**-0.5, 2**-0.5], abs=1e-4),
    )
    assert held.item_ids == whole.item_ids


def test_content_scores_every_item_whatever_the_base_index_would_find(make_model) -> None:
    """An index of one table and one probe, with fresh, replaced and deleted items, beside cosines of Python sets."""
    random = np.random.default_rng(5)
    item_ids = [f"i{n:03}" for n in range(160)]
    tags = {i: frozenset(random.choice([f"_{n}" for n in range(40)], random.integers(1, 6)).tolist()) for i in item_ids}
    model = make_model(fusion=FUSION, known_items=frozenset(item_ids[::3]))

    def features(some: list[str], *, old: bool = False) -> list[FeatureMap]:
        return [{"topic": i, "tags": ("_old",) if old else tuple(sorted(tags[i]))} for i in some]

    bad = {"family": "hyperplane", "bits": 6, "tables": 1, "probes": 1, "threads": 1}
    held = features(item_ids[:100]) + features(item_ids[100:130], old=True)
    config = IndexConfig(kind="lsh", parameters=bad)
    generation = generation_in_memory(model, item_ids[:130], held, counts={}, config=config)
    encoded = model.encode_items(item_ids[100:], features(item_ids[100:]))
    generation.index.apply(
        item_ids[100:], encoded.vectors, deleted=item_ids[:5], sequence=1, bags=indexed_bags(encoded)
    )
    for history in (item_ids[start : start + 3] for start in range(5, 150, 12)):
        (result,) = Retriever(None).recall(
            generation, [RecallQuery(history=tuple(history), limit=25, channels=(CONTENT,))]
        )
        profile = Counter({tag: 0.0 for i in history for tag in tags[i]})
        for i in history:
            profile.update({tag: len(tags[i]) ** -0.5 for tag in tags[i]})
        length = sum(weight**2 for weight in profile.values()) ** 0.5
        rest = [i for i in item_ids[5:] if i not in history]
        scores = {i: sum(profile[tag] for tag in tags[i]) / len(tags[i]) ** 0.5 / length for i in rest}
        assert result.scores.tolist() == pytest.approx(sorted(filter(None, scores.values()), reverse=True)[:25])
        assert [scores[i] for i in result.item_ids] == pytest.approx(result.scores.tolist())


def test_content_without_words_in_the_model_says_what_to_do(make_generation) -> None:
    with pytest.raises(NotReadyError, match="no sparse part; leave CHANNEL_CONTENT out, or train"):
        Retriever(None).recall(make_generation({"a": "jazz"}), [RecallQuery(channels=(SERVED, CONTENT))])


def test_popularity_is_asked_for_whoever_the_user_is(ask: Ask) -> None:
    result = ask(POPULARITY)
    assert (result.item_ids, result.scores.tolist()) == (["c", "b", "a", "d"], [3, 2, 1, 0])
    assert result.item_channels == (POPULARITY,) * 4
    assert result.answered_from is AnsweredFrom.HISTORY


def test_served_and_exact_are_what_a_recall_gives_without_channels(ask: Ask) -> None:
    plain = ask()
    assert plain.item_channels == ()
    assert set(plain.item_ids) == {"a", "b", "c", "d"}
    for channel in (SERVED, EXACT):
        asked = ask(channel)
        assert (asked.item_ids, asked.scores.tolist()) == (plain.item_ids, plain.scores.tolist())
        assert asked.item_channels == (channel,) * 4


def test_served_of_an_unknown_user_is_popularity_under_its_own_name(ask: Ask) -> None:
    result = ask(SERVED, CONTENT, user_id="nobody", limit=3)
    assert (result.item_ids, result.item_channels) == (["c", "b", "a"], (SERVED,) * 3)
    assert (result.answered_from, result.short_reason) == (AnsweredFrom.POPULARITY, "")


def test_several_channels_take_turns_and_no_item_comes_twice(ask: Ask) -> None:
    """Popularity gives c, content a, popularity b, content d, popularity nothing more."""
    result = ask(POPULARITY, CONTENT)
    assert result.item_ids == ["c", "a", "b", "d"]
    assert result.item_channels == (POPULARITY, CONTENT, POPULARITY, CONTENT)
    assert result.scores.tolist() == pytest.approx([3, 2**-0.5, 2, 2**-0.5])
    assert "4 are eligible: the catalogue holds 5 retrievable items that are available now" in result.short_reason
    assert ask(CONTENT, POPULARITY, limit=2).item_ids == ["a", "c"]


def test_whatever_restricts_a_recall_holds_in_every_channel(ask: Ask) -> None:
    for channels in ((SERVED,), (EXACT,), (CONTENT,), (POPULARITY,), tuple(Channel)):
        every = {"a", "b", "d"} if channels == (CONTENT,) else {"a", "b", "c", "d"}
        restricted: list[tuple[dict[str, object], set[str]]] = [
            ({}, every),  # h is the history, the window of gone is closed
            ({"exclude_history": False}, every | {"h"}),
            ({"exclude": ("a", "c")}, every - {"a", "c"}),
            ({"candidates": ("b", "h", "gone", "unknown")}, {"b"}),
            ({"candidates": ()}, set()),
            ({"filter": Range("price", high=10)}, every - {"b"}),
        ]
        for query, wanted in restricted:
            assert set(ask(*channels, **query).item_ids) == wanted, (channels, query)


def test_channels_of_a_batch_are_those_of_single_calls(deployment, make_model) -> None:
    model = make_model(fusion=FUSION)
    deployment.rebuild(model=model)
    with deployment.serving(model) as system:
        retriever = Retriever(system._catalog, clock=lambda: NOW)
        queries = [
            RecallQuery(user_id=user, limit=limit, channels=channels)
            for user in ("u", "nobody")
            for limit in (1, 3)
            for channels in ((), (CONTENT,), (EXACT, POPULARITY), (POPULARITY, CONTENT, SERVED))
        ]
        together = retriever.recall(system.generation, queries)
        alone = [retriever.recall(system.generation, [query])[0] for query in queries]
    assert [(r.item_ids, r.item_channels) for r in together] == [(r.item_ids, r.item_channels) for r in alone]


def hits(*item_ids: str) -> Hits:
    return Hits(list(item_ids), np.arange(len(item_ids), 0, -1, dtype=np.float32))


def test_turns_skip_what_others_gave_and_pass_over_lists_that_ended() -> None:
    lists = [(SERVED, hits("a", "b", "c")), (CONTENT, hits("a")), (POPULARITY, hits("b", "a", "d", "e"))]
    got = in_turns(lists, 10)
    assert got.hits.item_ids == ["a", "b", "c", "d", "e"]
    assert got.channels == (SERVED, POPULARITY, SERVED, POPULARITY, POPULARITY)
    assert got.hits.scores.tolist() == [3, 4, 1, 2, 1]
    assert in_turns(lists, 2).hits.item_ids == ["a", "b"]
    assert in_turns([(SERVED, hits()), (EXACT, hits())], 3).hits.item_ids == []


@given(st.lists(st.permutations("abcdef"), min_size=2, max_size=4), st.integers(1, 6))
def test_turns_give_as_many_as_are_wanted_where_every_list_has_so_many(orders: list[list[str]], limit: int) -> None:
    lists = [(channel, hits(*order[:limit])) for channel, order in zip(Channel, orders, strict=False)]
    got = in_turns(lists, limit)
    assert len(set(got.hits.item_ids)) == len(got.hits.item_ids) == limit
    assert got.hits.item_ids[0] == orders[0][0]
    by_channel = dict(lists)
    for item_id, channel in zip(got.hits.item_ids, got.channels, strict=True):
        assert item_id in by_channel[channel].item_ids
