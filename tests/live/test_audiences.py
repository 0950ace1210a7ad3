"""Who had an item, as the catalogue knows it, wherever items are embedded: over a committed sample of a model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recall.live.catalog import Catalog
from recall.live.rebuild import rebuild
from recall.live.records import InteractionRecord, ItemRecord
from recall.live.service import RecallSystem
from recall.live.snapshot import load_generation

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "v1-audience"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample"))


@pytest.fixture
def system(folder: Path) -> Iterator[RecallSystem]:
    system = RecallSystem.start(folder / "snapshots", folder / "catalog.sqlite")
    yield system
    system.close()


def _vector(system: RecallSystem, item_id: str) -> np.ndarray:
    vectors, held = system.generation.index.gather([item_id])
    assert held.all()
    return np.asarray(vectors[0])


def _had(*user_ids: str) -> list[InteractionRecord]:
    return [InteractionRecord(user_id=user, item_id="new", timestamp=9) for user in user_ids]


def test_catalogue_names_the_distinct_users_of_an_item(folder: Path) -> None:
    with Catalog.open(folder / "catalog.sqlite") as catalog:
        again = InteractionRecord(user_id="u1", item_id="i3", timestamp=1_000)
        before = catalog.audiences(["i3"])[0]
        catalog.add_interactions([again])
        assert "u1" in before
        assert catalog.audiences(["i3", "nothing"]) == [before, ()]
        assert list(before) == sorted(set(before))
        many = [f"i{number}" for number in range(600)]
        assert catalog.audiences([*many, "i3"]) == [*(catalog.audiences([one])[0] for one in many), before]


def test_item_unseen_in_training_is_told_by_those_who_had_it_once_it_is_written_again(system: RecallSystem) -> None:
    item = ItemRecord(item_id="new", features={"title": "word1 of story2"})
    system.upsert([item])
    cold = _vector(system, "new")
    system.record(_had("u1", "u2"))
    np.testing.assert_array_equal(_vector(system, "new"), cold)  # as of its last write
    system.upsert([ItemRecord(item_id="new", features={"title": "word1 of story2", "year": 1990.0})])
    system.upsert([item])
    assert np.abs(_vector(system, "new") - cold).max() > 0.01
    system.delete_users(["u1", "u2"])
    system.upsert([ItemRecord(item_id="new", features={})])
    system.upsert([item])
    np.testing.assert_allclose(_vector(system, "new"), cold, atol=1e-6)


def test_rebuild_and_write_give_one_vector(folder: Path, system: RecallSystem) -> None:
    system.record(_had("u1", "u2"))
    system.upsert([ItemRecord(item_id="new", features={"title": "word1 of story2"})])
    rebuilt = load_generation(rebuild(folder / "model", folder / "catalog.sqlite", folder / "snapshots"), lineage=None)
    np.testing.assert_allclose(rebuilt.index.gather(["new"])[0][0], _vector(system, "new"), atol=1e-6)


def test_restart_replays_the_same_vector(folder: Path, system: RecallSystem) -> None:
    system.record(_had("u1", "u2"))
    system.upsert([ItemRecord(item_id="new", features={"title": "word1 of story2"})])
    written = _vector(system, "new")
    again = RecallSystem.start(folder / "snapshots", folder / "catalog.sqlite")
    try:
        np.testing.assert_allclose(_vector(again, "new"), written, atol=1e-6)
    finally:
        again.close()
