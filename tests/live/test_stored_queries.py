from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from index.factory import IndexConfig
from index.tune_sample import NUM_QUERIES
from recall.live import rebuild as rebuild_module
from recall.live.query import RecallQuery
from recall.live.records import InteractionRecord, UserRecord
from recall.live.retriever import Retriever
from recall.live.snapshot import load_generation
from recall.live.stored_queries import LEAST_USERS, stored_queries

ITEMS = ("a", "b", "c", "d")


@pytest.fixture
def stored(catalog, make_item, hash_model):
    """Items with their vectors, and the arguments of `stored_queries` for them."""
    catalog.put_items([make_item(item_id, f"topic {item_id}") for item_id in ITEMS])
    vectors = hash_model.embed_items(ITEMS, [{"topic": f"topic {item_id}"} for item_id in ITEMS])
    return lambda: stored_queries(catalog, hash_model, ITEMS, vectors=vectors)


def record(catalog, num_users):
    catalog.add_interactions(
        InteractionRecord(user_id=f"u{user}", item_id=item_id, timestamp=time)
        for user in range(num_users)
        for time, item_id in enumerate((*ITEMS[user % 3 :], "never stored"))
    )


def test_queries_are_the_vectors_that_users_are_answered_with(deployment, catalog, stored, load_model):
    record(catalog, LEAST_USERS)
    catalog.put_users([UserRecord(user_id=f"u{user}", features={"country": "se"}) for user in range(0, 9)])
    queries = stored()
    generation = load_generation(deployment.root / deployment.rebuild(), lineage=catalog.lineage, load_model=load_model)
    asked = [RecallQuery(user_id=f"u{user}", exclude_history=False) for user in range(LEAST_USERS)]
    answered = Retriever(catalog).recall(generation, asked)
    by_query = Retriever(catalog).recall(generation, [RecallQuery(vector=query) for query in queries])
    assert len(queries) == LEAST_USERS
    assert sorted(r.scores.tolist() for r in by_query) == sorted(r.scores.tolist() for r in answered)


def test_there_are_none_of_few_users(catalog, stored):
    assert stored() is None
    record(catalog, LEAST_USERS - 1)
    assert stored() is None


def test_many_users_are_drawn_from_and_damaged_ones_do_not_matter(catalog, catalog_path, stored):
    record(catalog, 3 * NUM_QUERIES)
    catalog.put_users([UserRecord(user_id="u1", features={"country": "se"})])
    with sqlite3.connect(catalog_path) as connection:
        connection.execute("UPDATE users SET checksum = checksum + 1")
    queries = stored()
    assert queries.shape == (NUM_QUERIES, 16)
    np.testing.assert_array_equal(queries, stored())


@pytest.mark.parametrize(("kind", "num_asked"), [("auto", LEAST_USERS), ("hnsw", None)])
def test_rebuild_tunes_for_them(deployment, catalog, stored, monkeypatch, kind, num_asked):
    record(catalog, LEAST_USERS)
    monkeypatch.setattr(rebuild_module, "EXACT_ROWS", 1)
    seen, build = [], rebuild_module.build_chosen

    def building(vectors, config, *, queries):
        seen.append(None if queries is None else len(queries))
        return build(vectors, config, queries=queries)

    monkeypatch.setattr(rebuild_module, "build_chosen", building)
    deployment.rebuild(index=IndexConfig(kind=kind))
    assert seen == [num_asked]
