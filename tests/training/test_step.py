"""One training step: what it draws, what it masks, and that no gradient goes where none belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from recall.model.embedding import EmbeddingModel
from training.config import LossConfig, TrainConfig
from training.dataset import TrainingData
from training.loss import sampled_softmax
from training.setup import build_model
from training.step import Batch, Stepper

MakeStepper = Callable[..., tuple[EmbeddingModel, Stepper]]


@pytest.fixture
def make_stepper(checkerboard_data: TrainingData, make_config: Callable[..., TrainConfig]) -> MakeStepper:
    def make(*, data: TrainingData = checkerboard_data, seed: int = 0, **settings: object):  # type: ignore[no-untyped-def]
        config = make_config(**settings)
        model = build_model(data, config.towers, seed=seed)
        return model, Stepper(model, data, config, seed=seed)

    return make


def _batches(stepper: Stepper, epoch: int = 1) -> list[Batch]:
    return list(stepper.batches(epoch))


def test_an_epoch_holds_every_interaction_once_but_for_the_last_part_batch(
    make_stepper: MakeStepper, checkerboard_data: TrainingData
) -> None:
    _, stepper = make_stepper(batch_size=50)
    pairs = np.concatenate([batch.pairs for batch in _batches(stepper)])
    assert stepper.steps_per_epoch == len(checkerboard_data.train) // 50
    assert len(np.unique(pairs, axis=0)) == len(pairs) == stepper.steps_per_epoch * 50
    known = {tuple(pair) for pair in checkerboard_data.train.tolist()}
    assert {tuple(pair) for pair in pairs.tolist()} <= known


def test_batches_follow_from_seed_and_epoch(make_stepper: MakeStepper) -> None:
    stepper, again, other = make_stepper()[1], make_stepper()[1], make_stepper(seed=1)[1]
    first = _batches(stepper)[0]
    same, elsewhere, later = _batches(again)[0], _batches(other)[0], _batches(stepper, 2)[0]
    for name in ("pairs", "negatives", "without_item_id", "without_user_id", "without_history"):
        np.testing.assert_array_equal(getattr(first, name), getattr(same, name))
    for batch in (elsewhere, later):
        assert (batch.pairs != first.pairs).any()
        assert (batch.negatives != first.negatives).any()


def test_batch_larger_than_the_data_becomes_one_step(
    make_stepper: MakeStepper, checkerboard_data: TrainingData
) -> None:
    _, stepper = make_stepper(batch_size=100_000)
    assert stepper.steps_per_epoch == 1
    assert len(_batches(stepper)[0].pairs) == len(checkerboard_data.train)


def test_dropout_takes_about_the_share_asked_for(make_stepper: MakeStepper) -> None:
    _, stepper = make_stepper(item_id_dropout=0.8, user_id_dropout=0.0, history_dropout=0.25)
    batches = [batch for epoch in range(1, 6) for batch in stepper.batches(epoch)]
    assert np.mean([batch.without_item_id.mean() for batch in batches]) == pytest.approx(0.8, abs=0.03)
    assert not any(batch.without_user_id.any() for batch in batches)
    assert np.mean([batch.without_history.mean() for batch in batches]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("source", ["warm", "catalogue"])
def test_negatives_are_drawn_from_warm_items_or_from_all(
    source: str, make_stepper: MakeStepper, checkerboard_data: TrainingData
) -> None:
    loss = LossConfig.model_validate({"uniform_negatives": 200, "negatives_from": source})
    _, stepper = make_stepper(loss=loss)
    drawn = np.concatenate([batch.negatives for batch in _batches(stepper)])
    counts = checkerboard_data.item_counts()
    if source == "warm":
        assert set(drawn) == set(np.flatnonzero(counts > 0))
    else:
        assert set(drawn) == set(range(len(counts)))


def test_loss_of_a_batch_is_that_of_its_vectors(make_stepper: MakeStepper, checkerboard_data: TrainingData) -> None:
    """Without dropout of ids and tokens and BatchNorm, the loss can be put together from embedded vectors and sets."""
    decoder = {"width": 16, "depth": 1, "norm": "layer"}
    changes = {"id_decoder": decoder, "feature_decoder": decoder, "audience_decoder": decoder}
    towers = make_stepper()[0].config.model_dump() | changes
    off = {"item_id_dropout": 0.0, "user_id_dropout": 0.0, "history_dropout": 0.5, "token_dropout": 0.0}
    data = checkerboard_data
    model, stepper = make_stepper(
        towers=towers, loss=LossConfig(uniform_negatives=8, log_q=False), batch_size=16, **off
    )
    batch = _batches(stepper)[0]
    loss = stepper.loss(batch).item()
    columns = np.unique(np.concatenate([batch.pairs[:, 1], batch.negatives]))
    items = model.embed_prepared_items(stepper.items.take(columns))
    assert 0 < batch.without_history.sum() < 16
    histories = stepper.pool.means(batch.pairs[:, 0], batch.pairs[:, 1]) * ~batch.without_history[:, None]
    users = model.embed_prepared_users(stepper.users.take(batch.pairs[:, 0]), histories)
    took = {(user, item) for user, item in data.train.tolist()}
    masked = [[(user, item) in took and item != target for item in columns] for user, target in batch.pairs.tolist()]
    scores, targets = users @ items.T, np.searchsorted(columns, batch.pairs[:, 1])
    had, own = data.audiences(), []
    for user, item in batch.pairs.tolist():  # the item of an example is shown without its user
        others = [data.user_ids[other] for other in had[item].indices if other != user]
        asked = model.with_audiences(lambda _, others=others: [others])
        own.append(asked.embed_items([data.item_ids[item]], [data.items[item]])[0])
    scores[np.arange(16), targets] = (users * np.array(own)).sum(axis=1)
    scores, targets = torch.from_numpy(scores) / LossConfig().temperature, torch.from_numpy(targets)
    wanted = sampled_softmax(scores, targets, masked=torch.tensor(masked))
    assert loss == pytest.approx(wanted.item(), rel=1e-3)


def test_item_taken_long_ago_is_masked_however_often_another_was_taken_since(
    make_stepper: MakeStepper, checkerboard_data: TrainingData
) -> None:
    num_items, num_users = len(checkerboard_data.item_ids), len(checkerboard_data.user_ids)
    train = np.array([[0, 1], *[[0, 0]] * (num_items + 5)])
    _, stepper = make_stepper(data=replace(checkerboard_data, train=train))
    batch = Batch(
        places=np.array([1]),
        pairs=np.array([[0, 0]]),
        negatives=np.array([1]),
        without_item_id=np.zeros(num_items, dtype=np.bool_),
        without_user_id=np.zeros(num_users, dtype=np.bool_),
        token_seed=0,
        without_history=np.zeros(1, dtype=np.bool_),
    )
    # Item 1 is the only other item of the step: masked, it leaves nothing to tell the target from.
    assert stepper.loss(batch).item() == 0


def test_gradient_reaches_both_towers_and_is_finite(make_stepper: MakeStepper) -> None:
    model, stepper = make_stepper(item_id_dropout=0.0, user_id_dropout=0.0)
    stepper.loss(_batches(stepper)[0]).backward()
    for name, parameter in model.towers.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    for tower in (model.towers.item, model.towers.user):
        assert any(bool(parameter.grad.abs().sum() > 0) for parameter in tower.parameters())


def test_dropped_ids_leave_the_id_part_without_gradient(make_stepper: MakeStepper) -> None:
    model, stepper = make_stepper()
    batch = _batches(stepper)[0]
    everything = np.ones_like
    stepper.loss(
        replace(
            batch, without_item_id=everything(batch.without_item_id), without_user_id=everything(batch.without_user_id)
        )
    ).backward()
    for tower in (model.towers.item, model.towers.user):
        for parameter in tower.id_part.decoder.parameters():
            assert not parameter.grad.any()


def test_histories_are_refreshed_every_so_many_steps(make_stepper: MakeStepper) -> None:
    model, stepper = make_stepper(refresh_steps=2)
    optimizer = torch.optim.SGD(model.towers.parameters(), lr=1.0)
    changed = []
    for batch in _batches(stepper)[:6]:
        before = stepper.pool.vectors.copy()
        loss = stepper.loss(batch)
        changed.append(bool((stepper.pool.vectors != before).any()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert changed == [True, False, True, False, True, False]


def test_batch_of_a_single_user_and_item_can_be_trained_on(make_stepper: MakeStepper) -> None:
    _, stepper = make_stepper(loss=LossConfig(uniform_negatives=0))
    batch = _batches(stepper)[0]
    loss = stepper.loss(
        replace(batch, places=batch.places[:1], pairs=batch.pairs[:1], without_history=batch.without_history[:1])
    )
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    "settings", [{"id_encoder": "table"}, {"id_encoder": "hybrid", "hybrid_rows": 20}, {"gate": False}], ids=str
)
def test_dropped_ids_get_no_gradient_whatever_the_id_part_is(
    settings: dict[str, object], make_stepper: MakeStepper, make_config: Callable[..., TrainConfig]
) -> None:
    towers = make_config().towers.model_copy(update=settings)
    model, stepper = make_stepper(towers=towers)
    batch = _batches(stepper)[0]
    for is_dropped in (True, False):
        model.towers.zero_grad()
        dropped = replace(batch, without_item_id=np.full_like(batch.without_item_id, is_dropped))
        stepper.loss(dropped).backward()
        gradients = [weight.grad for weight in model.towers.item.id_part.parameters()]
        assert any(gradient is not None and gradient.any() for gradient in gradients) != is_dropped
    if towers.id_encoder != "dhe":
        assert not model.towers.item.id_part.table.weight.grad[0].any()
