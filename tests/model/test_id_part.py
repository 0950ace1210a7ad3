"""What may stand in for the gated DHE of an id, so that it can be measured: a table, nothing, or no gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recall.model.artifact import load_artifact, save_artifact
from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel, UserInput
from recall.model.id_table import IdTable
from training.dataset import TrainingData
from training.setup import build_model, golden_inputs

Build = Callable[..., EmbeddingModel]


@pytest.fixture
def build(data: TrainingData, towers: TowerConfig) -> Build:
    """Returns what builds a model with some settings changed; its weights are those that training starts with."""

    def make(*, of: TrainingData = data, **settings: object) -> EmbeddingModel:
        return build_model(of, towers.model_copy(update=settings), seed=0)

    return make


def _names(model: EmbeddingModel) -> set[str]:
    return {name for name in model.towers.state_dict() if "id_part" in name}


def test_table_gives_each_known_id_a_row_and_an_unknown_one_none() -> None:
    hashes = np.array([7, 3, 2**64 - 1, 7], dtype=np.uint64)
    table = IdTable.of(hashes)
    assert len(table) == 3
    wanted = np.array([3, 7, 2**64 - 1, 0, 5, 2**64 - 2], dtype=np.uint64)
    np.testing.assert_array_equal(table.rows(wanted), [1, 2, 3, 0, 0, 0])
    np.testing.assert_array_equal(IdTable.of(hashes[:0]).rows(wanted), np.zeros(6))


def test_table_has_a_row_for_every_id_seen_in_training_and_zeros_for_all_others(
    build: Build, data: TrainingData
) -> None:
    model = build(id_encoder="table")
    seen = {"item": int((data.item_counts() > 0).sum()), "user": int((data.user_counts() > 0).sum())}
    for side, count in seen.items():
        table = model.towers.state_dict()[f"{side}.id_part.table.weight"]
        assert table.shape == (count + 1, model.dim)
        assert not table[0].any()
    rows = model.items.prepare([*data.item_ids, "new", ""], [{}] * (len(data.item_ids) + 2))
    found = model.items.tower_input(rows, torch.device("cpu")).id_rows.numpy()
    np.testing.assert_array_equal(found[:-2] > 0, data.item_counts() > 0)
    assert len(np.unique(found)) == seen["item"] + 1
    assert found[-2:].tolist() == [0, 0]


def test_table_row_decides_the_vector_of_its_id_alone(build: Build, data: TrainingData) -> None:
    model = build(id_encoder="table")
    before = model.embed_items(data.item_ids, data.items)
    row = int(model.items.tower_input(model.items.prepare(["i3"], [{}]), torch.device("cpu")).id_rows[0])
    with torch.no_grad():
        model.towers.item.id_part.table.weight[row] += 1.0
    changed = np.abs(model.embed_items(data.item_ids, data.items) - before).max(axis=1) > 1e-6
    assert [data.item_ids[place] for place in np.flatnonzero(changed)] == ["i3"]


@pytest.mark.parametrize("encoder", ["table", "hybrid", "none"])
def test_unseen_id_leaves_the_vector_to_the_features_to_the_bit(encoder: str, build: Build) -> None:
    model = build(id_encoder=encoder, hybrid_rows=7 if encoder == "hybrid" else 0)
    features = {"title": "word1 the word2", "brand": "brand-1"}
    new, other, anonymous = (model.embed_items([item_id], [features])[0] for item_id in ("new", "other", ""))
    np.testing.assert_array_equal(new, other)
    np.testing.assert_array_equal(new, anonymous)
    assert (np.abs(model.embed_items(["i0"], [features])[0] - new).max() > 1e-4) == (encoder != "none")


def test_most_frequent_ids_get_the_rows_and_of_equals_those_of_lower_hash() -> None:
    hashes, counts = np.array([9, 4, 7, 2, 5], dtype=np.uint64), np.array([1, 3, 3, 8, 3])
    table = IdTable.of_most_frequent(hashes, counts, num_ids=3)
    assert table.hashes.tolist() == [2, 4, 5]
    assert IdTable.of_most_frequent(hashes, counts, num_ids=10).hashes.tolist() == [2, 4, 5, 7, 9]


def test_hybrid_is_the_table_for_the_most_frequent_ids_and_the_decoder_for_all_others(
    build: Build, data: TrainingData
) -> None:
    model = build(id_encoder="hybrid", hybrid_rows=7)
    for side, prepared in (
        ("item", model.items.tower_input(model.items.prepare(data.item_ids, data.items), torch.device("cpu"))),
        ("user", model.users.tower_input(model.users.prepare(data.user_ids, data.users), torch.device("cpu"))),
    ):
        counts = data.item_counts() if side == "item" else data.user_counts()
        part = getattr(model.towers, side).eval().id_part
        has_row = prepared.id_rows.numpy() > 0
        assert has_row.sum() == 7
        assert counts[has_row].min() >= counts[~has_row].max()
        wanted = torch.where(
            prepared.id_rows[:, None] > 0, part.table(prepared.id_rows), part.decoder(prepared.id_codes)
        )
        torch.testing.assert_close(part(prepared), part.gate(prepared.counts) * wanted)
        assert part.table.weight.shape == (8, model.dim)


def test_an_id_with_a_row_of_its_own_teaches_the_row_and_an_id_without_one_the_decoder(
    build: Build, data: TrainingData
) -> None:
    model = build(id_encoder="hybrid", hybrid_rows=7)
    part = model.towers.item.id_part
    rows = model.items.prepare(data.item_ids, data.items)
    has_row = model.items.tower_input(rows, torch.device("cpu")).id_rows.numpy() > 0
    warm = np.flatnonzero(data.item_counts() > 0)
    for chosen, learns in ((warm[has_row[warm]], "table"), (warm[~has_row[warm]], "decoder")):
        model.towers.zero_grad()
        part(model.items.tower_input(rows.take(chosen), torch.device("cpu"))).sum().backward()
        changed = {
            name.split(".")[0]
            for name, weight in part.named_parameters()
            if weight.grad is not None and weight.grad.abs().sum() > 0
        }
        assert changed - {"gate"} == {learns}


def test_without_an_id_part_nothing_depends_on_the_id_and_nothing_is_trained_for_it(build: Build) -> None:
    model = build(id_encoder="none")
    assert _names(model) == set()
    history = np.eye(model.dim, dtype=np.float32)[:2]
    users = [UserInput(user_id=user_id, features={}, history=history) for user_id in ("u0", "u1", "new", None)]
    vectors = [model.embed_users([user])[0] for user in users]
    assert all((vector == vectors[0]).all() for vector in vectors)


def test_without_a_gate_every_id_counts_but_an_absent_one(build: Build) -> None:
    gated, model = build(), build(gate=False)
    assert _names(gated) - _names(model) == {"item.id_part.gate.raw", "user.id_part.gate.raw"}
    features = {"title": "word1", "brand": "brand-1"}
    new, other, anonymous = (model.embed_items([item_id], [features])[0] for item_id in ("new", "other", ""))
    assert np.abs(new - other).max() > 1e-3
    assert np.abs(new - anonymous).max() > 1e-3
    np.testing.assert_array_equal(anonymous, gated.embed_items([""], [features])[0])
    inputs = model.items.tower_input(model.items.prepare(["i0", "new"], [{}, {}]), torch.device("cpu"))
    part = model.towers.item.eval().id_part
    torch.testing.assert_close(part(inputs), part.decoder(inputs.id_codes))


@pytest.mark.parametrize(
    "settings",
    [
        {"id_encoder": "table"},
        {"id_encoder": "hybrid", "hybrid_rows": 7},
        {"id_encoder": "none"},
        {"gate": False},
        {"minhash": 2},
    ],
    ids=str,
)
def test_artifact_keeps_every_kind_of_id_part_to_the_bit(
    settings: dict[str, object], fresh_model: Build, data: TrainingData, towers: TowerConfig, tmp_path: Path
) -> None:
    model = fresh_model(data, towers=towers.model_copy(update=settings))
    save_artifact(model, tmp_path / "model", golden_inputs(data), training={})
    loaded = load_artifact(tmp_path / "model")
    ids, rows = [*data.item_ids, "new"], [*data.items, {"tags": ("a", "b", "c")}]
    np.testing.assert_array_equal(loaded.embed_items(ids, rows), model.embed_items(ids, rows))
    users = [UserInput(user_id=f"u{n}", features={}, history=np.zeros((0, 16), dtype=np.float32)) for n in range(22)]
    np.testing.assert_array_equal(loaded.embed_users(users), model.embed_users(users))
    for name, weight in model.towers.state_dict().items():
        assert torch.equal(loaded.towers.state_dict()[name], weight)
    assert loaded.config == model.config


def test_size_of_a_model_with_a_table_grows_with_the_catalogue(
    build: Build, build_data: Callable[..., TrainingData]
) -> None:
    sizes = [
        sum(value.numel() for value in build(of=build_data(num_items=count), id_encoder="table").towers.parameters())
        for count in (20, 40)
    ]
    assert sizes[1] > sizes[0]
