"""Twins through the whole system: catalogue, snapshot, writes, restart, rebuild and switch."""

from __future__ import annotations

import pytest

from index.errors import SnapshotDamagedError
from index.snapshot import read_manifest
from recall.errors import InvalidRequestError, NotFoundError, NotReadyError
from recall.live.query import SimilarBy, SimilarQuery
from recall.live.snapshot import load_generation
from recall.model.token_sets import TokenSets

TWIN_FILES = ("keys.npy", "offsets.npy", "permutations.npy", "rows.npy", "tokens.npy", "twins.json")
ABCD = ("a", "b", "c", "d")


def twins(system, item_id=None, features=None, **options):
    query = SimilarQuery(item_id=item_id, features=features, by=SimilarBy.TWINS, **{"limit": 10, **options})
    return system.similar(query)


def found(system, item_id=None, features=None, **options):
    result = twins(system, item_id, features, **options)
    return dict(zip(result.item_ids, result.scores.tolist(), strict=True))


@pytest.fixture
def stored(catalog, make_item):
    """Items by tags: x, y and z share at least half of theirs with another, w and the topical one with none."""
    tags = {"x": ABCD, "y": ("a", "b", "c"), "z": ("A", "B", "E"), "w": ("q",)}
    catalog.put_items([make_item(item_id, "jazz", tags=values) for item_id, values in tags.items()])
    catalog.put_items([make_item("topical", "jazz")])


def test_twins_of_stored_items_and_of_features_with_jaccard_scores(deployment, stored):
    deployment.rebuild()
    with deployment.serving() as system:
        assert found(system, "x") == {"y": 0.75}
        assert found(system, "y") == {"x": 0.75, "z": 0.5}
        assert list(found(system, "y")) == ["x", "z"]
        assert found(system, features={"tags": ("B", "a", "a")}) == pytest.approx({"y": 2 / 3, "z": 2 / 3, "x": 0.5})
        assert list(found(system, features={"tags": ("b", "a")}, limit=2)) == ["y", "z"]
        assert found(system, "y", exclude=("x",)) == {"z": 0.5}
        result = twins(system, "x", limit=1)
        assert (result.model_id, result.sequence, result.short_reason) == ("a" * 64, 5, "")


def test_twins_that_the_index_does_not_hold_yet_are_not_returned(deployment, stored):
    """As between the two steps of a write: twins are written first."""
    deployment.rebuild()
    with deployment.serving() as system:
        generation = system.generation
        tokens = TokenSets.of_features(generation.twins.specs, [{"tags": ABCD}] * 2)
        generation.twins.apply(["early", "earlier"], tokens)
        assert found(system, "x", limit=1) == {"y": 0.75}
        assert found(system, "x") == {"y": 0.75}


def test_fewer_than_wanted_are_explained(deployment, stored):
    deployment.rebuild()
    with deployment.serving() as system:
        assert twins(system, "x").short_reason == (
            "10 items were wanted, 1 found: a twin is one where at least 50% of all words and values in tags"
            " are common to it and the item"
        )
        nothing = twins(system, "topical")
        assert nothing.item_ids == []
        assert nothing.short_reason == "the item has no twin: it has no word and no value in tags"
        assert "no value in tags" in twins(system, features={"topic": "jazz"}).short_reason


def test_unknown_item_and_wrong_features_are_refused(deployment, stored):
    deployment.rebuild()
    with deployment.serving() as system:
        with pytest.raises(NotFoundError, match="'gone'"):
            twins(system, "gone")
        with pytest.raises(InvalidRequestError, match=r"item\.features\.tags"):
            twins(system, features={"tags": "no set"})


def test_item_described_under_its_own_id_is_not_its_own_twin(deployment, stored):
    deployment.rebuild()
    with deployment.serving() as system:
        assert found(system, "x", features={"tags": ABCD}) == {"y": 0.75}
        assert found(system, features={"tags": ABCD}) == {"x": 1.0, "y": 0.75}


def test_upsert_is_a_twin_at_once_and_what_it_replaced_or_deleted_is_none(deployment, stored, make_item):
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert([make_item("new", tags=ABCD)])
        assert found(system, "x") == {"new": 1.0, "y": 0.75}
        system.upsert([make_item("new", tags=("q", "r")), make_item("y", tags=("s",))])
        assert found(system, "x") == {}
        assert found(system, "w") == {"new": 0.5}
        system.delete(["new"])
        assert found(system, "w") == {}
        with pytest.raises(NotFoundError):
            twins(system, "new")
        system.upsert([make_item("new", "jazz")])
        assert "no value" in twins(system, "new").short_reason


def test_writes_live_through_a_restart_a_rebuild_and_a_switch(deployment, stored, make_item, until):
    deployment.rebuild()
    with deployment.serving() as system:
        system.upsert([make_item("new", tags=ABCD)])
        system.delete(["y"])
    with deployment.serving() as system:  # replayed
        assert found(system, "x") == {"new": 1.0}
        name = deployment.rebuild("b")
        until(lambda: system.generation.snapshot == name)
        assert system.generation.twins.view().num_fresh_rows == 0
        assert found(system, "x") == {"new": 1.0}
        system.upsert([make_item("newer", tags=ABCD)])
        assert found(system, "x") == {"new": 1.0, "newer": 1.0}


def test_writes_of_other_processes_are_followed(deployment, stored, catalog, make_item, until):
    deployment.rebuild()
    with deployment.serving() as system:
        sequence = catalog.put_items([make_item("other", tags=ABCD)])
        system.wait_for(sequence, 10)
        assert found(system, "x") == {"other": 1.0, "y": 0.75}


def test_only_retrievable_items_are_twins(deployment, stored, catalog, make_item):
    catalog.put_items([make_item("unfit", tags=ABCD, price=-1.0)])
    deployment.rebuild()
    with deployment.serving() as system:
        assert found(system, "x") == {"y": 0.75}
        catalog.put_items([make_item("y", tags=ABCD, price=-1.0), make_item("unfit", tags=ABCD)])
        system.wait_for(catalog.last_sequence(), 10)
        assert found(system, "x") == {"unfit": 1.0}


def test_columns_are_those_of_the_catalogue_whatever_the_model_reads(deployment, stored, make_model):
    schema = make_model().schema
    narrow = make_model(schema=schema.model_copy(update={"item_features": schema.item_features[:1]}))
    deployment.rebuild(model=narrow)
    with deployment.serving(narrow) as system:
        assert found(system, "x") == {"y": 0.75}


def test_snapshot_names_the_part_and_a_damaged_one_is_refused(deployment, stored, catalog, load_model, flip_byte):
    folder = deployment.root / deployment.rebuild()
    manifest = read_manifest(folder)
    assert manifest.facts["parts"]["twins"] == "twins"
    names = sorted(name for name in manifest.parts if name.startswith("twins/"))
    assert names == [f"twins/{name}" for name in TWIN_FILES]
    flip_byte(folder / "twins" / "keys.npy")
    with pytest.raises(SnapshotDamagedError, match=r"twins/keys\.npy has SHA-256"):
        load_generation(folder, lineage=catalog.lineage, load_model=load_model)


def test_without_twins_in_the_snapshot_the_cure_is_named_and_all_else_is_served(make_generation, make_item):
    from recall.live.retriever import Retriever

    generation = make_generation({"x": "jazz", "y": "jazz"})
    retriever = Retriever(None)
    with pytest.raises(NotReadyError, match="holds no twins; run `recall rebuild`"):
        retriever.similar(generation, SimilarQuery(item_id="x", by=SimilarBy.TWINS))
    assert retriever.similar(generation, SimilarQuery(item_id="x", limit=1)).item_ids == ["y"]
