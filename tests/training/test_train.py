"""Training end to end on small data: what it learns, what it repeats, and what an interrupt leaves behind."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recall.model.artifact import MANIFEST, load_artifact
from training.config import LossConfig, OptimizerConfig, TrainConfig
from training.synthetic import write_synthetic
from training.train import RunOptions, train

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
MakeData = Callable[..., Path]
ON_CPU = RunOptions(device="cpu")


def _interrupting(stage: str, step: int) -> Callable[[str, int, int], None]:
    def progress(seen: str, done: int, total: int) -> None:
        if (seen, done) == (stage, step):
            raise KeyboardInterrupt

    return progress


def _facts(model: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((model / MANIFEST).read_bytes())["training"]
    return facts


def _write(folder: Path, pairs: list[tuple[str, str]], items: dict[str, list[Any]]) -> Path:
    folder.mkdir()
    pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row").with_columns(split=pl.lit("train")).write_parquet(
        folder / "interactions.parquet"
    )
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    return folder


# What it learns


def test_taste_is_learned(trained: Any) -> None:
    # Lists are 12 of 60 items. At random 12 of the 48 that a user has not had hold 25% of the wanted ones; of the 18 of
    # the user's group, which cannot be told apart, 67%.
    assert trained.result.score > 0.6
    assert 1 <= trained.result.epoch <= 4
    assert not trained.result.interrupted


def test_cold_items_are_placed_with_their_kind(trained: Any) -> None:
    model = load_artifact(trained.model)
    vectors = model.embed_items(["new1", "new2", "new3"], [{"title": "aaa"}, {"tags": ("AAA",)}, {"title": "bbb"}])
    a, b = (
        model.embed_items([f"{group}{n:02}" for n in range(30)], [{"title": group * 3}] * 30).mean(axis=0)
        for group in "ab"
    )
    assert (vectors[:2] @ a > vectors[:2] @ b).all()
    assert vectors[2] @ b > vectors[2] @ a


def test_ids_alone_can_be_learned(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(epochs=12, patience=12, item_id_dropout=0.0)
    result = train(checkerboard, tmp_path / "model", config, options=RunOptions(device="cpu", features=()))
    assert result.score > 0.55
    assert load_artifact(tmp_path / "model").schema.item_features == ()


def test_data_without_any_feature_column_is_trained_on(make_config: MakeConfig, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"{u % 2}-{i}") for u in range(30) for i in rng.permutation(15)[:8]]
    data = _write(tmp_path / "data", pairs, {"item_id": [f"{g}-{i}" for g in range(2) for i in range(15)]})
    config = make_config(epochs=12, patience=12, item_id_dropout=0.0, validation_k=7)
    result = train(data, tmp_path / "model", config, options=ON_CPU)
    # 7 of 22 items at random: .32
    assert result.score > 0.5


def test_demo_data_beats_chance_on_cold_and_warm_items(make_config: MakeConfig, tmp_path: Path) -> None:
    write_synthetic(tmp_path / "data", seed=0, num_items=200, num_users=150)
    result = train(tmp_path / "data", tmp_path / "model", make_config(epochs=6, batch_size=128), options=ON_CPU)
    # The mean of 20 of 175 warm items, 11%, and one of 8 cold ones, 12%.
    assert result.score > 0.2


@pytest.mark.parametrize("learning_rate", [1e-6, 1e-2])
def test_dense_content_is_joined_where_the_towers_leave_something_to_it(
    learning_rate: float, checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    optimizer = OptimizerConfig(learning_rate=learning_rate, average_weights=False)
    config = make_config(epochs=2, optimizer=optimizer, fusion={"content": "dense"})
    result = train(checkerboard, tmp_path / "model", config, options=ON_CPU)
    model = load_artifact(tmp_path / "model")
    assert model.model_id == result.model_id
    assert not model.fusion.is_on
    assert (model.content_part is None) == (learning_rate == 1e-2)
    assert model.dim == (16 if model.content_part is None else 256)
    vectors = model.embed_items(["new1", "new2"], [{"title": "aaa"}, {"title": "bbb"}])
    a, b = (
        model.embed_items([f"{group}{n:02}" for n in range(30)], [{"title": group * 3}] * 30).mean(axis=0)
        for group in "ab"
    )
    assert vectors[0] @ a > vectors[0] @ b
    assert vectors[1] @ b > vectors[1] @ a


def test_refit_keeps_the_content_part_that_was_fitted_before(
    make_checkerboard: MakeData, make_config: MakeConfig, tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "unsplit", parts={"train": 14, "test": 3}, cold=False)
    optimizer = OptimizerConfig(learning_rate=1e-6)
    config = make_config(epochs=1, optimizer=optimizer, fusion={"content": "dense"}, refit=True)
    train(data, tmp_path / "model", config, options=ON_CPU)
    assert _facts(tmp_path / "model")["num_interactions"] == 2 * 24 * 14
    assert load_artifact(tmp_path / "model").content_part is not None


ALL_TOGETHER: dict[str, object] = {
    "log_q_of": "presence",
    "frequency": "stream",
    "memory_steps": 2,
    "memory_after": 1,
    "form": "bilateral",
    "positive_temperature": 0.2,
    "negative_weight": 1.1,
    "positives_per_user": 3,
    "hard_negatives": "weighted",
}


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": "learned", "hard_negatives": "top", "hard_share": 0.5},
        {"log_q_of": "presence", "memory_steps": 2},
        {"frequency": "stream", "hard_negatives": "weighted"},
        {"form": "bilateral", "positives_per_user": 4},
        ALL_TOGETHER,
    ],
    ids=str,
)
def test_every_choice_of_the_objective_learns_the_taste(
    settings: dict[str, object], checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    loss = LossConfig.model_validate({"uniform_negatives": 32, **settings})
    config = make_config(loss=loss, epochs=1, fusion={"content": "none"}, validation_k=12)
    result = train(checkerboard, tmp_path / "model", config, options=ON_CPU)
    assert result.score > 0.4  # 25% at random, see above
    load_artifact(tmp_path / "model")


# What it repeats


def test_same_seed_gives_the_same_model_with_all_that_the_objective_remembers(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(loss=LossConfig.model_validate(ALL_TOGETHER), epochs=1, fusion={"content": "none"})
    first, again = (train(checkerboard, tmp_path / name, config, options=ON_CPU) for name in ("first", "again"))
    assert first == again


def test_same_seed_gives_the_same_model_and_another_seed_another(
    trained: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    again = train(trained.data, tmp_path / "again", make_config(), options=ON_CPU)
    assert again == trained.result
    for file in trained.model.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    other = train(trained.data, tmp_path / "other", make_config(epochs=1), options=RunOptions(seed=1, device="cpu"))
    assert other.model_id != again.model_id


def test_training_leaves_the_global_generator_alone(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    train(checkerboard, tmp_path / "model", make_config(epochs=1), options=ON_CPU)
    assert torch.equal(torch.rand(4), wanted)


def test_result_and_facts_of_the_artifact_agree(trained: Any) -> None:
    facts = _facts(trained.model)
    assert facts["epoch"] == trained.result.epoch
    assert facts["validation_score"] == pytest.approx(trained.result.score)
    assert (facts["validation"], facts["num_items"], facts["num_interactions"]) == ("given", 68, 2 * 24 * 12)
    assert trained.result.model_id == load_artifact(trained.model).model_id


# Interrupts


def test_interrupt_keeps_the_best_epoch_so_far(trained: Any, make_config: MakeConfig, tmp_path: Path) -> None:
    out = tmp_path / "model"
    stopped = train(trained.data, out, make_config(), options=ON_CPU, progress=_interrupting("epoch 2", 3))
    assert (stopped.interrupted, stopped.epoch) == (True, 1)
    assert load_artifact(out).model_id == stopped.model_id
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    # What the broken epoch had changed by then is not in it.
    later = train(
        trained.data,
        tmp_path / "later",
        make_config(),
        options=ON_CPU,
        progress=_interrupting("epoch 2", 7),
    )
    assert later == stopped


def test_interrupt_before_the_first_epoch_ended_writes_nothing(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            checkerboard,
            tmp_path / "m",
            make_config(),
            options=ON_CPU,
            progress=_interrupting("epoch 1", 2),
        )
    assert not list(tmp_path.iterdir())


# Validation and refit


@pytest.fixture
def unsplit(make_checkerboard: MakeData, tmp_path: Path) -> Path:
    """A checkerboard without a validation part."""
    return make_checkerboard(tmp_path / "unsplit", parts={"train": 14, "test": 3}, cold=False)


def test_validation_is_carved_where_there_is_none(unsplit: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    result = train(unsplit, tmp_path / "model", make_config(epochs=3), options=ON_CPU)
    facts = _facts(tmp_path / "model")
    assert facts["validation"] == "carved"
    assert facts["num_interactions"] == pytest.approx(0.9 * 2 * 24 * 14, rel=0.08)
    assert result.score > 0.6


def test_refit_trains_on_all_of_train_for_the_epochs_chosen(
    unsplit: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    steps: list[tuple[str, int]] = []
    result = train(
        unsplit, tmp_path / "model", make_config(epochs=2, refit=True), options=ON_CPU,
        progress=lambda stage, done, total: steps.append((stage, total)),
    )  # fmt: skip
    assert _facts(tmp_path / "model")["num_interactions"] == 2 * 24 * 14
    # 672 interactions make 10 steps of 64, and a tenth fewer make 9.
    assert {stage for stage, total in steps if total == 9} == {"epoch 1", "epoch 2"}
    assert {stage for stage, total in steps if total == 10} == {f"epoch {n + 1}" for n in range(result.epoch)}
    assert not result.interrupted


@pytest.mark.parametrize("stage", ["epoch 1", "epoch 2"])
def test_interrupted_refit_keeps_the_model_that_was_chosen(
    stage: str, unsplit: Path, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    scores = itertools.count(0.5, 0.1)
    monkeypatch.setattr("training.train.validation_score", lambda *_, **__: next(scores))  # so that epoch 2 is chosen

    def progress(name: str, done: int, total: int) -> None:
        # The second time that a stage begins is in the refit.
        seen.append(f"{name} {done}")
        if name == stage and seen.count(f"{name} 1") == 2:
            raise KeyboardInterrupt

    config = make_config(epochs=2, token_dropout=0.0, refit=True)
    result = train(unsplit, tmp_path / "model", config, options=ON_CPU, progress=progress)
    assert (result.epoch, result.interrupted) == (2, True)
    assert _facts(tmp_path / "model")["num_interactions"] < 2 * 24 * 14
    load_artifact(tmp_path / "model")


def test_training_stops_without_progress_for_as_long_as_patience(
    checkerboard: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    stages: set[str] = set()
    config = make_config(epochs=30, patience=2)
    result = train(
        checkerboard,
        tmp_path / "model",
        config,
        options=ON_CPU,
        progress=lambda stage, *_: stages.add(stage) if stage.startswith("epoch") else None,
    )
    assert len(stages) == result.epoch + 2 < 30


# Small and odd data


def test_users_with_one_interaction_each_are_trained_on(make_config: MakeConfig, tmp_path: Path) -> None:
    pairs = [(f"u{n}", f"i{n % 10}") for n in range(60)]
    data = _write(tmp_path / "data", pairs, {"item_id": [f"i{n}" for n in range(10)], "kind": list("aabbccddee")})
    train(data, tmp_path / "model", make_config(epochs=2), options=ON_CPU)
    load_artifact(tmp_path / "model")


@pytest.mark.parametrize("num_pairs", [1, 2, 3])
def test_data_of_a_few_interactions_of_one_user_is_trained_on(
    num_pairs: int, make_config: MakeConfig, tmp_path: Path
) -> None:
    pairs = [("u", f"i{n}") for n in range(num_pairs)]
    data = _write(tmp_path / "data", pairs, {"item_id": [f"i{n}" for n in range(num_pairs)]})
    for name, negatives in (("model", 0), ("other", 8)):
        config = make_config(epochs=2, loss=LossConfig(uniform_negatives=negatives))
        train(data, tmp_path / name, config, options=ON_CPU)
        vectors = load_artifact(tmp_path / name).embed_items(["i0", "new"], [{}, {}])
        assert np.isfinite(vectors).all()


def test_batch_may_be_larger_than_the_data(checkerboard: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    steps: list[int] = []
    train(
        checkerboard, tmp_path / "model", make_config(epochs=1, batch_size=10**6), options=ON_CPU,
        progress=lambda stage, done, total: steps.append(total) if stage.startswith("epoch") else None,
    )  # fmt: skip
    assert steps == [1]


def test_item_features_that_are_missing_everywhere_do_no_harm(make_config: MakeConfig, tmp_path: Path) -> None:
    pairs = [(f"u{n % 7}", f"i{n % 10}") for n in range(70)]
    columns = {"item_id": [f"i{n}" for n in range(10)], "brand": [None] * 10, "price": [None] * 10, "tags": [None] * 10}
    data = _write(tmp_path / "data", pairs, {"item_id": columns["item_id"]})
    schema = {"brand": pl.String, "price": pl.Float64, "tags": pl.List(pl.String)}
    pl.DataFrame(columns, schema_overrides=schema).write_parquet(data / "items.parquet")
    train(data, tmp_path / "model", make_config(epochs=1), options=ON_CPU)
    vectors = load_artifact(tmp_path / "model").embed_items(["new"], [{"brand": "x", "price": 1e9, "tags": ("t",)}])
    assert np.isfinite(vectors).all()
