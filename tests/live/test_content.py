"""Content beside learned vectors, as words or joined to them, in a real system: restarted, rebuilt, switched."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.snapshot import read_manifest
from recall.live.catalog import Catalog
from recall.live.config import RebuildConfig, ServeConfig
from recall.live.query import AnsweredFrom, RecallQuery, SimilarQuery
from recall.live.rebuild import rebuild
from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.live.snapshot import load_generation
from recall.model.artifact import load_artifact, save_artifact
from recall.model.config import CodeConfig, DecoderConfig, ProjectionConfig, TowerConfig
from recall.model.content_part import ContentPart
from recall.model.embedding import UserInput
from recall.model.fusion import FusionWeights
from recall.schema import DataSchema, FeatureSpec
from training.dataset import TrainingData
from training.setup import build_model, golden_inputs

OFFSET = 0.125
WEIGHT = 5.0  # ahead of what untrained towers make of the words
RARE = "zither"
SCHEMA = DataSchema(
    name="words",
    item_features=(
        FeatureSpec(name="title", kind="text", domain="title"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
    ),
)
TOWERS = TowerConfig(
    dim=8,
    id_code=CodeConfig(k=16),
    id_decoder=DecoderConfig(width=8, depth=1),
    content_projection=ProjectionConfig(rank=4, max_buckets=256),
    category_code=CodeConfig(k=8),
    feature_decoder=DecoderConfig(width=8, depth=1),
    max_history=4,
    max_sketch_bytes=1 << 12,
)
ITEMS = {f"i{row:02}": {"title": f"word{row % 5} of word{row % 7}", "tags": (f"tag{row % 3}",)} for row in range(40)}
ITEMS["i00"] = {"title": "word1", "tags": (RARE,)}
ITEMS["i01"] = {"title": "word2", "tags": (RARE,)}
ITEMS["i02"] = {}
JOINED = ContentPart(dim=14, weight=WEIGHT)
QUERY = RecallQuery(history=("i00",), limit=10)
EVERYTHING = RecallQuery(history=("i00",), limit=100)


def records(items):
    return [ItemRecord(item_id=item_id, features=features) for item_id, features in items.items()]


def make_artifact(folder, *, weight=WEIGHT, seed=0, content_part=None):
    pairs = np.array([(user, (3 * user + n) % 30) for user in range(10) for n in range(6)])
    data = TrainingData(
        schema=SCHEMA,
        item_ids=list(ITEMS),
        items=list(ITEMS.values()),
        user_ids=[f"u{n}" for n in range(10)],
        users=[{}] * 10,
        train=pairs,
        validation=pairs[:0],
        refitted=pairs,
        carved=False,
    )
    wide = {"content_projection": ProjectionConfig(rank=16)}
    towers = TOWERS if content_part is None else TOWERS.model_copy(update=wide)
    model = build_model(data, towers, seed=seed)
    model.content_part = content_part
    model.fusion = FusionWeights(seen=weight, unseen=weight, unseen_offset=OFFSET if weight else 0)
    save_artifact(model, folder, golden_inputs(data), training={})
    return folder


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("fused") / "model")


@pytest.fixture(scope="module")
def joined_artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("joined") / "model", weight=0.0, content_part=JOINED)


@pytest.fixture
def place(tmp_path):
    with Catalog.create(tmp_path / "words.sqlite", SCHEMA) as catalog:
        catalog.put_items(records(ITEMS))
    return tmp_path


def build(place, model, kind="flat"):
    config = RebuildConfig.model_validate({"index": {"kind": kind}})
    return rebuild(model, place / "words.sqlite", place / "snapshots", config=config)


@contextmanager
def serving(place, **config):
    settings = ServeConfig(**{"follow_interval_seconds": 0.01, "watch_interval_seconds": 0.01, **config})
    system = RecallSystem.start(place / "snapshots", place / "words.sqlite", settings)
    try:
        yield system
    finally:
        system.close()


def score_of(item_id, result):
    return float(result.scores[result.item_ids.index(item_id)])


def brute_force(model, items, history):
    """Returns every item's score by the definition, in float64."""
    ids = list(items)
    vectors = model.embed_items(ids, list(items.values())).astype(np.float64)
    bags = model.bag_items(ids, list(items.values()))
    words = [
        dict(zip(bags.tokens[a:b].tolist(), bags.weights[a:b].tolist(), strict=True))
        for a, b in zip(bags.offsets, bags.offsets[1:], strict=False)
    ]
    rows = [ids.index(item_id) for item_id in history]
    user = model.embed_users([UserInput(user_id=None, features={}, history=vectors[rows].astype(np.float32))])[0]
    total = {}
    for row in rows:
        for token, weight in words[row].items():
            total[token] = total.get(token, 0.0) + weight
    length = np.sqrt(sum(weight**2 for weight in total.values()))
    profile = {token: WEIGHT * weight / length for token, weight in total.items()}
    return {
        item_id: float(vector @ user)
        + sum(profile.get(token, 0.0) * weight for token, weight in bag.items())
        + (OFFSET if model.item_count(item_id) == 0 else 0.0)
        for item_id, vector, bag in zip(ids, vectors, words, strict=True)
    }


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_scores_are_the_sum_of_both_products(place, artifact, kind):
    build(place, artifact, kind)
    cold = {"cold": {"tags": (RARE, "tag1"), "title": "word4 new"}}
    with serving(place) as system:
        system.upsert(records(cold))
        scores = brute_force(load_artifact(artifact), ITEMS | cold, QUERY.history)
        result = system.recall(replace(EVERYTHING, exclude_history=False, exact=True))
        assert result.answered_from is AnsweredFrom.HISTORY
        assert dict(zip(result.item_ids, result.scores, strict=True)) == pytest.approx(scores, abs=1e-5)
        assert (np.diff(result.scores) <= 0).all()
        assert 1 < result.scores[0] <= 1 + WEIGHT + OFFSET
        approximate = system.recall(replace(EVERYTHING, exclude_history=False))
        assert approximate.item_ids == result.item_ids
        assert np.array_equal(approximate.scores, result.scores)


def test_a_cold_item_with_a_rare_tag_of_the_history_is_found_until_it_is_deleted(place, artifact, until):
    build(place, artifact)
    cold = ItemRecord(item_id="cold", features={"tags": (RARE,), "title": "never seen before"})
    with serving(place) as system:
        assert system.recall(QUERY).item_ids[0] == "i01"  # the one other item with the tag
        system.upsert([cold])
        written = system.recall(QUERY)
        assert set(written.item_ids[:2]) == {"i01", "cold"}
    with serving(place) as system:
        restarted = system.recall(QUERY)
        name = build(place, artifact).name
        until(lambda: system.status().snapshot == name)
        assert system.status().num_fresh == 0
        rebuilt = system.recall(QUERY)
        for result in (restarted, rebuilt):
            assert result.item_ids == written.item_ids
            np.testing.assert_allclose(result.scores, written.scores, rtol=1e-5)  # encoded in other company
        system.delete(["cold"])
        assert "cold" not in system.recall(EVERYTHING).item_ids
        system.upsert([ItemRecord(item_id="cold", features={"tags": ("tag0",)})])  # now without a common word
        replaced = score_of("cold", system.recall(EVERYTHING))
        assert replaced <= 1 + OFFSET + 1e-5 < score_of("cold", rebuilt)
    with serving(place) as system:
        assert score_of("cold", system.recall(EVERYTHING)) == replaced


def test_a_batch_with_and_without_history_equals_each_alone(place, artifact):
    build(place, artifact)
    vector = np.ones(8, dtype=np.float32)
    queries = [
        QUERY,
        RecallQuery(vector=vector, limit=10),
        RecallQuery(user_id="u1", limit=10),
        RecallQuery(history=("i02",), limit=10),
        RecallQuery(history=("i00", "i05"), limit=10, candidates=tuple(ITEMS)[:20]),
        RecallQuery(history=("i00",), limit=3),
    ]
    with serving(place) as system:
        together = system._retriever.recall(system.generation, queries)
        for query, result in zip(queries, together, strict=True):
            alone = system.recall(query)
            assert alone.item_ids == result.item_ids
            assert np.allclose(alone.scores, result.scores, atol=1e-5)  # a tower rounds by its batch
        # By a given vector, and by a history of an item without words, only vectors count.
        assert together[1].scores.max() <= np.linalg.norm(vector)
        assert together[3].scores.max() <= 1 + OFFSET + 1e-5


def check_neighbors_of_a_rare_tag(place):
    """The stored cold item and its features find the two items that share its tag, with the same scores."""
    with serving(place) as system:
        system.upsert([ItemRecord(item_id="cold", features={"tags": (RARE,)})])
        stored = system.similar(SimilarQuery(item_id="cold", limit=5))
        described = system.similar(SimilarQuery(features={"tags": (RARE,)}, limit=5, exclude=("cold",)))
        assert set(stored.item_ids[:2]) == {"i00", "i01"}
        assert stored.scores[0] > 1
        assert described.item_ids == stored.item_ids
        assert np.array_equal(described.scores, stored.scores)


def test_similar_items_share_words_and_a_described_item_finds_what_the_stored_one_does(place, artifact):
    build(place, artifact)
    check_neighbors_of_a_rare_tag(place)


def test_switching_between_models_with_and_without_a_sparse_part_keeps_every_write(place, artifact, tmp_path, until):
    plain = make_artifact(tmp_path / "plain", weight=0.0, seed=1)
    build(place, plain)
    names = []
    with serving(place) as system:
        system.upsert([ItemRecord(item_id="cold", features={"tags": (RARE,)})])
        assert not system.generation.index.has_content
        assert system.recall(QUERY).scores[0] <= 1 + OFFSET + 1e-5
        for model, has_content in ((artifact, True), (plain, False), (artifact, True)):
            name = build(place, model).name
            until(lambda name=name: system.status().snapshot == name)
            assert system.generation.index.has_content == has_content
            system.upsert([ItemRecord(item_id=f"cold-{name}", features={"tags": (RARE,)})])
            assert f"cold-{name}" in system.recall(EVERYTHING).item_ids
            names.append(f"cold-{name}")
        assert set(system.recall(QUERY).item_ids[:5]) == {"i01", "cold", *names}


def test_snapshot_holds_the_bags_of_its_rows(place, artifact, flip_byte):
    folder = build(place, artifact)
    assert read_manifest(folder).facts["parts"]["spaces"] == {
        "two_tower": "spaces/two_tower",
        "content": "spaces/content",
    }
    generation = load_generation(folder, lineage=None)
    bags, held = generation.index.gather_bags(list(ITEMS))
    assert held.all()
    wanted = load_artifact(artifact).encode_items(list(ITEMS), list(ITEMS.values())).bags
    for row in range(len(ITEMS)):
        part, whole = slice(*bags.offsets[row : row + 2]), slice(*wanted.offsets[row : row + 2])
        order = np.argsort(wanted.tokens[whole])
        assert np.array_equal(bags.tokens[part], wanted.tokens[whole][order])
        assert np.array_equal(bags.weights[part], wanted.weights[whole][order])
    flip_byte(folder / "spaces" / "content" / "weights.npy")
    with pytest.raises(SnapshotDamagedError, match=r"spaces/content/weights\.npy"):
        load_generation(folder, lineage=None)


def test_snapshot_without_the_bags_that_its_model_needs_is_refused(place, tmp_path):
    folder = build(place, make_artifact(tmp_path / "plain", weight=0.0))
    assert not (folder / "spaces" / "content").exists()

    def load_model(path):
        model = load_artifact(path)
        model.fusion = FusionWeights(seen=1)
        return model

    with pytest.raises(SnapshotMismatchError, match=r"without content, but model .* has a sparse part: rebuild"):
        load_generation(folder, lineage=None, load_model=load_model)


def test_share_of_unseen_items_counts_what_training_saw(place, artifact):
    build(place, artifact)
    model = load_artifact(artifact)
    unseen = {item_id for item_id in ITEMS if model.item_count(item_id) == 0}
    assert {"i35", "i39"} <= unseen
    allowed = (*sorted(ITEMS)[:30], "cold", "i39")
    with serving(place, fresh_share=0.5) as shared, serving(place) as plain:
        plain.upsert([ItemRecord(item_id="cold", features={"tags": ("tag1",)})])
        shared.wait_for(plain.status().sequence, timeout_seconds=5)
        unseen.add("cold")
        for query in (QUERY, RecallQuery(history=("i07",), limit=9, exclude=("i39",)), RecallQuery(limit=8)):
            mixed, by_score = shared.recall(query), plain.recall(query)
            chosen = [item_id for item_id in mixed.item_ids if item_id in unseen]
            assert len(chosen) >= query.limit // 2
            assert len(mixed.item_ids) == query.limit
            assert not {*query.history, *query.exclude} & set(mixed.item_ids) if query.history else True
            assert list(mixed.scores) == sorted(mixed.scores, reverse=True)
            everything = plain.recall(RecallQuery(history=query.history, limit=100, exclude=query.exclude)).item_ids
            assert chosen == [item_id for item_id in everything if item_id in unseen][: len(chosen)]
            kept = [item_id for item_id in mixed.item_ids if item_id not in unseen]
            assert kept == [item_id for item_id in by_score.item_ids if item_id not in unseen][: len(kept)]
        narrowed = shared.recall(RecallQuery(history=("i07",), limit=6, candidates=allowed))
        assert set(narrowed.item_ids) <= set(allowed)
        assert {"cold", "i39"} <= set(narrowed.item_ids)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_a_cold_item_is_found_by_the_content_joined_to_its_vector(place, joined_artifact, kind, until):
    build(place, joined_artifact, kind)
    model = load_artifact(joined_artifact)
    cold = {"cold": {"tags": (RARE,), "title": "never seen before"}}
    items = ITEMS | cold
    vectors = dict(zip(items, model.embed_items(list(items), list(items.values())), strict=True))
    user = model.embed_users([UserInput(user_id=None, features={}, history=vectors["i00"][None])])[0]
    with serving(place) as system:
        assert not system.generation.index.has_content
        system.upsert(records(cold))
        written = system.recall(EVERYTHING)
        assert set(written.item_ids[:2]) == {"i01", "cold"}
        wanted = {item_id: float(vector @ user) for item_id, vector in vectors.items() if item_id != "i00"}
        assert dict(zip(written.item_ids, written.scores, strict=True)) == pytest.approx(wanted, abs=1e-5)
        assert 1 < written.scores[0] <= 1 + WEIGHT + 1e-5
        name = build(place, joined_artifact, kind).name
        until(lambda: system.status().snapshot == name)
        assert (system.status().num_fresh, system.status().dim) == (0, 8 + 14)
        rebuilt = system.recall(EVERYTHING)
        assert rebuilt.item_ids == written.item_ids
        assert np.allclose(rebuilt.scores, written.scores, atol=1e-5)  # a tower rounds by its batch
        system.delete(["cold"])
        assert "cold" not in system.recall(EVERYTHING).item_ids


def test_joined_content_obeys_an_allow_list_and_outlasts_a_restart(place, joined_artifact):
    build(place, joined_artifact)
    allowed = replace(EVERYTHING, candidates=("cold", "i01", "i02"))
    with serving(place) as system:
        system.upsert([ItemRecord(item_id="cold", features={"tags": (RARE,), "title": "never seen before"})])
        written = system.recall(allowed)
        assert set(written.item_ids[:2]) == {"i01", "cold"}
        assert written.item_ids[2:] == ["i02"]
    with serving(place) as system:
        restarted = system.recall(allowed)
        assert restarted.item_ids == written.item_ids
        assert np.allclose(restarted.scores, written.scores, atol=1e-5)
        system.delete(["cold"])
    with serving(place) as system:
        assert set(system.recall(allowed).item_ids) == {"i01", "i02"}


def test_similar_items_are_found_by_joined_content(place, joined_artifact):
    build(place, joined_artifact)
    check_neighbors_of_a_rare_tag(place)
