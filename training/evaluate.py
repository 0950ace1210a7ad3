"""Evaluation runs: channels side by side on the held-out part of a data folder, by full ranking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import polars as pl

from index.factory import IndexConfig
from recall.client import Credentials, RecallClient
from recall.errors import ConfigError
from recall.live.generation import Generation, load_model
from recall.live.popularity import Popularity as Counted
from recall.live.query import MAX_LIMIT
from recall.live.rebuild import generation_in_memory
from recall.live.snapshot import MODEL, load_generation
from recall.model.artifact import training_seed
from recall.model.audience import AudienceSource
from recall.progress import Progress, silent
from recall.schema import FeatureMap
from recall.tables import ITEM_ID, SPLIT, TEST, TRAIN, USER_ID, VALIDATION, DataFolder
from training.bags import content_specs
from training.baselines.content import ContentKnn
from training.baselines.friends import Friends, friend_features
from training.baselines.linear import LinearMap, require_implicit
from training.baselines.popularity import Popularity
from training.baselines.random import Random
from training.channels import RemoteChannel, live_channel
from training.protocol import (
    EvaluationCase,
    EvaluationData,
    candidate_set,
    evaluation_case,
    evaluation_data,
)
from training.recommender import Recommender
from training.report import Report, Row, figures
from training.split import assign_split, carve_validation
from training.trained_on import EvaluatedPart, refuse_held_out_audiences, refuse_other_split

Ranked: TypeAlias = Callable[[str, list[list[str]]], None]
"""Called with the name of a channel and its lists, one a user in the order of user ids, as long as the greatest K."""

_LOG = logging.getLogger(__name__)

MODEL_CHANNELS = ("served", "exact", "faiss", "lsh")
BASELINE_CHANNELS = ("content", "popularity", "random", "linear", "friends")
ONLY_IF_NAMED = ("faiss", "lsh", "linear", "friends")
"""Channels that a run without names leaves out: they build or train something, or need a feature of their own."""

REMOTE_CHANNELS = ("served", "exact")
_USERS_A_CALL = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What to evaluate. Of `model`, `snapshot` and `target` at most one is given; without any only baselines run.

    Attributes:
        data: The data folder.
        model: A model artifact, embedded and indexed in memory.
        snapshot: A snapshot folder.
        target: `HOST:PORT` of a running server.
        credentials: Encryption and token of the target; None has neither.
        split: `test` or `validation`.
        ks: Lengths of the lists.
        candidates: `all`, `warm`, `cold`, `cold-split`, or a file with one item id a line.
        channels: Names; None means all that the source offers but `ONLY_IF_NAMED`.
        history: Latest items of each user's history that a recommender sees; None means all of them.
        index: Parameters of the indexes built in memory.
        carving_seed: Of a validation part that has to be carved out of train; None means the seed that the model was
            trained with. A server does not tell that, so it and the baselines alone take 0.

    Raises:
        ConfigError: A channel or part is unknown or needs a source that is not given, or a K or the history is out of
            range.
    """

    data: Path
    model: Path | None = None
    snapshot: Path | None = None
    target: str | None = None
    credentials: Credentials | None = None
    split: str = "test"
    ks: tuple[int, ...] = (20, 100)
    candidates: str = "all"
    channels: tuple[str, ...] | None = None
    history: int | None = None
    index: IndexConfig = field(default_factory=IndexConfig)
    carving_seed: int | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be evaluated, before anything is read."""
        if self.split not in (VALIDATION, TEST):
            raise ConfigError(f"split {self.split!r} cannot be evaluated; choose {VALIDATION} or {TEST}")
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"k = {list(self.ks)}; name at least one K, each at least 1")
        if self.history is not None and self.history < 0:
            raise ConfigError(f"history = {self.history}; keep 0 items of each user's history or more")
        names = _channel_names(self)
        if self.target is not None and max(self.ks) > MAX_LIMIT and set(names) & set(REMOTE_CHANNELS):
            raise ConfigError(
                f"k = {max(self.ks)} is beyond the {MAX_LIMIT:,} items that a server returns; lower it, or evaluate a"
                " model or a snapshot"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    folder: DataFolder
    split: pl.DataFrame
    interactions: pl.DataFrame
    users: dict[str, FeatureMap]
    evaluation: EvaluationData

    def train(self) -> pl.DataFrame:
        return self.interactions.filter(pl.col(SPLIT) == TRAIN)

    def train_counts(self) -> dict[str, int]:
        return dict(self.train().group_by(ITEM_ID).len().iter_rows())

    def audiences(self) -> AudienceSource:
        """Returns who had an item in the train part."""
        had = dict(self.train().group_by(ITEM_ID).agg(USER_ID).iter_rows())
        return lambda item_ids: [had.get(item_id, ()) for item_id in item_ids]


def evaluate(request: EvaluationRequest, *, progress: Progress | None = None, ranked: Ranked | None = None) -> Report:
    """Evaluates every channel of `request` on the same users and candidates.

    Args:
        request: What to evaluate.
        progress: Told of users done, by channel.
        ranked: Given the lists of each channel; they are not kept.

    Raises:
        ConfigError: A channel needs a package that is not there.
        DataError: The data folder cannot be evaluated like this, or the model may have been trained on what is asked.
        ArtifactError: The model cannot be loaded.
        SnapshotDamagedError: The snapshot cannot be loaded.
        RecallError: The server refuses or cannot be reached.
    """
    names = _channel_names(request)
    if LinearMap.channel in names:
        require_implicit()  # now, not after hours on the channels before it
    tables = _tables(request)
    if Friends.channel in names:
        friend_features(tables.folder.schema.user_features, tables.users, tables.train())  # likewise
    case = evaluation_case(tables.evaluation, candidate_set(tables.evaluation, request.candidates))
    rows: list[Row] = []
    per_user: list[pl.DataFrame] = []
    with ExitStack() as stack:
        model_id, recommenders = _recommenders(request, tables, names, stack)
        for recommender in recommenders:
            rankings = _rankings(recommender, case, max(request.ks), progress or silent)
            if ranked is not None:
                ranked(recommender.channel, rankings)
            for row, values in figures(recommender.channel, rankings, case, tables.evaluation, request.ks):
                rows.append(row)
                per_user.append(values)
    return Report(
        model_id=model_id,
        data=tables.folder.schema.name,
        split=request.split,
        history=request.history,
        rows=tuple(rows),
        per_user=pl.concat(per_user),
    )


def _channel_names(request: EvaluationRequest) -> tuple[str, ...]:
    if len([source for source in (request.model, request.snapshot, request.target) if source is not None]) > 1:
        raise ConfigError("model, snapshot and target exclude each other; name one")
    offered: tuple[str, ...] = BASELINE_CHANNELS
    if request.target is not None:
        offered = REMOTE_CHANNELS + BASELINE_CHANNELS
    elif request.model is not None or request.snapshot is not None:
        offered = MODEL_CHANNELS + BASELINE_CHANNELS
    if request.channels is not None and not request.channels:
        raise ConfigError(f"no channel is named; choose from {', '.join(offered)}")
    if request.channels is None:
        return tuple(name for name in offered if name not in ONLY_IF_NAMED)
    for name in request.channels:
        if name not in MODEL_CHANNELS + BASELINE_CHANNELS:
            known = ", ".join(MODEL_CHANNELS + BASELINE_CHANNELS)
            raise ConfigError(f"channel {name!r} is unknown; choose from {known}")
        if name not in offered:
            raise ConfigError(
                f"channel {name!r} needs a model or a snapshot, or for served and exact a server; name one"
            )
    return tuple(dict.fromkeys(request.channels))


def _tables(request: EvaluationRequest) -> _Tables:
    folder = DataFolder.open(request.data)
    interactions = folder.interactions()
    rule = None if SPLIT in interactions.columns else folder.config.split.rule
    split = assign_split(interactions, folder.config.split)
    interactions = split
    if request.split == VALIDATION:
        interactions = carve_validation(split, _carving_seed(request, is_needed=VALIDATION not in set(split[SPLIT])))
    item_ids, _, _ = folder.items()
    user_ids, users = folder.users()
    features = dict(zip(user_ids, users, strict=True))
    evaluation = evaluation_data(interactions, item_ids, user_features=features, part=request.split, rule=rule)
    if request.history is not None:
        evaluation = evaluation.with_last_of_history(request.history)
    return _Tables(folder=folder, split=split, interactions=interactions, users=features, evaluation=evaluation)


def _carving_seed(request: EvaluationRequest, *, is_needed: bool) -> int:
    """Returns the seed that carved the validation part which the evaluated model did not train on."""
    if request.carving_seed is not None:
        return request.carving_seed
    if request.target is not None and is_needed:
        _LOG.warning(
            "the validation part is that of a model trained with seed 0; one of another seed has trained on it"
        )
    if request.snapshot is not None:
        return training_seed(request.snapshot / MODEL)
    return training_seed(request.model) if request.model is not None else 0


def _recommenders(
    request: EvaluationRequest, tables: _Tables, names: Sequence[str], stack: ExitStack
) -> tuple[str, Iterator[Recommender]]:
    """Returns the id of the model and the recommenders, each made when it is its turn."""
    if request.target is not None:
        credentials = request.credentials or Credentials()
        client = stack.enter_context(RecallClient(request.target, timeout_seconds=60.0, credentials=credentials))
        model_id = client.status().model_id
        return model_id, (_remote_or_baseline(name, client, model_id, tables) for name in names)
    if not any(name in MODEL_CHANNELS for name in names):
        return "", (_baseline(name, tables) for name in names)
    generation = _generation(request, tables)
    made = (
        live_channel(name, generation, request.index) if name in MODEL_CHANNELS else _baseline(name, tables)
        for name in names
    )
    return generation.model.model_id, made


def _generation(request: EvaluationRequest, tables: _Tables) -> Generation:
    folder = tables.folder
    part = EvaluatedPart(data=folder.schema.name, path=folder.path, split=tables.split, part=request.split)
    if request.snapshot is not None:
        generation = load_generation(request.snapshot, lineage=None)
        refuse_other_split(request.snapshot / MODEL, part)
        # The catalogue may count what is held out: a folder that declares no split is loaded whole.
        counts = tables.train_counts()
        if generation.model.reads_audiences:
            refuse_held_out_audiences(request.snapshot, generation.popularity.ranking, counts)
        pairs = ((item_id, counts.get(item_id, 0)) for item_id in generation.index.item_ids())
        return replace(generation, popularity=Counted.from_counts(pairs))
    assert request.model is not None
    refuse_other_split(request.model, part)
    item_ids, features, _ = folder.items()
    model = load_model(request.model).with_audiences(tables.audiences())
    return generation_in_memory(model, item_ids, features, counts=tables.train_counts(), config=request.index)


def _remote_or_baseline(name: str, client: RecallClient, model_id: str, tables: _Tables) -> Recommender:
    if name in REMOTE_CHANNELS:
        return RemoteChannel(channel=name, client=client, model_id=model_id, exact=name == "exact")
    return _baseline(name, tables)


def _baseline(name: str, tables: _Tables) -> Recommender:
    item_ids, features, _ = tables.folder.items()
    if name == "popularity":
        return Popularity(item_ids, tables.train_counts())
    if name == "friends":
        train = tables.train()
        return Friends(
            item_ids, train, features=friend_features(tables.folder.schema.user_features, tables.users, train)
        )
    specs = content_specs(tables.folder.schema.item_features)
    if name == "content":
        return ContentKnn(item_ids, features, specs)
    if name == "linear":
        return LinearMap(item_ids, features, specs=specs, train=tables.train())
    return Random(item_ids)


def _rankings(recommender: Recommender, case: EvaluationCase, k: int, progress: Progress) -> list[list[str]]:
    rankings: list[list[str]] = []
    for start in range(0, len(case.users), _USERS_A_CALL):
        users = case.users[start : start + _USERS_A_CALL]
        rankings += recommender.recommend(users, k, case.candidates)
        progress(recommender.channel, len(rankings), len(case.users))
    return rankings
