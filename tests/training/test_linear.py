"""The linear map: factors of what was seen, and of what was not by its content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recall.schema import FeatureSpec
from training.baselines.content_map import content_vectors, ridge_map
from training.baselines.linear import LinearMap
from training.evaluate import EvaluationRequest, evaluate
from training.recommender import CandidateSet, EvaluationUser

TITLE = FeatureSpec(name="title", kind="text", domain="title")
# Ten items of each kind; of each, 8 and 9 were never seen. Kinds share no word.
ITEM_IDS = [f"{kind}{n}" for kind in "ab" for n in range(10)]
FEATURES = [{"title": f"{kind}word{n % 3} {kind}thing"} for kind in "ab" for n in range(10)]
COLD = frozenset({"a8", "a9", "b8", "b9"})
PAIRS = [(f"{kind}{user}", f"{kind}{n}") for kind in "ab" for user in range(6) for n in range(8) if (user + n) % 4]


def fitted(*, seed: int = 0) -> LinearMap:
    train = pl.DataFrame(PAIRS, schema=["user_id", "item_id"], orient="row")
    return LinearMap(ITEM_IDS, FEATURES, specs=[TITLE], train=train, seed=seed)


def reader(history: tuple[str, ...]) -> EvaluationUser:
    return EvaluationUser(user_id="someone", features={}, history=history, exclude=frozenset(history))


def everything(item_ids: list[str] = ITEM_IDS) -> CandidateSet:
    return CandidateSet(name="all", item_ids=tuple(sorted(item_ids)), is_everything=item_ids is ITEM_IDS)


def test_warm_and_cold_items_of_a_users_kind_come_before_all_others() -> None:
    users = [reader(tuple(f"{kind}{n}" for n in range(4))) for kind in "ab"]
    for kind, ranking in zip("ab", fitted().recommend(users, 20, everything()), strict=True):
        assert {item[0] for item in ranking[:6]} == {kind}
        assert COLD & set(ranking[:6]) == {f"{kind}8", f"{kind}9"}


def test_evaluated_on_a_checkerboard_cold_items_land_with_their_group(checkerboard: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(4,), channels=("linear",), candidates="cold-split"))
    (value,) = [row.value for row in report.rows if (row.slice, row.metric) == ("all", "recall")]
    assert value == 1.0  # four cold items of each group; half of them at random


def test_user_without_warm_history_gets_items_in_id_order() -> None:
    users = [reader(()), reader(("a8",)), reader(("unknown",))]
    expected = [sorted(ITEM_IDS), sorted(set(ITEM_IDS) - {"a8"}), sorted(ITEM_IDS)]
    assert fitted().recommend(users, 20, everything()) == expected


def test_item_seen_twice_counts_once() -> None:
    twice = pl.DataFrame(PAIRS + PAIRS[:7], schema=["user_id", "item_id"], orient="row")
    users = [reader(("a0", "a1", "a1")), reader(("a0", "a1"))]
    rankings = LinearMap(ITEM_IDS, FEATURES, specs=[TITLE], train=twice).recommend(users, 20, everything())
    assert rankings == fitted().recommend([users[1]] * 2, 20, everything())


def test_same_seed_gives_the_same_scores_whatever_the_order() -> None:
    users, rows = [reader(("a0", "b1"))], np.arange(len(ITEM_IDS))
    scores = fitted()._scores(users, rows)
    np.testing.assert_array_equal(fitted()._scores(users, rows), scores)
    shuffled = pl.DataFrame(PAIRS[::-1], schema=["user_id", "item_id"], orient="row")
    other = LinearMap(ITEM_IDS[::-1], FEATURES[::-1], specs=[TITLE], train=shuffled)
    np.testing.assert_array_equal(other._scores(users, rows), scores)
    assert not np.array_equal(fitted(seed=1)._scores(users, rows), scores)


def test_items_without_any_content_share_one_place() -> None:
    train = pl.DataFrame(PAIRS, schema=["user_id", "item_id"], orient="row")
    bare = LinearMap(ITEM_IDS, [{}] * len(ITEM_IDS), specs=[], train=train)
    assert bare.recommend([reader(("a0",))], 4, everything(sorted(COLD))) == [sorted(COLD)]


def test_content_vectors_keep_what_a_full_decomposition_keeps() -> None:
    rng = np.random.default_rng(0)
    bags = sparse.csr_matrix(rng.random((60, 40)) * (rng.random((60, 40)) < 0.2))
    left, values, _ = np.linalg.svd(bags.toarray(), full_matrices=False)
    expected = (left * values)[:, :5]
    vectors = content_vectors(bags, rank=5, seed=0)
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=0.01)
    assert content_vectors(bags, rank=300, seed=0).shape == (60, 40)


def test_ridge_finds_a_map_that_is_there_and_shrinks_one_that_is_not() -> None:
    rng = np.random.default_rng(0)
    inputs, matrix = rng.standard_normal((200, 6)), rng.standard_normal((6, 3))
    found, intercept = ridge_map(inputs, inputs @ matrix + 2.0)
    np.testing.assert_allclose(found, matrix, atol=1e-4)
    np.testing.assert_allclose(intercept, 2.0, atol=1e-4)
    noise = rng.standard_normal((200, 3))
    shrunk, _ = ridge_map(inputs, noise)
    free = np.linalg.lstsq(inputs - inputs.mean(axis=0), noise - noise.mean(axis=0), rcond=None)[0]
    assert np.linalg.norm(shrunk) < 0.5 * np.linalg.norm(free)


@pytest.mark.slow
def test_missing_package_is_named_with_its_extra_before_anything_runs(checkerboard: Path, tmp_path: Path) -> None:
    # An import of implicit that fails, as where it is not installed.
    (tmp_path / "implicit.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'implicit'\", name='implicit')\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pathlib import Path\n"
        "from recall.errors import ConfigError\n"
        "from training.evaluate import EvaluationRequest, evaluate\n"
        f"request = EvaluationRequest(data=Path({str(checkerboard)!r}), channels=('random', 'linear'))\n"
        "try:\n"
        "    evaluate(request, progress=lambda *step: print('ran', step))\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("channel 'linear' needs the package implicit")
    assert "pip install 'dhe-recall[baselines]'" in done.stdout
