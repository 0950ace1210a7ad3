"""Metrics against ranx (https://github.com/AmenRa/ranx), an independent implementation, on random rankings with ties.

ranx keeps no order among equal scores, so it is given the order of results, in which a tie goes to the smaller id. It
compiles each metric on its first run on a machine, which takes half a minute, and keeps what it compiled.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from index.topk import top_k
from training.metrics import METRICS, ranked_hits
from training.protocol import EvaluationCase, EvaluationData, candidate_set, evaluation_case
from training.recommender import EvaluationUser
from training.report import figures

USERS, ITEMS, DEPTH = 80, 60, 40
KS = (1, 5, 20, 100)


@pytest.fixture(scope="module")
def ranx(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Returns the package, kept from making a folder in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(tmp_path_factory.mktemp("ir_datasets")))
        import ranx as package
    return package


@pytest.fixture(scope="module")
def case() -> tuple[EvaluationData, EvaluationCase, list[list[str]]]:
    """Returns users of whom a fifth have nothing relevant among the candidates, with rankings full of ties."""
    rng = np.random.default_rng(11)
    items = [f"i{n:02}" for n in range(ITEMS)]
    sizes = np.where(rng.random(USERS) < 0.2, 0, rng.integers(1, 30, size=USERS))
    relevant = [frozenset(rng.choice(items, size, replace=False).tolist()) for size in sizes]
    users = [EvaluationUser(user_id=f"u{n:02}", features={}, history=(), exclude=frozenset()) for n in range(USERS)]
    data = EvaluationData(
        part="test",
        item_ids=tuple(items),
        warm_items=frozenset(items[::2]),
        part_items=frozenset(items),
        warm_users=frozenset(user.user_id for user in users[::3]),
        users=tuple(users),
        relevant=tuple(relevant),
    )
    case = evaluation_case(data, candidate_set(data, "all"))
    scores = rng.integers(0, 6, size=(len(case.users), ITEMS)).astype(np.float32)
    depths = rng.integers(0, DEPTH, size=len(case.users))
    rows = top_k(scores, DEPTH).rows
    return data, case, [[items[row] for row in rows[n, :depth]] for n, depth in enumerate(depths)]


def _theirs(
    ranx: ModuleType, rankings: dict[str, list[str]], relevant: dict[str, frozenset[str]]
) -> dict[str, dict[str, float]]:
    """Returns value by user of each metric; a user without a ranking gets an item that is not relevant to anyone."""
    places = {
        user: {item: float(len(ranking) - place) for place, item in enumerate(ranking)} or {"none": 1.0}
        for user, ranking in rankings.items()
    }
    run = ranx.Run(places)
    ranx.evaluate(
        ranx.Qrels({user: dict.fromkeys(sorted(items), 1) for user, items in relevant.items()}),
        run,
        [f"{metric}@{k}" for metric in METRICS for k in KS],
        return_mean=False,
        threads=1,
    )
    scores: dict[str, dict[str, float]] = run.scores
    return scores


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unsafe cast from uint64")
def test_every_value_is_that_of_ranx(
    ranx: ModuleType, case: tuple[EvaluationData, EvaluationCase, list[list[str]]]
) -> None:
    _, users, rankings = case
    ids = [user.user_id for user in users.users]
    theirs = _theirs(ranx, dict(zip(ids, rankings, strict=True)), dict(zip(ids, users.relevant, strict=True)))
    hits = ranked_hits(rankings, users.relevant, max(KS))
    num_relevant = np.array([len(items) for items in users.relevant])
    assert 0 < hits.sum() < hits.size
    for name, metric in METRICS.items():
        for k in KS:
            expected = [theirs[f"{name}@{k}"][user] for user in ids]
            np.testing.assert_allclose(metric(hits, num_relevant, k), expected, rtol=1e-9, err_msg=f"{name}@{k}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unsafe cast from uint64")
@pytest.mark.parametrize("name", ["all", "warm_items", "cold_items", "warm_users", "cold_users"])
def test_figures_are_means_of_ranx_over_users_with_a_relevant_item(
    name: str, ranx: ModuleType, case: tuple[EvaluationData, EvaluationCase, list[list[str]]]
) -> None:
    data, users, rankings = case
    is_warm = data.warm_items.__contains__
    kept = {
        "warm_items": lambda user, item: is_warm(item),
        "cold_items": lambda user, item: not is_warm(item),
        "warm_users": lambda user, item: user in data.warm_users,
        "cold_users": lambda user, item: user not in data.warm_users,
    }.get(name, lambda user, item: True)
    relevant = {
        user.user_id: frozenset(item for item in items if kept(user.user_id, item))
        for user, items in zip(data.users, data.relevant, strict=True)
    }
    relevant = {user: items for user, items in relevant.items() if items}
    by_user = {user.user_id: ranking for user, ranking in zip(users.users, rankings, strict=True)}
    theirs = _theirs(ranx, {user: by_user[user] for user in relevant}, relevant)
    ours = [row for row, _ in figures("served", rankings, users, data, KS) if row.slice == name]
    assert len(ours) == len(METRICS) * len(KS)
    for row in ours:
        values = list(theirs[f"{row.metric}@{row.k}"].values())
        assert (row.users, len(values)) == (len(relevant), len(relevant)), row
        assert row.value == pytest.approx(np.mean(values), rel=1e-9), row
    assert len(relevant) < USERS
