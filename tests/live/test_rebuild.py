from __future__ import annotations

import fcntl
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.factory import IndexConfig
from index.snapshot import current, read_manifest, set_current, snapshot_names
from recall.errors import ArtifactError, BusyError, CatalogError, ConfigError
from recall.live.catalog import Catalog
from recall.live.config import RebuildConfig
from recall.live.lineage import Lineage
from recall.live.rebuild import rebuild
from recall.live.records import InteractionRecord
from recall.live.snapshot import load_generation


def load(deployment, name, catalog, load_model):
    return load_generation(deployment.root / name, lineage=catalog.lineage, load_model=load_model)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "lsh"])
def test_rebuild_writes_what_load_reads(deployment, catalog, make_item, load_model, kind):
    catalog.put_items([make_item(item_id, topic) for item_id, topic in zip("dbéa", "wxyz", strict=True)])
    catalog.delete_items(["d"])
    events = [InteractionRecord(user_id=user, item_id=item) for user, item in ("1é", "2é", "1b", "1d", "1x")]
    catalog.add_interactions(events)
    name = deployment.rebuild(kind=kind)
    assert current(deployment.root) == name == "000001-" + "a" * 12
    generation = load(deployment, name, catalog, load_model)
    assert list(generation.index.item_ids()) == ["a", "b", "é"]
    assert list(generation.popularity.ranking.items()) == [("é", 2), ("b", 1)]
    assert generation.index.sequence == 5
    assert generation.index.base.kind == kind
    assert generation.snapshot == name
    assert generation.skipped == {}
    vectors, _ = generation.index.gather(["b", "é"])
    assert np.allclose(vectors, [generation.model.vector({"topic": topic}) for topic in "xy"])


def test_the_manifest_states_where_a_snapshot_comes_from(deployment, catalog, make_item):
    catalog.put_items([make_item("a", "jazz")])
    facts = read_manifest(deployment.root / deployment.rebuild()).facts
    assert facts["catalog_uuid"] == catalog.uuid
    assert (facts["sequence"], facts["num_items"], facts["dim"], facts["model_id"]) == (1, 1, 16, "a" * 64)
    assert facts["index"]["kind"] == "flat"
    assert facts["parts"]["spaces"] == {"two_tower": "spaces/two_tower"}


def test_manifest_and_status_tell_how_the_index_was_chosen(deployment, catalog, make_item):
    catalog.put_items([make_item("a", "jazz")])
    name = deployment.rebuild(index=IndexConfig(target_recall=0.9))
    (trial,) = read_manifest(deployment.root / name).facts["index"]["tuning"]["tried"]
    assert (trial["kind"], trial["recall"], trial["resident_bytes"]) == ("flat", 1.0, 64)
    with deployment.serving() as system:
        tuning = system.status().index_tuning
    assert (tuning.target_recall, tuning.k, tuning.memory_budget_bytes, tuning.reached) == (0.9, 1, 0, True)
    assert tuning.tried[0].verdict.startswith("chosen")


def test_a_kind_that_is_named_is_not_said_to_be_tuned(deployment):
    name = deployment.rebuild(kind="flat")
    assert read_manifest(deployment.root / name).facts["index"]["tuning"] is None
    with deployment.serving() as system:
        assert system.status().index_tuning is None


def test_rebuild_warns_of_a_goal_that_the_budget_forbids(deployment, catalog, make_item, caplog):
    catalog.put_items([make_item(item_id, topic) for item_id, topic in zip("abc", "xyz", strict=True)])
    deployment.rebuild(index=IndexConfig(memory_budget_mb=1e-5))
    (record,) = [record for record in caplog.records if record.message.startswith("index: ")]
    assert record.levelname == "WARNING"
    assert "raise the memory budget" in record.message


def test_rebuild_of_an_empty_catalogue_can_be_served(deployment, catalog, load_model):
    assert load(deployment, deployment.rebuild(), catalog, load_model).index.num_items == 0


def test_rebuild_reports_items_that_cannot_be_embedded(deployment, catalog, make_item, load_model, caplog):
    catalog.put_items([make_item("bad", price="cheap"), make_item("good", "jazz")])
    generation = load(deployment, deployment.rebuild(), catalog, load_model)
    assert list(generation.index.item_ids()) == ["good"]
    assert set(generation.skipped) == {"bad"}
    assert "'bad'" in caplog.text


def test_rebuild_leaves_writes_during_the_scan_to_be_replayed(deployment, catalog, make_item, make_model, load_model):
    def write(item_ids):
        if catalog.last_sequence() == 6:
            catalog.put_items([make_item("a", "new"), make_item("f", "new"), make_item("z", "new")])
            catalog.delete_items(["b", "e"])

    catalog.put_items([make_item(item_id, "old") for item_id in "abcdef"])
    name = deployment.rebuild(model=make_model(on_embed=write), batch_size=2)
    generation = load(deployment, name, catalog, load_model)
    assert generation.index.sequence == 6
    assert set(generation.index.item_ids()) <= set("abcdef")
    with deployment.serving() as system:
        assert list(system.generation.index.item_ids()) == ["a", "c", "d", "f", "z"]
        vectors, _ = system.generation.index.gather(["a", "c", "f", "z"])
        want = [generation.model.vector({"topic": topic}) for topic in ("new", "old", "new", "new")]
        assert np.allclose(vectors, want)


def test_rebuild_keeps_the_newest_and_the_one_to_roll_back_to(deployment):
    names = [deployment.rebuild(keep_snapshots=2) for _ in range(3)]
    assert snapshot_names(deployment.root) == names[:0:-1]
    set_current(deployment.root, names[1])
    names += [deployment.rebuild(keep_snapshots=1)]
    assert snapshot_names(deployment.root) == [names[3], names[1]]
    assert names[3].startswith("000004-")


def test_rebuild_removes_what_a_killed_one_left(deployment):
    left = deployment.root / ".000001-dead.tmp-1"
    left.mkdir(parents=True)
    (deployment.root / ".CURRENT.tmp-1").write_text("000001-dead\n")
    name = deployment.rebuild()
    assert sorted(p.name for p in deployment.root.iterdir()) == [".rebuild.lock", name, "CURRENT"]


def test_rebuild_replaces_an_unreadable_current(deployment):
    deployment.rebuild()
    (deployment.root / "CURRENT").write_text("nonsense\n")
    name = deployment.rebuild()
    assert current(deployment.root) == name


def test_a_second_rebuild_at_once_is_refused(deployment):
    deployment.root.mkdir()
    with (deployment.root / ".rebuild.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another rebuild is writing to"):
            deployment.rebuild()
    assert deployment.rebuild()


def test_an_interrupted_rebuild_leaves_nothing_and_the_old_snapshot_current(
    deployment, catalog, make_item, make_model, monkeypatch
):
    first = deployment.rebuild()
    catalog.put_items([make_item("a", "jazz")])

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deployment.rebuild(model=make_model(on_embed=interrupt))
    monkeypatch.setattr("recall.live.snapshot.write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deployment.rebuild()
    assert current(deployment.root) == first
    assert sorted(p.name for p in deployment.root.iterdir()) == [".rebuild.lock", first, "CURRENT"]


def test_rebuild_without_catalogue_or_model_says_so(deployment, tmp_path):
    with pytest.raises(ArtifactError, match="no-model"):
        rebuild(tmp_path / "no-model", deployment.catalog_path, deployment.root)
    deployment.catalog_path.unlink()
    with pytest.raises(CatalogError, match="does not exist"):
        deployment.rebuild()


def test_folder_of_another_catalogue_is_refused_and_stays_as_it_is(deployment, catalog, tmp_path):
    name = deployment.rebuild()
    other = tmp_path / "other.sqlite"
    with Catalog.create(other, catalog.schema) as opened:
        wanted = f"made from catalogue {catalog.uuid}, not from {opened.uuid}"
    with pytest.raises(SnapshotMismatchError, match=wanted):
        replace(deployment, catalog_path=other).rebuild()
    assert current(deployment.root) == name
    assert snapshot_names(deployment.root) == [name]


def test_load_takes_any_catalogue_where_none_is_named(deployment, load_model):
    folder = deployment.root / deployment.rebuild()
    assert load_generation(folder, lineage=None, load_model=load_model).snapshot == folder.name


def test_load_refuses_a_snapshot_of_another_catalogue(deployment, catalog, load_model):
    name = deployment.rebuild()
    with pytest.raises(SnapshotMismatchError, match=f"made from catalogue {catalog.uuid}, not from other"):
        load_generation(deployment.root / name, lineage=Lineage(uuid="other"), load_model=load_model)


@pytest.mark.parametrize("part", ["model/model.txt", "rows/ids.npy", "spaces/two_tower/vectors.npy", "skipped.json"])
def test_load_refuses_a_damaged_part_and_names_it(deployment, catalog, make_item, load_model, flip_byte, part):
    catalog.put_items([make_item("a", "jazz")])
    name = deployment.rebuild()
    flip_byte(deployment.root / name / part)
    with pytest.raises(SnapshotDamagedError, match=part):
        load(deployment, name, catalog, load_model)


def test_load_refuses_a_model_that_did_not_make_the_vectors(deployment, catalog, make_model):
    name = deployment.rebuild()
    with pytest.raises(SnapshotMismatchError, match="rebuild"):
        load_generation(
            deployment.root / name, lineage=catalog.lineage, load_model=lambda _: make_model(model_id="b" * 64)
        )


def test_snapshot_holds_the_files_of_the_artifact_and_no_stray_ones(deployment, catalog):
    (deployment.model_folder("a") / "stray.bin").write_bytes(b"not of the model")
    name = deployment.rebuild("a")
    assert [path.name for path in (deployment.root / name / "model").iterdir()] == ["model.txt"]


def test_rebuild_into_a_file_is_refused_before_the_model_is_loaded(deployment, catalog, catalog_path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file cannot be made a folder of snapshots: File exists; name another"):
        rebuild(tmp_path / "no model", catalog_path, tmp_path / "file")


def test_config_refuses_unknown_keys():
    for settings in ({"keep": 1}, {"index": {"kindd": "flat"}}):
        with pytest.raises(ValidationError, match=r"keep|kindd"):
            RebuildConfig.model_validate(settings)
    assert RebuildConfig.model_validate({"index": {"kind": "lsh"}}).index.kind == "lsh"
