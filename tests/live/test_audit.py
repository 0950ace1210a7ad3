"""The audit of live recalls: what it measures, what it leaves out, and that it stands aside."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from index.factory import IndexConfig
from recall.live.audit import MAX_WAITING, RecallAudit, share_returned
from recall.live.audit_figures import AuditFigures
from recall.live.config import ServeConfig
from recall.live.popularity import Popularity
from recall.live.query import AnsweredFrom, RecallQuery, Result
from recall.live.rebuild import generation_in_memory
from recall.live.records import InteractionRecord
from recall.live.retriever import Retriever

BAD = IndexConfig(kind="lsh", parameters={"family": "hyperplane", "bits": 6, "tables": 1, "probes": 1, "threads": 1})
EVERY = ServeConfig(audit_share=1.0, audit_time_share=1.0)
NUM_ITEMS = 400


def _audit(generation, config=EVERY):
    return RecallAudit(lambda: generation, config)


def _settled(audit):
    """Returns the figures once nothing waits any more."""
    while audit._waiting:
        audit.look()
    return audit.figures


def _queries(num_queries, **settings):
    vectors = np.random.default_rng(5).normal(size=(num_queries, 16)).astype(np.float32)
    return [RecallQuery(vector=vector, **{"limit": 10, **settings}) for vector in vectors]


def _result(scores):
    return Result(item_ids=list(scores), scores=np.array([*scores.values()], "f4"), model_id="m", sequence=1)


@pytest.fixture
def generation_of(make_model):
    def make(config):
        features = [{"topic": f"t{n}"} for n in range(NUM_ITEMS)]
        item_ids = [f"i{n:03}" for n in range(NUM_ITEMS)]
        return generation_in_memory(make_model(), item_ids, features, counts={}, config=config)

    return make


@pytest.mark.parametrize(
    ("served", "share"),
    [
        ({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}, 1.0),
        ({"a": 0.9, "b": 0.8, "e": 0.5, "f": 0.4}, 0.5),
        ({"a": 0.9, "b": 0.8, "c": 0.7, "e": 0.6}, 1.0),  # e ties with d
        ({"a": 0.9, "b": 0.8, "e": 0.6, "f": 0.6}, 0.75),  # one tie stands for one item
        ({"a": 0.9}, 0.25),
        ({}, 0.0),
    ],
)
def test_share_returned_counts_items_or_equal_scores(served, share):
    assert share_returned(_result(served), _result({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6})) == share


def test_exact_index_has_an_audited_recall_of_one(generation_of):
    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation)
    assert audit.figures is None
    results = audit.answered(Retriever(None), generation, _queries(8))
    assert [result.item_ids for result in results] == [
        result.item_ids for result in Retriever(None).recall(generation, _queries(8))
    ]
    figures = _settled(audit)
    assert (figures.recall, figures.low, figures.high) == (1.0, 1.0, 1.0)
    assert (figures.num_recalls, figures.num_audited) == (8, 8)
    assert figures.last_time > 1.7e9


def test_bad_index_has_the_audited_recall_that_a_comparison_by_hand_finds(generation_of):
    generation = generation_of(BAD)
    audit, retriever, queries = _audit(generation), Retriever(None), _queries(12)
    served = audit.answered(retriever, generation, queries)
    exact = retriever.recall(generation, [replace(query, exact=True) for query in queries])
    shares = [len({*s.item_ids} & {*e.item_ids}) / 10 for s, e in zip(served, exact, strict=True)]
    figures = _settled(audit)
    assert figures.recall == pytest.approx(np.mean(shares))
    assert figures.recall < 0.9
    assert figures.low < figures.recall < figures.high


def test_what_is_written_or_recorded_between_both_answers_is_no_miss(catalog, make_generation, make_item):
    topics = {f"i{n}": f"t{n}" for n in range(20)}
    generation = make_generation(topics)
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="i3", timestamp=1)])
    audit = _audit(generation)
    (result,) = audit.answered(Retriever(catalog), generation, [RecallQuery(user_id="u", limit=3)])
    assert result.answered_from is AnsweredFrom.HISTORY
    best, second = result.item_ids[:2]
    catalog.add_interactions([InteractionRecord(user_id="u", item_id=best, timestamp=2)])  # and is excluded from now on
    twin = generation.model.embed_items(["new"], [{"topic": "t3"}])
    generation.index.apply(["new"], twin, deleted=[second], sequence=generation.index.sequence + 1)
    now = Retriever(catalog).recall(generation, [RecallQuery(user_id="u", limit=3)])[0].item_ids
    assert not {best, second} & {*now}
    figures = _settled(audit)
    assert (figures.recall, figures.num_recalls) == (1.0, 1)


def test_nothing_is_audited_with_a_share_of_zero(generation_of):
    generation = generation_of(BAD)
    audit = _audit(generation, ServeConfig(audit_share=0.0))
    audit.answered(Retriever(None), generation, _queries(3))
    audit.start()
    assert (len(audit._waiting), audit._thread) == (0, None)
    assert _settled(audit) is None


def test_about_the_configured_share_is_audited(generation_of, monkeypatch):
    monkeypatch.setattr("recall.live.audit.MAX_WAITING", 10_000)
    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation, ServeConfig(audit_share=0.25))
    audit.answered(Retriever(None), generation, _queries(1000, limit=1))
    # Binomial with n = 1000 and p = 1/4: 250 with a standard deviation of 13.7.
    assert abs(len(audit._waiting) - 250) < 5 * 13.7


@pytest.mark.parametrize("settings", [{"exact": True}, {"candidates": ("i001",)}])
def test_recalls_that_are_exact_already_are_left_out(generation_of, settings):
    generation = generation_of(BAD)
    audit = _audit(generation)
    audit.answered(Retriever(None), generation, _queries(2, **settings))
    assert not audit._waiting


def test_answers_from_popularity_are_left_out(generation_of):
    generation = replace(generation_of(BAD), popularity=Popularity.from_counts([("i001", 3)]))
    audit = _audit(generation)
    (result,) = audit.answered(Retriever(None), generation, [RecallQuery(user_id="nobody", limit=1)])
    assert result.item_ids == ["i001"]
    assert not audit._waiting


def test_samples_beyond_the_queue_are_dropped_and_recalls_go_on(generation_of):
    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation)
    for _ in range(3):
        assert len(audit.answered(Retriever(None), generation, _queries(10))) == 10
    assert len(audit._waiting) == MAX_WAITING
    assert _settled(audit).num_audited == MAX_WAITING


def test_audit_rests_once_its_share_of_the_time_is_used(generation_of, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr("recall.live.audit.time.perf_counter", lambda: seconds[0])
    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation, ServeConfig(audit_share=1.0, audit_time_share=0.1))
    check = audit._check

    def check_for_a_second(sample):
        seconds[0] += 1.0
        check(sample)

    audit._check = check_for_a_second
    audit.answered(Retriever(None), generation, _queries(6))
    audit.look()  # no time has passed in which it could have worked
    assert len(audit._waiting) == 6
    seconds[0] += 0.5
    audit.look()  # .05 s of credit, used up with .95 s more
    assert len(audit._waiting) == 5
    seconds[0] += 8.4  # and the second of the work itself: .94 s of credit
    audit.look()
    assert len(audit._waiting) == 5
    seconds[0] += 0.2
    audit.look()
    assert len(audit._waiting) == 4
    seconds[0] += 100.0  # of which no more than a second counts
    audit.look()
    assert len(audit._waiting) == 3


def test_recall_below_its_floor_is_said_once(generation_of, caplog):
    generation = generation_of(BAD)
    audit = _audit(generation, ServeConfig(audit_share=1.0, audit_time_share=1.0, audit_floor=0.9))
    assert not audit.is_low
    for _ in range(2):
        for query in _queries(MAX_WAITING):
            audit.answered(Retriever(None), generation, [query])
        _settled(audit)
        assert audit.is_low == (audit.figures.num_recalls >= 30)
    for query in _queries(2):
        audit.answered(Retriever(None), generation, [query])
    _settled(audit)
    warnings = [record.getMessage() for record in caplog.records if record.name == "recall.live.audit"]
    assert len(warnings) == 1
    assert "below audit_floor = 0.9: rebuild the index" in warnings[0]


def test_figures_are_of_the_last_recalls(generation_of):
    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation, ServeConfig(audit_share=1.0, audit_time_share=1.0, audit_window=5))
    audit.answered(Retriever(None), generation, _queries(8))
    figures = _settled(audit)
    assert (figures.num_recalls, figures.num_audited) == (5, 8)


def test_a_new_base_begins_anew_and_drops_what_waits(generation_of):
    served = [generation_of(BAD)]
    audit = RecallAudit(lambda: served[0], EVERY)
    audit.answered(Retriever(None), served[0], _queries(3))
    assert _settled(audit).num_recalls == 3
    audit.answered(Retriever(None), served[0], _queries(2))
    served[0] = generation_of(IndexConfig(kind="flat"))
    assert audit.figures is None
    audit.look()
    assert (audit.figures, len(audit._waiting)) == (None, 0)
    audit.answered(Retriever(None), served[0], _queries(1))
    figures = _settled(audit)
    assert (figures.recall, figures.num_recalls, figures.num_audited) == (1.0, 1, 4)


def test_a_failing_audit_is_logged_once_and_goes_on(generation_of, caplog):
    class Failing(Retriever):
        def recall(self, generation, queries, *, path=""):
            if queries[0].exact and len(audit._waiting) > 0:
                raise RuntimeError("out of memory")
            return super().recall(generation, queries, path=path)

        def at_one_moment(self):
            return self

    generation = generation_of(IndexConfig(kind="flat"))
    audit = _audit(generation)
    with caplog.at_level(logging.ERROR):
        audit.answered(Failing(None), generation, _queries(3))
        figures = _settled(audit)
    assert caplog.text.count("a recall cannot be audited: out of memory") == 1
    assert (figures.recall, figures.num_recalls) == (1.0, 1)


def test_served_recalls_are_audited_and_a_bad_index_is_advised_to_be_rebuilt(deployment, catalog, make_item, until):
    catalog.put_items([make_item(f"i{n:03}", f"t{n}") for n in range(NUM_ITEMS)])
    deployment.rebuild(index=BAD)
    with deployment.serving(audit_share=1.0, audit_time_share=1.0) as system:
        assert (system.status().audit, system.status().advice.audited_recall) == (None, None)
        queries = iter(_queries(2000))

        def is_audited():
            system.recall(next(queries))
            audit = system.status().audit
            return audit is not None and audit.num_recalls >= 30

        until(is_audited)
        status = system.status()
        assert isinstance(status.audit, AuditFigures)
        assert status.audit.high < 0.98
        assert status.advice.rebuild
        assert status.advice.reason.startswith("the audited recall is 0.")
        assert status.advice.audited_recall == pytest.approx(status.audit.recall)
