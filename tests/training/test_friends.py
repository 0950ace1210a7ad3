"""Friends: shares that can be counted by hand, which features name friends, and who falls back to popularity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.errors import DataError
from recall.schema import FeatureMap, FeatureSpec
from training.baselines.friends import Friends, find_friend_features, friend_features
from training.evaluate import EvaluationRequest, evaluate
from training.recommender import CandidateSet, EvaluationUser

ITEM_IDS = ["d", "b", "a", "c"]
# Of d there are most. ann has a and b, bob b (twice), cid c.
ROWS = [("ann", "b"), ("ann", "a"), ("bob", "b"), ("bob", "b"), ("cid", "c"), *((f"p{n}", "d") for n in range(5))]
TRAIN = pl.DataFrame(ROWS, schema=["user_id", "item_id"], orient="row")
BY_POPULARITY = ["d", "b", "a", "c"]
FRIENDS = FeatureSpec(name="friends", kind="set", domain="user_id")
CODES = FeatureSpec(name="codes", kind="set", domain="codes")
COUNTRY = FeatureSpec(name="country", kind="category", domain="country")


def _ranking(features: FeatureMap, *, user_id: str = "new", names: tuple[str, ...] = ("friends",)) -> list[str]:
    user = EvaluationUser(user_id=user_id, features=features, history=("a",), exclude=frozenset())
    everything = CandidateSet(name="all", item_ids=tuple(sorted(ITEM_IDS)), is_everything=True)
    (ranking,) = Friends(ITEM_IDS, TRAIN, features=names).recommend([user], 4, everything)
    return ranking


# The ranking


def test_items_are_ranked_by_the_share_of_friends_who_have_them_then_by_id() -> None:
    # Of ann and bob both have b, half have a, none has c or d.
    assert _ranking({"friends": ("ann", "bob")}) == ["b", "a", "c", "d"]
    assert _ranking({"friends": ("cid", "ann")}) == ["a", "b", "c", "d"]


def test_friends_without_a_history_and_the_user_do_not_count() -> None:
    # With cid alone a share of one half would be level with ann's items; without, c comes first.
    assert _ranking({"friends": ("cid", "nobody", "ann")}, user_id="ann") == ["c", "a", "b", "d"]


@pytest.mark.parametrize("features", [{}, {"friends": ("nobody",)}, {"friends": ("new",)}])
def test_users_without_friends_get_items_by_popularity(features: FeatureMap) -> None:
    assert _ranking(features) == BY_POPULARITY


def test_several_features_count_each_friend_once() -> None:
    # Were ann counted twice, a and b would both be ahead of c.
    features = {"friends": ("ann",), "colleagues": ("ann", "cid")}
    assert _ranking(features, names=("friends", "colleagues")) == ["a", "b", "c", "d"]
    shares = Friends(ITEM_IDS, TRAIN, features=("friends", "colleagues"))._scores(
        [EvaluationUser(user_id="new", features=features, history=(), exclude=frozenset())], np.arange(4)
    )
    np.testing.assert_array_equal(shares, [[0.5, 0.5, 0.5, 0.0]])


# Which features name friends


def test_a_set_of_the_domain_of_user_ids_names_friends() -> None:
    users: dict[str, FeatureMap] = {"new": {"friends": ("ann",), "codes": ("1",)}}
    assert friend_features((COUNTRY, CODES, FRIENDS), users, TRAIN) == ("friends",)


def test_a_set_that_looks_like_user_ids_is_told_from_codes_by_what_linked_users_have() -> None:
    # Two groups of 20 users, each with its own items; `friends` stay within a group, `codes` do not care.
    rng = np.random.default_rng(0)
    users = [f"{group}{n:02}" for group in "ab" for n in range(20)]
    train = pl.DataFrame(
        [(user, f"{user[0]}{item}") for user in users for item in rng.permutation(12)[:6]],
        schema=["user_id", "item_id"],
        orient="row",
    )
    features: dict[str, FeatureMap] = {
        user: {
            "friends": tuple(f"{user[0]}{n:02}" for n in rng.permutation(20)[:8]),
            "codes": tuple(str(other) for other in rng.permutation(users)[:8]),
        }
        for user in users
    }
    specs = (FRIENDS.model_copy(update={"domain": "friends"}), CODES)
    assert find_friend_features(specs, features, train) == ("friends",)


@pytest.mark.parametrize("specs", [(), (COUNTRY,), (COUNTRY, CODES)])
def test_no_such_feature_is_an_error_that_names_those_there_are(specs: tuple[FeatureSpec, ...]) -> None:
    users: dict[str, FeatureMap] = {"new": {"codes": ("1",)}}
    assert find_friend_features(specs, users, TRAIN) == ()
    listed = ", ".join(f"{spec.name} \\({spec.kind}\\)" for spec in specs) or "none"
    with pytest.raises(DataError, match=rf"none among: {listed}; declare .*\[domains\]"):
        friend_features(specs, users, TRAIN)


# In an evaluation


def test_evaluated_friends_know_what_is_liked_in_their_group(
    make_checkerboard: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "data")
    users = pl.read_parquet(data / "users.parquet")["user_id"].to_list()
    named = [[other for other in users if other[1] == user[1]] for user in users]
    pl.DataFrame({"user_id": users, "friends": named}).write_parquet(data / "users.parquet")
    with (data / "dataset.toml").open("a") as stream:
        stream.write('[domains]\n"users.friends" = "user_id"\n')
    # Of the 30 warm items of a group a user has had 14. Each was had by somebody in it, and by nobody else.
    report = evaluate(EvaluationRequest(data=data, ks=(16,), channels=("friends",)))
    (value,) = [row.value for row in report.rows if (row.slice, row.metric) == ("warm_items", "recall")]
    assert value == 1.0


def test_evaluation_without_such_a_feature_is_refused_before_anything_runs(checkerboard: Path) -> None:
    ran: list[str] = []
    request = EvaluationRequest(data=checkerboard, ks=(5,), channels=("random", "friends"))
    with pytest.raises(DataError, match="channel 'friends' needs a user feature whose values are user ids"):
        evaluate(request, progress=lambda channel, done, total: ran.append(channel))
    assert ran == []
