"""The q of the correction: by hand, over all possible draws, and in the gradient against that of the full softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from training.config import LossConfig
from training.draws import LogQ, StepDraws
from training.loss import accidental_hits, corrected_scores, sampled_softmax, with_certain_targets

DRAWS, PRESENCE = LossConfig(), LossConfig(log_q_of="presence")


def _step(counts: list[int], *, batch: int, uniform: int, drawable: list[int] | None = None) -> StepDraws:
    rows = np.arange(len(counts)) if drawable is None else np.array(drawable)
    return StepDraws(counts=np.array(counts), batch_size=batch, uniform_negatives=uniform, drawable=rows)


def _log_q(config: LossConfig, draws: StepDraws) -> LogQ:
    return LogQ(draws, config, keys=np.arange(len(draws.counts), dtype=np.uint64))


def _q(config: LossConfig, draws: StepDraws, **steps: int) -> NDArray[np.float64]:
    return np.exp(_log_q(config, draws).of(np.arange(len(draws.counts)), **steps).astype(np.float64))


def test_draws_are_their_expected_number_at_most_one() -> None:
    # 8 interactions, 4 a step: 3 and 1 positives expected; 1 uniform draw adds a quarter each.
    np.testing.assert_allclose(_q(DRAWS, _step([6, 2, 0, 0], batch=4, uniform=1)), [1, 1, 0.25, 0.25])
    few = _step([6, 2, 0, 0], batch=1, uniform=1, drawable=[1, 2])
    np.testing.assert_allclose(_q(DRAWS, few)[:3], [0.75, 0.75, 0.5], rtol=1e-6)
    np.testing.assert_allclose(_q(DRAWS, _step([1, 7], batch=1, uniform=0), steps=3), [3 / 8, 1], rtol=1e-6)


def test_presence_is_the_probability_to_be_in_the_step_of_another_example() -> None:
    # The other 2 positives are 2 of the other 5 interactions; of 10 such pairs 1 holds no item that has 3 of the 5.
    wanted = [1 - 1 / 10, 1 - 3 / 10, 1 - 6 / 10, 0]
    np.testing.assert_allclose(_q(PRESENCE, _step([3, 2, 1, 0], batch=3, uniform=0)), [*wanted[:3], 1e-12], rtol=1e-6)
    # Two uniform draws of four items miss an item with probability 9/16, two steps miss it twice as often in a row.
    mixed = [1 - (1 - p) * 9 / 16 for p in wanted]
    draws = _step([3, 2, 1, 0], batch=3, uniform=2)
    np.testing.assert_allclose(_q(PRESENCE, draws), mixed, rtol=1e-6)
    np.testing.assert_allclose(_q(PRESENCE, draws, steps=2), [1 - (1 - p) ** 2 for p in mixed], rtol=1e-6)
    np.testing.assert_allclose(_q(PRESENCE, _step([3, 2, 1], batch=6, uniform=0)), 1)


@pytest.mark.parametrize("config", [DRAWS, PRESENCE], ids=str)
def test_items_that_are_never_drawn_have_a_finite_log_q(config: LossConfig) -> None:
    for drawable in ([0], [0, 1]):
        draws = _step([3, 0], batch=2, uniform=0, drawable=drawable)
        assert np.isfinite(_log_q(config, draws).of(np.arange(2))).all()


def test_without_correction_log_q_is_zero() -> None:
    assert not _log_q(LossConfig(log_q=False), _step([3, 1], batch=1, uniform=1)).of(np.arange(2)).any()


@pytest.mark.parametrize(("of", "after"), [("draws", 1 / 3 + 1 / 4), ("presence", 1 - 2 / 3 * 3 / 4)])
def test_stream_takes_the_place_of_counts_of_the_batches_alone(of: str, after: float) -> None:
    config = LossConfig.model_validate({"log_q_of": of, "frequency": "stream", "frequency_rate": 0.5})
    log_q = _log_q(config, _step([9, 9, 9, 9], batch=4, uniform=1))
    for positives in ([0, 0, 1], [0], [0, 2]):
        log_q.see(np.array(positives))
    # Item 0 is in every batch, item 2 was first seen in the third, item 3 never; a uniform draw is one of four.
    np.testing.assert_allclose(np.exp(log_q.of(np.array([0, 2, 3]))), [1, after, 1 / 4], rtol=1e-6)
    assert _log_q(config.model_copy(update={"frequency": "counts"}), _step([1], batch=1, uniform=1)).state() == {}


def test_own_positive_is_not_corrected_where_presence_is() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    log_q = torch.tensor([-1.0, -2.0, -4.0])
    certain = with_certain_targets(scores, torch.tensor([2, 0]), log_q=log_q)
    assert certain.tolist() == [[1, 2, -1], [3, 5, 6]]


@pytest.mark.parametrize("uniform", [0, 2])
def test_sum_over_a_step_is_over_all_possible_steps_that_over_the_catalogue(uniform: int) -> None:
    """Exactly: every batch of 3 of 6 interactions with every uniform draw is looked at, from each example's place."""
    counts = [3, 2, 1, 0]
    item_of = np.repeat(np.arange(4), counts)
    log_q = torch.from_numpy(_log_q(PRESENCE, _step(counts, batch=3, uniform=uniform)).of(np.arange(4)))
    cosines = torch.tensor([0.3, -0.2, 0.9, 0.5])
    reached = [0, 1, 2, 3] if uniform else [0, 1, 2]
    whole = float(cosines[reached].exp().double().sum())
    for own in range(6):
        sums = []
        for others in combinations([place for place in range(6) if place != own], 2):
            for drawn in product(range(4), repeat=uniform):
                columns = np.unique([item_of[own], *item_of[list(others)], *drawn])
                scores = (cosines - log_q)[columns][None]
                target = torch.tensor([int(np.searchsorted(columns, item_of[own]))])
                sums.append(float(with_certain_targets(scores, target, log_q=log_q[columns]).exp().double().sum()))
        assert np.mean(sums) == pytest.approx(whole, rel=1e-6)


# The gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """A tiny catalogue of skewed popularity, whose users have several items each."""

    users: Tensor
    items: Tensor
    pairs: NDArray[np.int64]
    histories: tuple[NDArray[np.int32], NDArray[np.int32]]
    temperature: float = 0.8

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, num_users: int = 30, num_items: int = 24) -> _World:
        counts = np.ceil(60 / np.arange(1, num_items + 1)).astype(np.int64)
        items = np.repeat(np.arange(num_items), counts)
        users = rng.permutation(np.arange(len(items)) % num_users)
        seen = csr_matrix((np.ones(len(items)), (users, items)), shape=(num_users, num_items))
        user_vectors, item_vectors = _unit(rng.normal(size=(num_users, 4))), _unit(rng.normal(size=(num_items, 4)))
        return cls(
            users=user_vectors,
            items=item_vectors,
            pairs=np.stack([users, items], axis=1),
            histories=(seen.indptr, seen.indices),
        )

    def gradient(self, pairs: NDArray[np.int64], present: NDArray[np.bool_], config: LossConfig, log_q: Tensor):  # type: ignore[no-untyped-def]
        """Returns the mean gradient to all item vectors, and each example's exp(score) of every item, 0 if left out.

        Args:
            pairs: [n, 2] examples of any number of steps.
            present: [n, num_items], the items of each example's step; the others are masked.
            config: Says whether an example's own positive is corrected.
            log_q: [num_items].
        """
        parameters = self.items.clone().requires_grad_()
        targets = torch.from_numpy(pairs[:, 1])
        scores = corrected_scores(self.users[pairs[:, 0]], parameters, log_q=log_q, temperature=self.temperature)
        if config.log_q_of == "presence":
            scores = with_certain_targets(scores, targets, log_q=log_q)
        everything = np.arange(len(self.items))
        hits = accidental_hits(pairs[:, 0], everything, pairs[:, 1], self.histories, len(everything))
        masked = hits | ~torch.from_numpy(present)
        loss = sampled_softmax(scores, targets, masked=masked)
        terms = scores.detach().double().masked_fill(masked, -torch.inf).exp().numpy()
        return torch.autograd.grad(loss, parameters)[0].double().numpy(), terms


def _unit(vectors: NDArray[np.float64]) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(vectors.astype(np.float32)), dim=1)


_STEPS, _CHUNKS = 100, 60


def _drawn(world: _World, rng: np.random.Generator, *, batch: int, uniform: int):  # type: ignore[no-untyped-def]
    """Returns examples of many steps, and which items are in each example's step."""
    num_items = len(world.items)
    chosen = np.stack([rng.choice(len(world.pairs), size=batch, replace=False) for _ in range(_STEPS)])
    present = np.zeros((_STEPS, num_items), dtype=np.bool_)
    drawn = np.concatenate([world.pairs[chosen, 1], rng.integers(num_items, size=(_STEPS, uniform))], axis=1)
    np.put_along_axis(present, drawn, True, axis=1)
    return world.pairs[chosen.reshape(-1)], np.repeat(present, batch, axis=0)


def _gradient_errors(config: LossConfig, *, batch: int, uniform: int) -> dict[str, float]:
    """Compares the sampled gradient with that of the full softmax over the same examples, over 6,000 seeded steps.

    With Z the sum over all items, S the one over the step's, both of exp(score) / q, and g = grad log Z, the sampled
    gradient is off by

        grad S / S - g = D - D (S - Z) / S,  D = (grad S - g S) / Z

    The mean of D is 0 if q is right. The second term is what any ratio of two estimates has; it falls with the size of
    the step, and it is known here. So the error without it has mean 0, and its length is, with a chance of 8 in 9 or
    more (Markov, of the square), at most three times its root mean square, `noise`. All relative to the full gradient.
    """
    rng = np.random.default_rng(0)
    world = _World.drawn(rng)
    zeros = torch.zeros(len(world.items))
    counts = np.bincount(world.pairs[:, 1], minlength=len(zeros))
    draws = _step(counts.tolist(), batch=batch, uniform=uniform)
    log_q = torch.from_numpy(_log_q(config, draws).of(np.arange(len(zeros))))
    errors, ratios = [], []
    for _ in range(_CHUNKS):
        pairs, present = _drawn(world, rng, batch=batch, uniform=uniform)
        sampled, terms = world.gradient(pairs, present, config, log_q)
        exact, all_terms = world.gradient(pairs, np.ones_like(present), DRAWS, zeros)
        s, z = terms.sum(axis=1, keepdims=True), all_terms.sum(axis=1, keepdims=True)
        off = (terms - all_terms / z * s) / z * (s - z) / s
        users = world.users[pairs[:, 0]].double().numpy()
        errors.append(sampled - exact)
        ratios.append(-off.T @ users / world.temperature / len(pairs))
    size = np.linalg.norm(
        world.gradient(world.pairs, np.ones((len(world.pairs), len(zeros)), np.bool_), DRAWS, zeros)[0]
    )
    spread = np.std(np.array(errors) - np.array(ratios), axis=0) / math.sqrt(_CHUNKS)
    lengths = {
        "error": np.mean(errors, axis=0),
        "without ratio": np.mean(errors, axis=0) - np.mean(ratios, axis=0),
        "ratio": np.mean(ratios, axis=0),
        "noise": 3 * spread,
    }
    return {name: float(np.linalg.norm(vector) / size) for name, vector in lengths.items()}


@pytest.mark.parametrize("uniform", [0, 24], ids=["in-batch", "mixed"])
def test_sampled_gradient_is_on_average_that_of_the_full_softmax(uniform: int) -> None:
    found = _gradient_errors(PRESENCE, batch=24, uniform=uniform)
    assert found["noise"] < 0.03, "the test would see nothing"
    assert found["without ratio"] < found["noise"]
    assert found["error"] < found["ratio"] + found["noise"]
    for config in (DRAWS, LossConfig(log_q=False)):
        other = _gradient_errors(config, batch=24, uniform=uniform)
        assert other["without ratio"] > 1.5 * other["noise"], config


def test_bias_of_the_ratio_falls_as_the_step_grows_and_the_correction_by_draws_helps() -> None:
    small, large, off = (
        _gradient_errors(config, batch=batch, uniform=0)
        for config, batch in ((DRAWS, 12), (DRAWS, 24), (LossConfig(log_q=False), 24))
    )
    assert large["ratio"] < 0.6 * small["ratio"]  # as one over the size: by half
    assert large["error"] < 0.5 * off["error"]
