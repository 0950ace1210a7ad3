"""Channels over one generation: the code that serves, restricted as the protocol of evaluation wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from index.factory import IndexConfig
from recall.client import RecallClient
from recall.errors import RecallError
from recall.live.generation import Generation
from recall.live.load import load
from recall.live.rebuild import generation_in_memory, rebuild
from recall.live.service import RecallSystem
from recall.model.artifact import load_artifact, save_artifact
from recall.model.fusion import FusionWeights
from recall.model.golden import Golden
from recall.serving.config import ServerConfig
from recall.serving.server import RecallServer
from recall.tables import DataFolder
from training.channels import LiveChannel, RemoteChannel, live_channel
from training.recommender import CandidateSet, EvaluationUser

pytestmark = pytest.mark.slow
CONFIG = IndexConfig(kind="lsh", parameters={"tables": 8, "bits": 2, "probes": 3})
HISTORY = ("a00", "a01", "a02")
# The features are those of the table: over the wire none given means those stored.
USER = EvaluationUser(user_id="ua00", features={"country": "de"}, history=HISTORY, exclude=frozenset(HISTORY))


@pytest.fixture(scope="module", params=[0.0, 1.5], ids=["dense", "fused"])
def generation(trained: Any, request: pytest.FixtureRequest) -> Generation:
    item_ids, features, _ = DataFolder.open(trained.data).items()
    model = load_artifact(trained.model)
    model.fusion = FusionWeights(seen=request.param, unseen=2 * request.param, unseen_offset=request.param / 10)
    return generation_in_memory(model, item_ids, features, counts={"b01": 3}, config=IndexConfig())


def _everything(generation: Generation) -> CandidateSet:
    return CandidateSet(name="all", item_ids=tuple(sorted(generation.index.item_ids())), is_everything=True)


@pytest.mark.parametrize("name", ["served", "exact", "faiss", "lsh"])
def test_ranking_holds_each_candidate_once_and_nothing_excluded(name: str, generation: Generation) -> None:
    channel = live_channel(name, generation, CONFIG)
    assert channel.channel == name
    candidates = _everything(generation)
    (ranking,) = channel.recommend([USER], 1000, candidates)
    assert sorted(ranking) == [item_id for item_id in candidates.item_ids if item_id not in HISTORY]


@pytest.mark.parametrize("name", ["served", "exact", "faiss", "lsh"])
def test_only_candidates_are_ranked_in_the_order_of_the_whole(name: str, generation: Generation) -> None:
    channel = live_channel(name, generation, CONFIG)
    (whole,) = channel.recommend([USER], 1000, _everything(generation))
    some = ("a01", "a07", "b03", "b20")
    candidates = CandidateSet(name="some", item_ids=some, is_everything=False)
    (ranking,) = channel.recommend([USER], 10, candidates)
    assert ranking == [item_id for item_id in whole if item_id in some]
    assert channel.recommend([USER], 1, candidates) == [ranking[:1]]


@pytest.mark.parametrize("name", ["faiss", "lsh"])
def test_another_index_holds_the_vectors_and_bags_of_the_served_one(name: str, generation: Generation) -> None:
    other = live_channel(name, generation, CONFIG).generation.index
    item_ids = list(generation.index.item_ids())
    assert other.has_content == generation.index.has_content == generation.model.fusion.is_on
    np.testing.assert_array_equal(other.gather(item_ids)[0], generation.index.gather(item_ids)[0])
    seen, wanted = other.gather_bags(item_ids)[0], generation.index.gather_bags(item_ids)[0]
    np.testing.assert_array_equal(seen.offsets, wanted.offsets)
    np.testing.assert_array_equal(seen.tokens, wanted.tokens)


def test_item_of_the_history_may_be_ranked_when_it_is_not_excluded(generation: Generation) -> None:
    again = replace(USER, exclude=frozenset())
    (ranking,) = live_channel("served", generation, CONFIG).recommend([again], 1000, _everything(generation))
    assert set(HISTORY) <= set(ranking)


def test_history_given_is_the_one_that_counts(generation: Generation) -> None:
    channel = live_channel("served", generation, CONFIG)
    fans = [
        EvaluationUser(
            user_id="nobody", features={}, history=tuple(f"{group}{n:02}" for n in range(5)), exclude=frozenset()
        )
        for group in "ab"
    ]
    rankings = channel.recommend(fans, 10, _everything(generation))
    for group, ranking in zip("ab", rankings, strict=True):
        assert sum(item_id.startswith(group) for item_id in ranking) >= 9


def test_users_are_ranked_alike_together_and_alone(generation: Generation) -> None:
    channel = live_channel("served", generation, CONFIG)
    users = [replace(USER, user_id=f"u{group}{n:02}", history=(f"{group}{n:02}",)) for group in "ab" for n in range(8)]
    candidates = _everything(generation)
    together = channel.recommend(users, 20, candidates)
    alone = [channel.recommend([user], 20, candidates)[0] for user in users]
    assert together == alone


def test_unknown_channel_is_refused(generation: Generation) -> None:
    with pytest.raises(RecallError, match="channel 'knn' is unknown; choose from served, exact, faiss, lsh"):
        live_channel("knn", generation, CONFIG)


# Behind gRPC


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server and the generation that an evaluation of its model builds."""

    client: RecallClient
    generation: Generation


@pytest.fixture(scope="module")
def served(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    model = load_artifact(trained.model)
    model.fusion = FusionWeights(seen=1.5, unseen=3.0, unseen_offset=0.1)
    items, features, _ = DataFolder.open(trained.data).items()
    golden = Golden(item_ids=tuple(items[:2]), items=tuple(features[:2]), user_ids=(), users=())
    save_artifact(model, folder / "model", golden, training={})
    load(DataFolder.open(trained.data), folder / "catalog.sqlite")
    rebuild(folder / "model", folder / "catalog.sqlite", folder / "snapshots")
    train = DataFolder.open(trained.data).interactions().filter(pl.col("split") == "train")
    counts = dict(train.group_by("item_id").len().iter_rows())
    had = dict(train.group_by("item_id").agg("user_id").iter_rows())
    told = model.with_audiences(lambda item_ids: [had.get(item_id, ()) for item_id in item_ids])
    generation = generation_in_memory(told, items, features, counts=counts, config=IndexConfig())
    server = RecallServer(ServerConfig(port=0, threads=4, grace_seconds=1.0))
    system = RecallSystem.start(folder / "snapshots", folder / "catalog.sqlite")
    try:
        server.attach(system)
        with RecallClient(server.address, timeout_seconds=30.0) as client:
            yield Served(client=client, generation=generation)
    finally:
        server.stop()
        system.close()


UNKNOWN = tuple(f"unknown-{n}" for n in range(50_000))
LONG = tuple(f"{group}{n:02}" for n in range(30) for group in "ab") * 40
USERS = {
    "as stored": USER,
    "other features": replace(USER, features={"country": "nl"}),
    "unknown, with features": replace(USER, user_id="nobody", features={"country": "nl"}),
    "unknown, with a history": replace(USER, user_id="nobody", features={}),
    "unknown altogether": EvaluationUser(user_id="nobody", features={}, history=(), exclude=frozenset(("a01",))),
    "stored history cut to nothing": replace(USER, history=()),
    "history with unknown items": replace(USER, history=(*UNKNOWN[:3], *HISTORY, *UNKNOWN[3:2000])),
    "history of unknown items alone": replace(USER, history=UNKNOWN[:5]),
    "long history": replace(USER, history=LONG),
    "history that may come again": replace(USER, exclude=frozenset()),
    "many left out": replace(USER, exclude=frozenset((*HISTORY, *UNKNOWN))),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("user", USERS.values(), ids=USERS.keys())
def test_server_ranks_like_an_evaluation_of_its_model(user: EvaluationUser, exact: bool, served: Served) -> None:
    model_id = served.client.status().model_id
    remote = RemoteChannel(channel="served", client=served.client, model_id=model_id, exact=exact)
    local = LiveChannel(channel="served", generation=served.generation, exact=exact)
    some = CandidateSet(name="some", item_ids=("a01", "a07", "b03", "b20"), is_everything=False)
    for candidates in (_everything(served.generation), some):
        (ranking,) = remote.recommend([user], 20, candidates)
        assert [ranking] == local.recommend([user], 20, candidates)
        assert len(ranking) == min(20, len(set(candidates.item_ids) - user.exclude))


def test_server_that_switched_to_another_model_is_noticed(served: Served) -> None:
    remote = RemoteChannel(channel="served", client=served.client, model_id="another")
    with pytest.raises(RecallError, match=r"switched from model another to .* while it was evaluated"):
        remote.recommend([USER], 20, _everything(served.generation))
