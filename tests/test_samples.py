"""The committed samples of every disk format, which must load for ever. `tests/samples/make.py` made them."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SAMPLES = Path(__file__).resolve().parent / "samples"
VERSIONS = sorted(path for path in SAMPLES.iterdir() if path.is_dir() and path.name.startswith("v"))
TOLERANCE = 1e-4  # as for the golden vectors of an artifact
SNAPSHOTS = sorted(path for version in VERSIONS for path in (version / "snapshots").iterdir() if path.is_dir())
KINDS = ["flat", "hnsw", "lsh"]  # in the order of the snapshots
NUM_ITEMS = 12


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Returns a copy, since SQLite writes beside a file that it opens."""
    return Path(shutil.copytree(request.param, tmp_path / "sample"))


@pytest.fixture
def expected(sample: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((sample / "expected.json").read_text(encoding="utf-8"))
    return value


def features_of(sample: Path, item_ids: list[str]) -> list[Any]:
    from recall.live.catalog import Catalog

    with Catalog.open(sample / "catalog.sqlite") as catalog:
        return [catalog.get_item(item_id).features for item_id in item_ids]


def audiences_of(sample: Path, item_ids: list[str]) -> list[tuple[str, ...]]:
    from recall.live.catalog import Catalog

    with Catalog.open(sample / "catalog.sqlite") as catalog:
        return catalog.audiences(item_ids)


def test_there_is_a_sample_and_git_leaves_its_bytes_alone() -> None:
    assert [path.name for path in VERSIONS] == ["v1", "v1-audience", "v1-fused"]
    attributes = (SAMPLES.parents[1] / ".gitattributes").read_text(encoding="utf-8").splitlines()
    assert "tests/samples/*/** -text" in attributes


def test_model_loads_and_makes_the_vectors_that_it_made(sample: Path, expected: dict[str, Any]) -> None:
    from recall.model.artifact import load_artifact

    model = load_artifact(sample / "model")  # encodes its golden inputs again
    assert model.model_id == expected["model_id"]
    assert [spec.kind for spec in model.schema.item_features] == ["text", "set", "category", "number", "vector"]
    model = model.with_audiences(lambda item_ids: audiences_of(sample, list(item_ids)))
    vectors = model.embed_items(expected["item_ids"], features_of(sample, expected["item_ids"]))
    np.testing.assert_allclose(vectors, expected["vectors"], atol=TOLERANCE)
    assert model.knows_user("u1")
    assert not model.knows_user("nobody")


def test_catalogue_reads_as_it_was_written(sample: Path, expected: dict[str, Any]) -> None:
    from recall.live.catalog import Catalog

    with Catalog.open(sample / "catalog.sqlite") as catalog:
        changes = catalog.changes(0, limit=100)
        assert [item.item_id for item in changes if item.damage] == []
        assert [item.item_id for item in changes if item.deleted] == ["i11", "i10"]
        live = sorted(item.item_id for batch in catalog.scan_items(5) for item in batch)
        assert live == sorted([*expected["item_ids"], "unfit"])
        assert catalog.last_sequence() == expected["sequence"] == NUM_ITEMS + 4  # unfit, late and two deletions
        item = catalog.get_item("i1")
        assert item is not None
        assert item.features["title"] == "word1 of story1"
        assert item.features["tags"] == ("tag1", "all")
        assert (item.features["year"], item.attributes) == (1991.0, {"brand": "brand1"})
        np.testing.assert_array_equal(item.features["image"], [1.0, 1.0])
        assert catalog.get_user("u1") == {"age": 21.0}
        assert catalog.history("u1", 3) == ("i3", "i4", "i5")
        assert {i: n for i, n in catalog.popularity().items() if i in live} == expected["popularity"]
        assert catalog.put_items([]) == expected["sequence"]


@pytest.mark.parametrize(("folder", "kind"), list(zip(SNAPSHOTS, KINDS * len(VERSIONS), strict=True)), ids=str)
def test_snapshot_loads_with_its_base_index(folder: Path, kind: str) -> None:
    from recall.live.snapshot import load_generation

    expected = json.loads((folder.parents[1] / "expected.json").read_text(encoding="utf-8"))
    generation = load_generation(folder, lineage=None)
    assert generation.index.base.kind == kind
    assert generation.model.model_id == expected["model_id"]
    # Before the last two writes: "late" was not yet written and i10 not yet deleted.
    item_ids = [item_id for item_id in expected["item_ids"] if item_id != "late"]
    assert sorted(generation.index.item_ids()) == sorted([*item_ids, "i10"])
    assert generation.index.sequence == expected["sequence"] - 2
    assert generation.popularity.ranking == expected["popularity"]
    assert list(generation.skipped) == ["unfit"]
    vectors, present = generation.index.gather(item_ids)
    assert present.all()
    wanted = [v for i, v in zip(expected["item_ids"], expected["vectors"], strict=True) if i != "late"]
    np.testing.assert_allclose(vectors, wanted, atol=TOLERANCE)
    hits = generation.index.search(vectors, 1)
    assert [hit.item_ids for hit in hits] == [[item_id] for item_id in item_ids]


def test_newest_snapshot_is_served_with_the_catalogue(sample: Path, expected: dict[str, Any]) -> None:
    from recall.errors import NotReadyError
    from recall.live.query import AnsweredFrom, RecallQuery, SimilarBy, SimilarQuery
    from recall.live.records import ItemRecord
    from recall.live.service import RecallSystem

    system = RecallSystem.start(sample / "snapshots", sample / "catalog.sqlite")
    try:
        result = system.recall(RecallQuery(user_id="u1", limit=5))
        assert result.answered_from is AnsweredFrom.HISTORY
        assert (result.item_ids, result.sequence) == (expected["recalled"], expected["sequence"])
        assert sorted(system.generation.index.item_ids()) == expected["item_ids"]
        assert system.status().num_skipped == 1
        system.upsert([ItemRecord(item_id="unfit", features={"year": 2002.0})])
        assert system.get("unfit").retrievable
        assert system.status().num_skipped == 0
        assert system.similar(SimilarQuery(item_id="i1", limit=3)).short_reason == ""
        twins = SimilarQuery(item_id="i1", by=SimilarBy.TWINS)
        if system.generation.twins is None:
            with pytest.raises(NotReadyError, match="holds no twins; run `recall rebuild`"):
                system.similar(twins)
        else:
            assert system.similar(twins).item_ids
    finally:
        system.close()


@pytest.mark.slow
def test_samples_can_be_made_anew(tmp_path: Path) -> None:
    runpy.run_path(str(SAMPLES / "make.py"))["make"](tmp_path / "v1", tmp_path / "data")
    made = {path.relative_to(tmp_path / "v1").parts[0] for path in (tmp_path / "v1").rglob("*") if path.is_file()}
    assert made == {"model", "snapshots", "catalog.sqlite", "expected.json"}
