"""The reserved item is found by its own probe, and by nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import polars as pl
import pytest

from recall.errors import CatalogBusyError, NotFoundError
from recall.live.canary import BOUNDS_SECONDS, FreshnessCanary, probe_features
from recall.live.convert import check_id
from recall.live.export import export
from recall.live.listing import PageQuery
from recall.live.query import Channel, RecallQuery, SimilarBy, SimilarQuery
from recall.live.records import InteractionRecord
from recall.live.reserved import CANARY_ID
from recall.live.snapshot import load_generation
from recall.model.fusion import FusionWeights

FUSED = FusionWeights(seen=1.0, unseen=1.0)


@pytest.fixture
def fused_model(make_model):
    return make_model(fusion=FUSED)


@pytest.fixture
def probed(deployment, catalog, make_item, fused_model):
    """A system of two items to which the canary wrote twice, before and after a merge of its index."""
    catalog.put_items([make_item("a", "jazz", tags=("x",)), make_item("b", "rock", tags=("x", "y"))])
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="a", timestamp=1)])
    deployment.rebuild(model=fused_model)
    with deployment.serving(fused_model, fresh_share=0.5) as system:
        canary = FreshnessCanary(system._ingest)
        canary.probe()
        assert system.generation.index.merge()
        canary.probe()
        assert (canary.figures.num_found, canary.figures.num_failed) == (2, 0)
        assert CANARY_ID in system.generation.index
        yield system


def _like_the_canary(system, number=2):
    return probe_features(system.generation.model.schema.item_features, number)


def test_probes_replace_one_row_and_time_what_they_find(probed, catalog_path):
    canary = FreshnessCanary(probed._ingest)
    for _ in range(5):
        canary.probe()
    figures = canary.figures
    assert (figures.num_found, sum(figures.counts), figures.last_error) == (5, 5, "")
    assert 0 < figures.last_seconds <= figures.sum_seconds < 5 * BOUNDS_SECONDS[-1]
    with closing(sqlite3.connect(catalog_path)) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (3,)
    assert probed.generation.index.counts().items == 3
    assert probed.status().sequence == 2 + 2 + 5


def test_no_answer_shows_the_reserved_item(probed):
    everything = [
        RecallQuery(history=("a",), exclude_history=False, limit=10, exact=exact, channels=channels)
        for exact in (False, True)
        for channels in ((), (Channel.CONTENT,), (Channel.POPULARITY,), tuple(Channel))
    ]
    named = RecallQuery(history=(CANARY_ID,), exclude_history=False, candidates=(CANARY_ID, "b"), limit=10)
    nobody = RecallQuery(user_id="nobody", limit=10)
    for result in probed.recall_batch([*everything, named, nobody]):
        assert set(result.item_ids) <= {"a", "b"}
        assert CANARY_ID not in result.short_reason
    features = _like_the_canary(probed)
    for by in SimilarBy:
        found = probed.similar(SimilarQuery(features=features, by=by, limit=10))
        assert CANARY_ID not in found.item_ids
        assert CANARY_ID not in probed.similar(SimilarQuery(item_id="a", by=by, limit=10)).item_ids


def test_a_short_answer_counts_without_the_reserved_item(probed):
    result = probed.recall(RecallQuery(history=("a",), exclude_history=False, limit=10))
    assert result.short_reason == "10 items were wanted, 2 are eligible: the catalogue holds 2 retrievable items"


def test_counts_pages_and_reads_leave_the_reserved_item_out(probed, catalog):
    status = probed.status()
    assert (status.num_base, status.num_fresh, status.num_deleted, status.num_items) == (2, 0, 0, 2)
    assert status.advice.share_fresh == status.advice.share_deleted == 0
    assert [item.item_id for item in probed.page(PageQuery(size=10)).items] == ["a", "b"]
    assert catalog.num_items() == 2
    with pytest.raises(NotFoundError):
        probed.get(CANARY_ID)


def test_snapshots_and_exports_hold_no_reserved_item(probed, deployment, catalog_path, fused_model, tmp_path):
    name = deployment.rebuild(model=fused_model)
    generation = load_generation(deployment.root / name, lineage=None, load_model=lambda folder: fused_model)
    assert list(generation.index.item_ids()) == ["a", "b"]
    export(catalog_path, tmp_path / "data")
    assert pl.read_parquet(tmp_path / "data" / "items.parquet")["item_id"].to_list() == ["a", "b"]


def test_another_server_of_the_catalogue_hides_it_too(probed, deployment, fused_model):
    with deployment.serving(fused_model) as other:
        assert CANARY_ID in other.generation.index
        found = other.similar(SimilarQuery(features=_like_the_canary(other), limit=10))
        assert CANARY_ID not in found.item_ids
        assert other.status().num_items == 2


def test_clients_cannot_name_a_reserved_item():
    (violation,) = check_id(CANARY_ID, path="item_id")
    assert violation.description == r"it begins with '\x1f', which is reserved; send an id that begins otherwise"


def test_a_write_that_cannot_be_retrieved_is_a_failure_said_once(probed, caplog, monkeypatch):
    canary = FreshnessCanary(probed._ingest, patience_seconds=0.02, pause_seconds=0.005)
    monkeypatch.setattr(canary, "_finds", lambda features, sequence: False)
    canary.probe()
    assert (canary.figures.num_found, canary.figures.num_failed) == (0, 1)
    assert "was not retrievable 0.02 s after its acknowledgement" in canary.figures.last_error
    monkeypatch.undo()
    canary.probe()
    assert (canary.figures.num_found, canary.figures.num_failed, canary.figures.last_error) == (1, 1, "")
    assert [record.levelname for record in caplog.records if "canary" in record.message][:1] == ["ERROR"]


def test_a_catalogue_that_takes_no_write_is_a_failure(probed, monkeypatch):
    def refuse(items):
        raise CatalogBusyError("locked")

    canary = FreshnessCanary(probed._ingest)
    monkeypatch.setattr(probed._ingest, "upsert", refuse)
    canary.probe()
    canary.probe()
    assert (canary.figures.num_failed, canary.figures.last_error) == (2, "CatalogBusyError: locked")


def test_canary_is_off_unless_told_and_then_probes_by_itself(deployment, catalog, make_item, until):
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild()
    with deployment.serving() as system:
        assert system.vitals().canary is None
        assert catalog.last_sequence() == 1
    with deployment.serving(canary_interval_seconds=0.01) as system:
        until(lambda: system.vitals().canary.num_found >= 2)
        assert system.vitals().canary.num_failed == 0
