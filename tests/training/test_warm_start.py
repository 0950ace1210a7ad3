"""Training that starts from the weights of an earlier model."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recall.errors import ArtifactError, ConfigError
from recall.model.artifact import load_artifact
from recall.model.config import DecoderConfig, TowerConfig
from recall.model.embedding import EmbeddingModel, UserInput
from recall.tables import DataFolder
from training.config import TrainConfig
from training.dataset import TrainingData, read_training_data
from training.setup import build_model
from training.train import RunOptions, train
from training.warm_start import load_start, start_from

pytestmark = pytest.mark.slow


def _moved(checkerboard: Path, folder: Path) -> Path:
    """Copies the data without a third of the items, prices moved and stretched: all that is fitted differs."""
    shutil.copytree(checkerboard, folder)
    items = (
        pl.read_parquet(folder / "items.parquet")
        .gather_every(3)
        .vstack(pl.read_parquet(folder / "items.parquet").gather_every(3, offset=1))
    )
    items.with_columns(pl.col("price") * 1.5 + 7).write_parquet(folder / "items.parquet")
    return folder


def _started(start: EmbeddingModel, folder: Path, features: tuple[str, ...] | None = None) -> tuple[Any, TrainingData]:
    data = read_training_data(DataFolder.open(folder), features=features, seed=0)
    model = build_model(data, start.config, seed=0)
    start_from(start, model, data)
    return model, data


def _vectors(model: EmbeddingModel, data: TrainingData) -> Any:
    return model.embed_prepared_items(model.items.prepare([""] * len(data.items), data.items))


def _users(model: EmbeddingModel, data: TrainingData) -> Any:
    history = np.eye(model.config.dim, dtype=np.float32)[:2]
    inputs = [UserInput(user_id="", features=row, history=history) for row in data.users]
    prepared = model.users.prepare([""] * len(inputs), [user.features for user in inputs])
    return model.embed_prepared_users(prepared, np.stack([history.mean(axis=0)] * len(inputs)))


def test_towers_begin_where_they_ended_on_the_same_data(trained: Any) -> None:
    start = load_artifact(trained.model)
    model, data = _started(start, trained.data)
    np.testing.assert_allclose(_vectors(model, data), _vectors(start, data), atol=0.01)
    np.testing.assert_allclose(_users(model, data), _users(start, data), atol=1e-5)


def test_numbers_are_carried_over_exactly_to_other_moments(
    trained: Any, tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    features = ("items.price", "users.country")
    config = make_config(epochs=1)
    train(trained.data, tmp_path / "model", config, options=RunOptions(device="cpu", features=features))
    start = load_artifact(tmp_path / "model")
    model, data = _started(start, _moved(trained.data, tmp_path / "data"), features)
    assert abs(model.items.features.means - start.items.features.means) > 10
    np.testing.assert_allclose(_vectors(model, data), _vectors(start, data), atol=1e-5)


def test_weights_over_content_turn_with_the_axes_of_a_new_projection(trained: Any, tmp_path: Path) -> None:
    start = load_artifact(trained.model)
    model, data = _started(start, _moved(trained.data, tmp_path / "data"))
    assert start.items.features.projection is not None
    before, now = (m.items.prepare(data.item_ids, data.items).features.content for m in (start, model))
    assert np.abs(before - now).max() > 1
    cosines = (_vectors(model, data) * _vectors(start, data)).sum(axis=1)
    assert np.median(cosines) > 0.95
    copied = build_model(data, start.config, seed=0)
    same = {name: weight for name, weight in start.towers.state_dict().items() if "audience_part" not in name}
    copied.towers.load_state_dict(same, strict=False)
    assert np.median((_vectors(copied, data) * _vectors(start, data)).sum(axis=1)) < np.median(cosines)


def test_weights_over_audiences_turn_too(trained: Any, tmp_path: Path) -> None:
    start = load_artifact(trained.model)
    model, data = _started(start, _moved(trained.data, tmp_path / "data"))
    audiences = data.audiences()
    had = {i: [data.user_ids[u] for u in audiences[row].indices] for row, i in enumerate(data.item_ids)}
    before, now = (
        one.with_audiences(lambda ids: [had[i] for i in ids]).embed_items(data.item_ids, data.items)
        for one in (start, model)
    )
    assert np.median((before * now).sum(axis=1)) > 0.9
    assert np.abs(before - start.embed_items(data.item_ids, data.items)).max() > 0.1  # it does matter who had them


def test_other_sizes_and_another_seed_are_all_named(trained: Any, make_config: Callable[..., TrainConfig]) -> None:
    towers = make_config().towers.model_copy(update={"dim": 8, "feature_decoder": DecoderConfig(width=4, depth=1)})
    with pytest.raises(ConfigError) as error:
        load_start(trained.model, config=towers, seed=3)
    for part in ("towers.dim is 16 there and 8 here", "towers.feature_decoder is", "seed is 0 there and 3 here"):
        assert part in str(error.value)


@pytest.mark.parametrize("encoder", [{"id_encoder": "table"}, {"id_encoder": "hybrid", "hybrid_rows": 9}], ids=str)
def test_rows_of_ids_are_not_started_from(
    encoder: dict[str, Any], checkerboard: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    towers = make_config().towers.model_copy(update=encoder)
    config = make_config(towers=towers, epochs=1, fusion={"content": "none"})
    train(checkerboard, tmp_path / "model", config, options=RunOptions(device="cpu"))
    wanted = f"towers.id_encoder is '{encoder['id_encoder']}', whose rows belong to the ids of one training"
    with pytest.raises(ConfigError, match=wanted):
        load_start(tmp_path / "model", config=towers, seed=0)


def test_sizes_of_what_is_fitted_anew_may_differ(trained: Any, make_config: Callable[..., TrainConfig]) -> None:
    towers: TowerConfig = make_config().towers
    projection = towers.content_projection.model_copy(update={"rank": 20})
    other = towers.model_copy(update={"content_projection": projection, "max_history": 5})
    start = load_start(trained.model, config=other, seed=0)
    data = read_training_data(DataFolder.open(trained.data), features=None, seed=0)
    model = build_model(data, other, seed=0)
    start_from(start, model, data)
    assert np.median((_vectors(model, data) * _vectors(start, data)).sum(axis=1)) > 0.95


def test_other_features_are_all_named(trained: Any) -> None:
    start = load_artifact(trained.model)
    with pytest.raises(ConfigError) as error:
        _started(start, trained.data, ("items.title", "items.tags"))
    for part in ("item feature 'price' is number in domain 'price' there and absent here", "user feature 'country'"):
        assert part in str(error.value)


def test_artifact_that_is_not_there_is_refused_before_the_data_are_read(
    tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be read"):
        train(tmp_path / "none", tmp_path / "model", make_config(warm_start=str(tmp_path / "nothing")))


def test_warm_training_starts_near_the_score_of_its_start_and_names_it_but_no_path(
    trained: Any, tmp_path: Path, make_config: Callable[..., TrainConfig], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shutil.copytree(trained.model, tmp_path / "elsewhere")
    ids = []
    for number, start in enumerate((trained.model, tmp_path / "elsewhere")):
        config = make_config(epochs=1, warm_start=str(start))
        out = tmp_path / str(number)
        ids.append(train(trained.data, out, config, options=RunOptions(device="cpu")).model_id)
    assert ids[0] == ids[1] != trained.result.model_id
    text = (out / "manifest.json").read_text()
    assert json.loads(text)["training"]["warm_start"] == trained.result.model_id
    assert str(tmp_path) not in text
    train(trained.data, tmp_path / "cold", make_config(epochs=1), options=RunOptions(device="cpu"))
    # Scores of so few users are coarse, and one epoch may score as well by chance; its loss does not.
    warm, _, cold = (float(loss) for loss in re.findall(r"epoch 1: loss ([\d.]+)", caplog.text))
    assert warm < cold - 0.5
    scores = [float(score) for score in re.findall(r"before the first epoch: validation score ([\d.]+)", caplog.text)]
    assert scores == pytest.approx([trained.result.score] * 2, abs=1e-3)
