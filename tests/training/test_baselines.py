"""Baselines on catalogues whose rankings are known, and against the public reference figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.schema import FeatureSpec
from recall.tables import DataFolder
from training.baselines.content import ContentKnn
from training.baselines.friends import Friends
from training.baselines.popularity import Popularity
from training.baselines.random import Random
from training.metrics import ndcg_at_k, ranked_hits, recall_at_k
from training.protocol import candidate_set, evaluation_case, evaluation_data
from training.recommender import CandidateSet, EvaluationUser, Recommender

DATASETS = Path(__file__).resolve().parents[2].parent / "shared" / "datasets"
TITLE = FeatureSpec(name="title", kind="text", domain="title")
ITEM_IDS = ["d", "b", "a", "c", "é"]
TITLES = ["trail shoes", "jazz vinyl", "jazz trumpet", "trail map", "quiet"]
FEATURES = [{"title": title} for title in TITLES]


def _user(
    user_id: str = "u", *, history: tuple[str, ...] = (), exclude: frozenset[str] = frozenset()
) -> EvaluationUser:
    return EvaluationUser(user_id=user_id, features={}, history=history, exclude=exclude)


def _among(*item_ids: str) -> CandidateSet:
    return CandidateSet(name="all", item_ids=tuple(sorted(item_ids)), is_everything=False)


EVERYTHING = _among(*ITEM_IDS)
BASELINES: list[Recommender] = [
    ContentKnn(ITEM_IDS, FEATURES, [TITLE]),
    Popularity(ITEM_IDS, {"c": 3, "a": 3, "b": 5}),
    Random(ITEM_IDS, seed=7),
    Friends(ITEM_IDS, pl.DataFrame({"user_id": ["f", "f"], "item_id": ["c", "b"]}), features=("friends",)),
]


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.channel)
class TestEveryBaseline:
    def test_returns_each_eligible_candidate_once(self, baseline: Recommender) -> None:
        users = [_user(history=("a",), exclude=frozenset({"a"})), _user("v", exclude=frozenset({"d", "unknown"}))]
        first, second = baseline.recommend(users, 10, EVERYTHING)
        assert sorted(first) == ["b", "c", "d", "é"]
        assert sorted(second) == ["a", "b", "c", "é"]

    def test_returns_at_most_k_and_the_best_of_them(self, baseline: Recommender) -> None:
        user = _user(history=("b",))
        assert baseline.recommend([user], 2, EVERYTHING)[0] == baseline.recommend([user], 5, EVERYTHING)[0][:2]

    def test_stays_within_candidates_and_keeps_their_order(self, baseline: Recommender) -> None:
        user = _user(history=("b",))
        whole = baseline.recommend([user], 5, EVERYTHING)[0]
        assert baseline.recommend([user], 5, _among("d", "a", "c"))[0] == [i for i in whole if i in "dac"]

    def test_answers_no_users_and_unknown_candidates(self, baseline: Recommender) -> None:
        assert baseline.recommend([], 5, EVERYTHING) == []
        assert baseline.recommend([_user()], 5, _among("nowhere")) == [[]]


def test_content_ranks_items_that_share_words_with_the_history_first() -> None:
    user = _user(history=("b",), exclude=frozenset({"b"}))
    assert BASELINES[0].recommend([user], 4, EVERYTHING) == [["a", "c", "d", "é"]]


def test_content_without_history_is_in_id_order() -> None:
    assert BASELINES[0].recommend([_user()], 5, EVERYTHING) == [["a", "b", "c", "d", "é"]]


def test_popularity_breaks_ties_by_item_id() -> None:
    assert BASELINES[1].recommend([_user()], 5, EVERYTHING) == [["b", "a", "c", "d", "é"]]


def test_random_depends_on_user_and_seed_but_not_on_company() -> None:
    item_ids = [f"i{n}" for n in range(200)]
    everything = _among(*item_ids)
    users = [_user("u"), _user("v")]
    both = Random(item_ids, seed=7).recommend(users, 200, everything)
    assert both[0] != both[1]
    assert Random(item_ids[::-1], seed=7).recommend(users[1:], 200, everything) == both[1:]
    assert Random(item_ids, seed=8).recommend(users, 200, everything) != both


def test_random_gives_each_item_its_share_of_first_places() -> None:
    # 4,000 users and 4 items: each first place has p = 1/4, standard deviation sqrt(4000 * 3/16) = 27.4; 5 of them.
    users = [_user(f"u{n}") for n in range(4000)]
    first = Counter(ranking[0] for ranking in Random(list("abcd")).recommend(users, 1, _among(*"abcd")))
    assert all(abs(count - 1000) < 5 * 27.4 for count in first.values())
    assert len(first) == 4


REFERENCE = [
    ("citeulike-a-dropoutnet", "cold-split", None, (0.459, 0.710, 0.343)),
    ("citeulike-a-dropoutnet", "cold-split", {"title"}, (0.295, 0.513, 0.211)),
    ("citeulike-a-cold", "cold", None, (0.407, 0.649, 0.273)),
    ("amazon-beauty-cold", "cold-split", None, (0.185, 0.387, 0.098)),
]


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(("name", "candidates", "features", "figures"), REFERENCE)
def test_content_reproduces_the_reference_figures(
    name: str, candidates: str, features: set[str] | None, figures: tuple[float, ...]
) -> None:
    """Recall@20, Recall@100 and NDCG@20 as listed in the README of the public data sets."""
    if not (DATASETS / name).is_dir():
        pytest.skip(f"{DATASETS / name} is not here")
    folder = DataFolder.open(DATASETS / name)
    item_ids, item_features, _ = folder.items()
    specs = [spec for spec in folder.schema.item_features if features is None or spec.name in features]
    data = evaluation_data(folder.interactions(), item_ids, user_features={})
    case = evaluation_case(data, candidate_set(data, candidates))
    rankings = ContentKnn(item_ids, item_features, specs).recommend(case.users, 100, case.candidates)
    hits = ranked_hits(rankings, case.relevant, 100)
    relevant = np.array([len(items) for items in case.relevant])
    measured = [recall_at_k(hits, relevant, 20), recall_at_k(hits, relevant, 100), ndcg_at_k(hits, relevant, 20)]
    assert [values.mean() for values in measured] == pytest.approx(figures, abs=0.005)
