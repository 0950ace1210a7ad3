"""What holds while a server moves from one snapshot to another: used before it is served, one value, nothing kept."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from index.snapshot import read_manifest, set_current, write_manifest
from recall.live.config import ServeConfig
from recall.live.query import RecallQuery, SimilarBy, SimilarQuery
from recall.live.retriever import Retriever
from recall.live.service import RecallSystem
from recall.live.warming import warm
from recall.model.fusion import FusionWeights

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model that calls back where users are embedded."""

    inner: object
    on_use: object

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def with_audiences(self, source):
        return self

    def embed_users(self, users):
        self.on_use()
        return self.inner.embed_users(users)


def _snapshot_of(system):
    return system.generation.snapshot


def test_a_snapshot_is_used_before_it_is_served(deployment, catalog, make_item, make_model, until):
    catalog.put_items([make_item("a", "jazz"), make_item("b", "rock")])
    first = deployment.rebuild("a")
    served_then = []

    def note():
        served_then.append(_snapshot_of(system))

    model = ServedModel(inner=make_model(model_id="b" * 64), on_use=note)
    with deployment.serving(model) as system:
        second = deployment.rebuild("b")
        until(lambda: _snapshot_of(system) == second)
        assert set(served_then) == {first}


def test_a_snapshot_that_fails_when_used_leaves_the_old_one_serving_and_is_told(
    deployment, catalog, make_item, make_model, until, caplog
):
    def fail():
        raise RuntimeError("no such kernel")

    catalog.put_items([make_item("a", "jazz")])
    first = deployment.rebuild("a")
    model = ServedModel(inner=make_model(model_id="b" * 64), on_use=fail)
    with caplog.at_level(logging.ERROR), deployment.serving(model) as system:
        second = deployment.rebuild("b")
        until(lambda: system.status().last_switch_error != "")
        assert system.status().last_switch_error == f"snapshot {second} cannot be served: no such kernel"
        assert system.recall(RecallQuery(history=("a",), exclude_history=False, limit=1)).item_ids == ["a"]
        assert _snapshot_of(system) == first
    assert caplog.text.count(f"snapshot {second} cannot be served: no such kernel; {first} goes on") == 1


def test_warming_asks_in_every_way_and_changes_nothing(make_generation, monkeypatch):
    asked = []
    recall, similar = Retriever.recall, Retriever.similar
    monkeypatch.setattr(Retriever, "recall", lambda s, g, queries: asked.extend(queries) or recall(s, g, queries))
    monkeypatch.setattr(Retriever, "similar", lambda s, g, query: asked.append(query) or similar(s, g, query))
    generation = make_generation({"a": "jazz", "b": "rock"})
    counts, sequence = generation.index.counts(), generation.index.sequence
    warm(generation, fresh_share=0.0)
    recalls = [query for query in asked if isinstance(query, RecallQuery)]
    assert [(query.history, query.exact) for query in recalls] == [
        (("a", "b"), False),
        (("a", "b"), True),
        (None, False),
    ]
    others = [query for query in asked if isinstance(query, SimilarQuery)]
    assert [(query.item_id, query.features, query.by) for query in others] == [
        (None, {}, SimilarBy.VECTOR),
        ("a", None, SimilarBy.VECTOR),
    ]
    assert (generation.index.counts(), generation.index.sequence) == (counts, sequence)


@pytest.mark.parametrize("fresh_share", [0.0, 0.5])
@pytest.mark.parametrize("fusion", [FusionWeights(), FusionWeights(seen=1.0, unseen=1.0)])
@pytest.mark.parametrize("topics", [{}, {"a": "jazz"}])
def test_warming_takes_few_items_with_words_and_without(make_generation, make_model, topics, fusion, fresh_share):
    warm(make_generation(topics, model=make_model(fusion=fusion)), fresh_share=fresh_share)


def test_a_recall_that_meets_a_switch_is_answered_by_one_generation(deployment, catalog, make_item, make_model, until):
    """The user vector of one model scores items of the other far from 1; items of one topic score 1 under their own."""

    def switch():
        if during_a_recall and _snapshot_of(system) == first:
            set_current(deployment.root, second)
            until(lambda: _snapshot_of(system) == second)

    catalog.put_items([make_item(f"{topic}{n}", topic) for topic in ("jazz", "rock") for n in range(3)])
    first, second = deployment.rebuild("a"), deployment.rebuild("b")
    set_current(deployment.root, first)
    during_a_recall: list[bool] = []
    model = ServedModel(inner=make_model(), on_use=switch)
    with deployment.serving(model) as system:
        during_a_recall.append(True)
        for letter in "ab":
            result = system.recall(RecallQuery(history=("jazz0",), limit=2))
            assert (result.model_id, result.item_ids) == (letter * 64, ["jazz1", "jazz2"])
            assert result.scores == pytest.approx([1.0, 1.0], abs=1e-5)
            assert _snapshot_of(system) == second


@pytest.mark.parametrize("fresh_share", [0.0, 0.5])
def test_memory_of_the_old_base_is_freed(deployment, catalog, make_item, until, fresh_share):
    catalog.put_items([make_item("a", "jazz"), make_item("b", "rock")])
    deployment.rebuild("a")
    settings = {"fresh_share": fresh_share, "audit_share": 1.0, "upkeep_interval_seconds": 0.01}
    with deployment.serving(**settings) as system:
        for _ in range(3):
            system.recall(RecallQuery(history=("a",), limit=1))
        system.similar(SimilarQuery(item_id="a", by=SimilarBy.TWINS))
        system.upsert([make_item("c", "jazz")])
        generation = system.generation
        kept = [weakref.ref(part) for part in (generation.index, generation.index.base, generation.twins)]
        del generation
        gc.disable()  # what only the collector of cycles frees would stay for long
        try:
            name = deployment.rebuild("b")
            until(lambda: _snapshot_of(system) == name)
            until(lambda: all(part() is None for part in kept))
        finally:
            gc.enable()


def test_golden_vectors_are_checked_before_a_switch(tmp_path, until):
    """A snapshot that is whole by every checksum, of a model that no longer makes the vectors that it made."""
    place = Path(shutil.copytree(SAMPLE, tmp_path / "place"))
    root = place / "snapshots"
    first, second = sorted(path.name for path in root.iterdir() if path.is_dir())[:2]
    _change_golden(root / second)
    set_current(root, first)
    settings = ServeConfig(watch_interval_seconds=0.01)
    system = RecallSystem.start(root, place / "catalog.sqlite", settings)
    try:
        set_current(root, second)
        until(lambda: system.status().last_switch_error != "")
        assert "golden.json: item_vectors differ by 0.5" in system.status().last_switch_error
        assert _snapshot_of(system) == first
    finally:
        system.close()


def _change_golden(folder: Path) -> None:
    """Shifts one number and makes every checksum fit."""
    golden, manifest = folder / "model" / "golden.json", folder / "model" / "manifest.json"
    value = json.loads(golden.read_text())
    value["item_vectors"][0][0] += 0.5
    golden.write_text(json.dumps(value))
    body = json.loads(manifest.read_text())
    content = golden.read_bytes()
    body["files"]["golden.json"] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    unsealed = json.dumps({**body, "manifest_sha256": ""}, indent=1, sort_keys=True).encode()
    sealed = {**body, "manifest_sha256": hashlib.sha256(unsealed).hexdigest()}
    manifest.write_text(json.dumps(sealed, indent=1, sort_keys=True))
    facts = read_manifest(folder).facts
    (folder / "manifest.json").unlink()
    write_manifest(folder, facts)
