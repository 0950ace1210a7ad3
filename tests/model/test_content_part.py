"""Content beside the learned vector: products by hand, the same everywhere, kept in the artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recall.errors import ArtifactError
from recall.model.artifact import GOLDEN, MANIFEST, load_artifact, save_artifact
from recall.model.content_part import ContentPart, columns_beside, unit_rows
from recall.model.embedding import EmbeddingModel, UserInput
from recall.schema import DataSchema
from training.dataset import TrainingData
from training.setup import golden_inputs

DIM, COLUMNS, WEIGHT = 16, 5, 2.25


@pytest.fixture
def joined_model(fresh_model: Callable[..., EmbeddingModel], data: TrainingData) -> EmbeddingModel:
    model = fresh_model(data)
    model.content_part = ContentPart(dim=COLUMNS, weight=WEIGHT)
    return model


def _reseal(folder: Path, raw: dict[str, object]) -> None:
    digest = hashlib.sha256(json.dumps(raw | {"manifest_sha256": ""}, indent=1, sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(raw | {"manifest_sha256": digest}, indent=1, sort_keys=True))


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns cosines by their definition, 0 with a row of zeros."""
    lengths = np.outer(*(np.linalg.norm(rows.astype(np.float64), axis=1) for rows in (left, right)))
    products = left.astype(np.float64) @ right.astype(np.float64).T
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def test_first_columns_are_scaled_to_the_root_of_the_weight() -> None:
    learned = np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32)
    content = np.array([[3, 4, 9], [0, 0, 9], [0, -0.5, 0]], dtype=np.float32)
    part = ContentPart(dim=2, weight=4.0)
    wanted = [[1, 0, 1.2, 1.6], [0, 1, 0, 0], [0, -1, 0, -2]]
    assert part.joined(learned, content) == pytest.approx(np.array(wanted))
    assert part.joined(learned[:0], content[:0]).shape == (0, 4)


def test_columns_fill_a_stored_vector_as_far_as_the_projection_goes() -> None:
    assert [columns_beside(128, 256), columns_beside(64, 100), columns_beside(256, 256)] == [128, 100, 0]


def test_row_without_a_direction_stays_zero() -> None:
    rows = np.array([[0, 0], [1e-9, 0], [0, 2]], dtype=np.float32)
    assert unit_rows(rows).tolist() == [[0, 0], [0, 0], [0, 1]]


def test_product_is_the_learned_cosine_plus_the_weighted_one_of_content(
    joined_model: EmbeddingModel, model: EmbeddingModel, data: TrainingData
) -> None:
    # Item 5 n lacks its title and 5 n + 1 its tags; an item of neither has no content.
    ids, features = [*data.item_ids, "bare"], [*data.items, {}]
    histories = [[0], [3, 7, 8], [60], [], list(range(20, 32))]
    content = model.items.prepare(ids, features).features.content[:, :COLUMNS]
    assert not content[60].any()
    plain, joined = model.embed_items(ids, features), joined_model.embed_items(ids, features)
    assert joined.shape == (61, DIM + COLUMNS) == (61, joined_model.dim)

    def users(of: EmbeddingModel, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return of.embed_users([UserInput(user_id="u1", features={}, history=vectors[rows]) for rows in histories])

    latest = [rows[-joined_model.max_history :] for rows in histories]
    profiles = np.array([unit_rows(content)[rows].sum(axis=0) for rows in latest])
    scores = users(joined_model, joined) @ joined.T
    wanted = _cosines(users(model, plain), plain) + WEIGHT * _cosines(profiles, content)
    assert scores == pytest.approx(wanted, abs=1e-5)
    assert joined @ joined.T == pytest.approx(_cosines(plain, plain) + WEIGHT * _cosines(content, content), abs=1e-5)
    lengths = np.where(content.any(axis=1), np.sqrt(1 + WEIGHT), 1.0)
    assert np.linalg.norm(joined, axis=1) == pytest.approx(lengths, abs=1e-5)
    assert joined_model.embed_users([]).shape == (0, DIM + COLUMNS)


def test_cold_item_is_its_features_alone_and_no_vector_depends_on_its_batch(
    joined_model: EmbeddingModel, data: TrainingData
) -> None:
    together = joined_model.embed_items(data.item_ids, data.items)
    alone = np.concatenate([joined_model.embed_items([i], [f]) for i, f in zip(data.item_ids, data.items, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    for item_id in ("i55", "never"):
        assert joined_model.item_count(item_id) == 0
        vectors = [joined_model.embed_items([name], [data.items[55]]) for name in (item_id, "")]
        np.testing.assert_array_equal(vectors[0], vectors[1])


def test_artifact_keeps_the_part_and_golden_vectors_cover_it(
    joined_model: EmbeddingModel, data: TrainingData, saved: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    model_id = save_artifact(joined_model, folder, golden_inputs(data), training={"epoch": 1})
    loaded = load_artifact(folder)
    assert loaded.content_part == joined_model.content_part
    assert loaded.model_id == model_id != load_artifact(saved).model_id
    vectors = joined_model.embed_items(data.item_ids, data.items)
    np.testing.assert_array_equal(loaded.embed_items(data.item_ids, data.items), vectors)
    golden = json.loads((folder / GOLDEN).read_bytes())
    assert {len(row) for name in ("item_vectors", "user_vectors") for row in golden[name]} == {DIM + COLUMNS}
    manifest = json.loads((folder / MANIFEST).read_bytes())
    assert manifest["dim"] == DIM + COLUMNS
    _reseal(folder, manifest | {"content_part": {"dim": COLUMNS, "weight": 2.0}})
    with pytest.raises(ArtifactError, match="item_vectors differ"):
        load_artifact(folder)


def test_artifact_that_does_not_mention_a_part_has_none(saved: Path, tmp_path: Path) -> None:
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((saved / MANIFEST).read_bytes())
    assert manifest.pop("content_part") is None
    _reseal(tmp_path, manifest)
    loaded = load_artifact(tmp_path)
    assert (loaded.content_part, loaded.dim) == (None, DIM)


def test_power_of_the_idf_is_kept_with_the_model(
    fresh_model: Callable[..., EmbeddingModel], data: TrainingData, towers, tmp_path: Path
) -> None:
    models = [fresh_model(data, towers=towers.model_copy(update={"idf_power": power})) for power in (1.5, 3.0)]
    save_artifact(models[1], tmp_path / "model", golden_inputs(data), training={})
    default, steep, loaded = (
        m.bag_items(data.item_ids, data.items) for m in (*models, load_artifact(tmp_path / "model"))
    )
    np.testing.assert_array_equal(steep.weights, loaded.weights)
    assert np.abs(steep.weights - default.weights).max() > 0.01


def test_model_without_content_has_nothing_to_join(
    build_data: Callable[..., TrainingData], fresh_model: Callable[..., EmbeddingModel]
) -> None:
    assert fresh_model(build_data(schema=DataSchema(name="bare"))).items.features.projection is None
