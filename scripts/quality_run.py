"""One data set measured: a model is trained, by default with the default recipe, then every candidate set is ranked.

In the working folder each finished step is one file or folder that appears whole or not at all, and is not done again:

    runs/SET-seedN-CONFIG-COMMIT/model                the artifact
    runs/SET-seedN-CONFIG-COMMIT/training.json        what `recall train --json` reported, and its seconds
    runs/SET-seedN-CONFIG-COMMIT/CANDIDATES.json      what `recall evaluate --json` reported of the test part
    runs/SET-seedN-CONFIG-COMMIT/CANDIDATES.parquet   its values by user, for `recall compare`
    SET-seedN.json                                    the result of the last run of that set and seed

SET is `SET~none` for a model that sees no feature, and CANDIDATES is `validation-CANDIDATES` for that part.

A result is {"set", "seed", "machine", "commit", "config_digest", "command", "date", "training", "training_seconds",
"rows", "ratios"}. Its rows are those of `recall evaluate`, each with what it takes to make it again; a ratio is
Recall@20 of `served` over that of a baseline: `content`, `linear` and `friends` for all users, and `popularity` for
those who are new and those who are known, where there are both.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from kept import Json, keep, kept
from provenance import machine, short
from recall.cli.output import say
from recall.cli.settings import resolve
from recall.errors import TrainingError
from recall.tables import SPLIT, TEST, TRAIN, VALIDATION, DataFolder
from server_process import run_recall
from training.baselines.friends import Friends, find_friend_features
from training.config import TrainConfig
from training.protocol import evaluation_data
from training.split import assign_split, carve_validation

CHANNELS = ("served", "exact", "content", "linear", "friends", "popularity", "random")
"""`friends` only where a user feature names other users."""

CANDIDATES = ("cold-split", "cold", "all", "warm")
_USER_SLICES = ("warm_users", "cold_users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What decides the figures of one data set.

    Attributes:
        data: Data folder; its name is that of the set.
        work: Working folder.
        seed: Of the training.
        commit: Of the code.
        config: TOML file of the training; None is the default recipe.
        with_features: Whether the model sees features; the baselines do in any case.
        part: `test` or `validation`, what is ranked.
    """

    data: Path
    work: Path
    seed: int
    commit: str
    config: Path | None = None
    with_features: bool = True
    part: str = TEST

    @property
    def config_digest(self) -> str:
        """The digest of all settings, which the artifact names too."""
        settings = resolve(TrainConfig, "train", file=self.config)
        return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the steps of this run are kept."""
        name = self.data.name if self.with_features else f"{self.data.name}~none"
        return self.work / "runs" / f"{name}-seed{self.seed}-{self.config_digest[:12]}-{short(self.commit)}"

    def figures(self, candidates: str, suffix: str) -> Path:
        """Returns the file of the figures of one candidate set, `.json`, or of its values by user, `.parquet`."""
        return self.folder / f"{'' if self.part == TEST else self.part + '-'}{candidates}{suffix}"


def measure(run: Run, *, command: str) -> Json:
    """Does what is not done yet of a run, and keeps and returns its result.

    Raises:
        DataError: The data folder cannot be evaluated.
        ProcessError: Training or evaluation failed; `TrainingError` where it was interrupted.
    """
    training = trained(run)
    facts = {
        "command": command,
        "commit": run.commit,
        "seed": run.seed,
        "config_digest": run.config_digest,
        "training_seconds": training["seconds"],
    }
    rows: list[Json] = []
    channels = channel_names(run.data)
    for candidates in candidate_names(run.data):
        evaluation = evaluated(run, candidates, channels)
        rows += [{"set": run.data.name, **row, **facts} for row in evaluation["rows"]]
    result: Json = {
        "set": run.data.name,
        **facts,
        "machine": training["machine"],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "training": training,
        "rows": rows,
        "ratios": ratios_of(rows),
    }
    keep(run.work / f"{run.data.name}-seed{run.seed}.json", result)
    return result


def trained(run: Run) -> Json:
    """Trains the model of a run where that is not done yet, and returns what was kept of it.

    Raises:
        ProcessError: Training failed; `TrainingError` where it was interrupted.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    return kept(run.folder / "training.json", partial(_trained, run))


def evaluated(run: Run, candidates: str, channels: Sequence[str]) -> Json:
    """Ranks one candidate set by some channels where that is not done yet, and returns what was kept of it.

    Raises:
        ProcessError: Evaluation failed.
    """
    return kept(run.figures(candidates, ".json"), partial(_evaluated, run, candidates, channels))


def candidate_names(data: Path, *, part: str = TEST, seed: int = 0) -> tuple[str, ...]:
    """Returns those candidate sets that hold an item which a user of the evaluated part should get.

    Args:
        data: Data folder.
        part: `test` or `validation`.
        seed: Of the validation part, where it is carved out of train.

    Raises:
        DataError: The data folder lacks that part.
    """
    folder = DataFolder.open(data)
    interactions = assign_split(folder.interactions(), folder.config.split)
    if part == VALIDATION:
        interactions = carve_validation(interactions, seed)
    asked = evaluation_data(interactions, folder.items()[0], user_features={}, part=part)
    wanted: frozenset[str] = frozenset().union(*asked.relevant)
    has_cold, has_warm = bool(wanted - asked.warm_items), bool(wanted & asked.warm_items)
    there_is = {"cold-split": has_cold, "cold": has_cold, "all": True, "warm": has_warm}
    return tuple(name for name in CANDIDATES if there_is[name])


def channel_names(data: Path) -> tuple[str, ...]:
    """Returns the channels that can be shown: all, but `friends` only where a user feature names other users."""
    folder = DataFolder.open(data)
    train = assign_split(folder.interactions(), folder.config.split).filter(pl.col(SPLIT) == TRAIN)
    users = dict(zip(*folder.users(), strict=True))
    has_friends = bool(find_friend_features(folder.schema.user_features, users, train))
    return tuple(name for name in CHANNELS if has_friends or name != Friends.channel)


def _trained(run: Run) -> Json:
    model = run.folder / "model"
    shutil.rmtree(model, ignore_errors=True)  # of a run that was stopped before it could note how long it took
    say(f"{run.data.name}: training, seed {run.seed}")
    arguments: list[object] = ["train", "--data", run.data, "--out", model, "--seed", run.seed, "--json", "-"]
    start = time.perf_counter()
    arguments += ["--config", run.config] if run.config else []
    arguments += [] if run.with_features else ["--features", "none"]
    report = json.loads(run_recall(arguments))
    seconds = time.perf_counter() - start
    if report["interrupted"]:
        raise TrainingError(f"training on {run.data} was interrupted; run the same command again")
    names = ("model_id", "epoch", "validation_score")
    return {"seconds": seconds, "machine": machine(), **{name: report[name] for name in names}}


def _evaluated(run: Run, candidates: str, channels: Sequence[str]) -> Json:
    say(f"{run.data.name}: evaluating, candidates {candidates}")
    arguments = ["evaluate", "--data", run.data, "--model", run.folder / "model", "--candidates", candidates]
    arguments += ["--split", run.part, "--channels", ",".join(channels)]
    arguments += ["--per-user", run.figures(candidates, ".parquet"), "--json", "-"]
    evaluation: Json = json.loads(run_recall(arguments))
    return evaluation


def ratios_of(rows: Sequence[Json]) -> dict[str, float]:
    """Returns the ratios of a result; see the module's description."""
    return dict(_ratios(rows))


def _ratios(rows: Sequence[Json]) -> Iterator[tuple[str, float]]:
    recall = {
        (row["candidates"], row["slice"], row["channel"]): row["value"]
        for row in rows
        if (row["metric"], row["k"]) == ("recall", 20)
    }
    for (candidates, part, channel), value in recall.items():
        has_both = all((candidates, users, channel) in recall for users in _USER_SLICES)
        if channel in ("content", "linear", "friends") and part == "all" and value:
            yield f"served_over_{channel}_{candidates}", recall[candidates, part, "served"] / value
        if channel == "popularity" and part in _USER_SLICES and has_both and value:
            yield f"served_over_{channel}_{candidates}_{part}", recall[candidates, part, "served"] / value
