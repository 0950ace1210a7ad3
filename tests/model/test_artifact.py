"""The artifact: whole or refused, the same bytes for the same model, and never another model under its name."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from recall.errors import ArtifactError
from recall.model.artifact import (
    GOLDEN,
    MANIFEST,
    WEIGHTS,
    ArtifactManifest,
    FileEntry,
    artifact_files,
    load_artifact,
    save_artifact,
    training_seed,
)
from recall.model.embedding import EmbeddingModel, UserInput
from training.dataset import TrainingData
from training.setup import golden_inputs

FILES = (MANIFEST, WEIGHTS, GOLDEN)


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "copy")


def _manifest(folder: Path) -> ArtifactManifest:
    return ArtifactManifest.model_validate_json((folder / MANIFEST).read_bytes())


def _reseal(folder: Path, **changes: Any) -> None:
    """Makes every checksum fit the files as they are."""
    data = {name: (folder / name).read_bytes() for name in (WEIGHTS, GOLDEN)}
    files = {name: FileEntry(sha256=hashlib.sha256(d).hexdigest(), size_bytes=len(d)) for name, d in data.items()}
    manifest = _manifest(folder).model_copy(update={"files": files, **changes})
    (folder / MANIFEST).write_bytes(manifest.sealed())


def _sealed(raw: dict[str, Any]) -> bytes:
    """Returns the manifest as the module describes it, without its code."""
    digest = hashlib.sha256(json.dumps(raw | {"manifest_sha256": ""}, indent=1, sort_keys=True).encode()).hexdigest()
    return json.dumps(raw | {"manifest_sha256": digest}, indent=1, sort_keys=True).encode()


def _edit_golden(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((folder / GOLDEN).read_bytes())
    edit(record)
    (folder / GOLDEN).write_text(json.dumps(record))
    _reseal(folder)


def test_loaded_model_gives_the_vectors_of_the_saved_one(
    model: EmbeddingModel, data: TrainingData, saved: Path
) -> None:
    loaded = load_artifact(saved)
    np.testing.assert_array_equal(
        loaded.embed_items(data.item_ids, data.items), model.embed_items(data.item_ids, data.items)
    )
    user = UserInput(user_id="u1", features=data.users[1], history=np.eye(16, dtype=np.float32)[:7])
    np.testing.assert_array_equal(loaded.embed_users([user]), model.embed_users([user]))
    assert (loaded.dim, loaded.max_history, loaded.schema, loaded.seed) == (16, 5, data.schema, 0)
    assert [loaded.item_count(i) for i in data.item_ids] == [model.item_count(i) for i in data.item_ids]
    assert loaded.knows_user("u0")


def test_id_is_the_digest_of_the_manifest_and_set_by_saving_and_loading(
    model: EmbeddingModel, data: TrainingData, tmp_path: Path
) -> None:
    assert model.model_id == ""
    model_id = save_artifact(model, tmp_path / "new" / "model", golden_inputs(data), training={})
    assert model_id == model.model_id == load_artifact(tmp_path / "new" / "model").model_id
    assert model_id == hashlib.sha256((tmp_path / "new" / "model" / MANIFEST).read_bytes()).hexdigest()


def test_equal_models_give_equal_bytes_and_ids(
    fresh_model: Callable[..., EmbeddingModel], data: TrainingData, tmp_path: Path
) -> None:
    ids = [
        save_artifact(fresh_model(data), tmp_path / name, golden_inputs(data), training={"epoch": 1}) for name in "ab"
    ]
    assert ids[0] == ids[1]
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_another_seed_gives_another_id(
    fresh_model: Callable[..., EmbeddingModel], data: TrainingData, saved: Path, tmp_path: Path
) -> None:
    other = save_artifact(fresh_model(data, seed=1), tmp_path / "b", golden_inputs(data), training={"epoch": 1})
    assert other != load_artifact(saved).model_id
    assert (training_seed(saved), training_seed(tmp_path / "b")) == (0, 1)


def test_copied_artifact_keeps_its_id(copy: Path, saved: Path) -> None:
    assert load_artifact(copy).model_id == load_artifact(saved).model_id


def test_manifest_holds_no_path_and_no_clock_time(saved: Path) -> None:
    manifest = json.loads((saved / MANIFEST).read_bytes())
    assert str(saved.parent) not in json.dumps(manifest)
    assert set(manifest["files"]) == {WEIGHTS, GOLDEN}
    assert manifest["format_version"] == 1


def test_existing_folder_is_not_overwritten(model: EmbeddingModel, data: TrainingData, copy: Path) -> None:
    before = (copy / MANIFEST).read_bytes()
    with pytest.raises(ArtifactError, match=f"{copy} exists; choose another"):
        save_artifact(model, copy, golden_inputs(data), training={})
    assert (copy / MANIFEST).read_bytes() == before


def test_failed_save_leaves_nothing_behind(model: EmbeddingModel, data: TrainingData, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        save_artifact(model, blocked / "model", golden_inputs(data), training={})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", FILES)
def test_flipped_byte_is_an_error_that_names_the_file(name: str, copy: Path) -> None:
    content = (copy / name).read_bytes()
    for place in np.linspace(0, len(content) - 1, 7).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (copy / name).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=name):
            load_artifact(copy)


def test_every_flipped_byte_of_the_manifest_is_found(copy: Path) -> None:
    # No other file vouches for the manifest.
    content = (copy / MANIFEST).read_bytes()
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (copy / MANIFEST).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=MANIFEST):
            training_seed(copy)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} cannot be read"):
        load_artifact(copy)


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_lengthened_files_are_refused(name: str, copy: Path) -> None:
    content = (copy / name).read_bytes()
    for damaged in (content[:-1], b"", content + b"\n"):
        (copy / name).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=name):
            load_artifact(copy)


def test_no_folder_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere.*name the folder of a trained model"):
        load_artifact(tmp_path / "nowhere")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(version: object, copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_bytes())
    manifest["format_version"] = version
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=f"format version {version}, this release reads 1"):
        load_artifact(copy)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", '"x"', "{}"])
def test_manifest_that_is_no_manifest_is_refused(text: str, copy: Path) -> None:
    (copy / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match=MANIFEST):
        load_artifact(copy)


def test_manifest_that_names_other_files_is_refused(copy: Path) -> None:
    manifest = _manifest(copy)
    entry = manifest.files[WEIGHTS]
    for files in ({}, {WEIGHTS: entry}, {**manifest.files, "../secret": entry}):
        (copy / MANIFEST).write_bytes(manifest.model_copy(update={"files": files}).sealed())
        with pytest.raises(ArtifactError, match=MANIFEST):
            load_artifact(copy)


def test_artifact_from_before_a_setting_had_a_name_takes_its_default(copy: Path, saved: Path) -> None:
    raw = json.loads((copy / MANIFEST).read_bytes())
    assert raw["config"]["id_code"].pop("distribution") == "uniform"
    (copy / MANIFEST).write_bytes(_sealed(raw))
    assert load_artifact(copy).config == load_artifact(saved).config


def test_setting_of_a_later_release_is_named(copy: Path) -> None:
    raw = json.loads((copy / MANIFEST).read_bytes())
    raw["config"]["colour"] = 1
    (copy / MANIFEST).write_bytes(_sealed(raw))
    with pytest.raises(ArtifactError, match=r"of another release: (.|\n)*colour"):
        load_artifact(copy)


def test_resealing_an_unchanged_artifact_keeps_it_loadable(copy: Path, saved: Path) -> None:
    _reseal(copy)
    assert load_artifact(copy).model_id == load_artifact(saved).model_id


@pytest.mark.parametrize("side", ["item_vectors", "user_vectors"])
def test_golden_vector_that_differs_is_refused(side: str, copy: Path) -> None:
    def shift(record: dict[str, Any]) -> None:
        record[side][-1][3] += 1e-3

    _edit_golden(copy, shift)
    with pytest.raises(ArtifactError, match=f"{GOLDEN}: {side} differ by 0.001"):
        load_artifact(copy)


def test_golden_vector_within_rounding_is_accepted(copy: Path) -> None:
    def shift(record: dict[str, Any]) -> None:
        record["item_vectors"][0][0] += 5e-5

    _edit_golden(copy, shift)
    load_artifact(copy)


def test_golden_vector_that_is_no_number_is_refused(copy: Path) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["item_vectors"][0][0] = float("nan")

    _edit_golden(copy, spoil)
    with pytest.raises(ArtifactError, match="item_vectors differ"):
        load_artifact(copy)


def test_golden_hash_that_differs_is_refused(copy: Path) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["hash_sha256"] = "0" * 64

    _edit_golden(copy, spoil)
    with pytest.raises(ArtifactError, match=f"{GOLDEN}: hashes differ"):
        load_artifact(copy)


def test_changed_weight_is_found_by_the_golden_vectors(copy: Path) -> None:
    arrays = load((copy / WEIGHTS).read_bytes())
    name = next(n for n in arrays if n.startswith("towers.item") and n.endswith("output.weight"))
    arrays[name] = arrays[name] + np.float32(0.05)
    (copy / WEIGHTS).write_bytes(save(arrays))
    _reseal(copy)
    with pytest.raises(ArtifactError, match="item_vectors differ"):
        load_artifact(copy)


def test_changed_seed_is_found_by_the_golden_hashes(copy: Path) -> None:
    _reseal(copy, seed=1)
    with pytest.raises(ArtifactError, match="hashes differ"):
        load_artifact(copy)


def test_changed_statistics_are_found_by_the_golden_vectors(copy: Path) -> None:
    _reseal(copy, num_item_documents=_manifest(copy).num_item_documents * 10)
    with pytest.raises(ArtifactError, match="item_vectors differ"):
        load_artifact(copy)


def test_golden_inputs_hold_seen_and_unseen_items_and_users(saved: Path, data: TrainingData) -> None:
    record = json.loads((saved / GOLDEN).read_bytes())
    model = load_artifact(saved)
    counts = [model.item_count(row["item_id"]) for row in record["items"]]
    assert 0 in counts
    assert max(counts) > 0
    assert {model.knows_user(row["user_id"]) for row in record["users"]} == {True, False}
    kinds = {name for row in record["items"] for name in row["features"]}
    assert kinds == {spec.name for spec in data.schema.item_features}


@pytest.mark.slow
def test_model_loads_in_another_process_with_equal_vectors(saved: Path, data: TrainingData) -> None:
    program = (
        "import sys, pathlib, numpy as np\n"
        "from recall.model.artifact import load_artifact\n"
        "model = load_artifact(pathlib.Path(sys.argv[1]))\n"
        "vectors = model.embed_items(['i1', 'new'], [{'title': 'word1'}, {'brand': 'brand-1'}])\n"
        "print(model.model_id, vectors.astype('<f4').tobytes().hex())\n"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program, str(saved)], check=True, capture_output=True, text=True, timeout=120
    )
    model = load_artifact(saved)
    vectors = model.embed_items(["i1", "new"], [{"title": "word1"}, {"brand": "brand-1"}])
    model_id, text = seen.stdout.split()
    assert model_id == model.model_id
    other = np.frombuffer(bytes.fromhex(text), dtype="<f4").reshape(2, -1)
    np.testing.assert_allclose(other, vectors, atol=1e-6)


def test_stray_file_is_no_part_of_an_artifact(copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    assert {file.name for file in artifact_files(copy)} == set(FILES)


def test_manifest_of_another_release_is_refused_in_one_line(copy: Path) -> None:
    raw = json.loads((copy / MANIFEST).read_bytes())
    (copy / MANIFEST).write_bytes(_sealed(raw | {"dim": "wide", "seed": None}))
    with pytest.raises(ArtifactError, match=r"dim = 'wide'.*; use that release") as error:
        load_artifact(copy)
    assert "\n" not in str(error.value)
