"""Training of the two towers: data folder in, model artifact out.

Every random draw comes from the seed and is made on the CPU, so the same seed on the same machine gives the same
artifact. An interrupt keeps the best epoch so far. A process that was killed goes on from its last checkpoint when the
same command is given again, and ends with the same artifact.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from recall.errors import ArtifactError, ConfigError, TrainingError
from recall.model.artifact import save_artifact
from recall.model.embedding import EmbeddingModel
from recall.progress import Progress, silent
from recall.tables import DataFolder
from training.config import TrainConfig
from training.dataset import TrainingData, read_training_data
from training.fit_state import FIT, REFIT, Best, Chosen, FitState, Position, Stage, number_or_none
from training.fusion import fit_content_part, fit_fusion
from training.keeper import Keeper, keeping
from training.optimization import Optimization
from training.precision import compiled
from training.rules import resolved
from training.run_identity import run_identity
from training.setup import build_model, golden_inputs
from training.step import Stepper
from training.trained_on import TRAIN_SHA256, rows_sha256
from training.training_log import TrainingLog
from training.validation import recall_at, telling_parts, validation_parts
from training.warm_start import load_start, start_from

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What may differ between two runs of the same settings.

    Attributes:
        seed: Of every random draw.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        features: `items.NAME` and `users.NAME` to use; None means all.
        restart: Whether to begin anew where there is a checkpoint.
        curves: Page of the training curves to write, `NAME.html`; None for none.
    """

    seed: int = 0
    device: str = "auto"
    features: tuple[str, ...] | None = None
    restart: bool = False
    curves: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a training run gave.

    Attributes:
        model_id: Id of the artifact.
        epoch: The epoch kept, from 1.
        score: Its validation score; NaN without a validation part.
        interrupted: Whether an interrupt ended it early.
    """

    model_id: str
    epoch: int
    score: float
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What every step of one run needs."""

    seed: int
    device: torch.device
    progress: Progress
    start: EmbeddingModel | None
    keeper: Keeper
    log: TrainingLog


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Trains on the data folder `data` and writes the artifact `out`.

    Args:
        data: A data folder.
        out: A folder that does not exist yet.
        config: All settings.
        options: Seed, device and features; None means the defaults.
        progress: Told of every step.

    Raises:
        ArtifactError: `out` exists or cannot be made, the model to start from cannot be used, or there is a checkpoint
            of another run.
        BusyError: Another process trains the same model.
        ConfigError: CUDA is asked for and there is none, the seed is out of range, or the model to start from is of
            other sizes or features.
        DataError: The data folder cannot be used.
        TrainingError: The loss is no longer finite.
        KeyboardInterrupt: Interrupted before the first epoch ended; nothing is written.
    """
    _check_out(out)
    options = options or RunOptions()
    if not 0 <= options.seed < 1 << 63:
        raise ConfigError(f"seed = {options.seed}; choose one from 0 to 2^63 - 1")
    device, seed = choose_device(options.device), options.seed
    start = load_start(Path(config.warm_start), config=config.towers, seed=seed) if config.warm_start else None
    if config.threads:
        torch.set_num_threads(config.threads)
    features = "all" if options.features is None else ",".join(options.features)
    identity = run_identity(
        data, config, seed=str(seed), features=features, device=device.type, warm_start=start.model_id if start else ""
    )
    log = TrainingLog(options.curves, identity)
    with keeping(out, identity, config.checkpoint, restart=options.restart) as keeper:
        run = _Run(seed=seed, device=device, progress=progress or silent, start=start, keeper=keeper, log=log)
        tables = read_training_data(DataFolder.open(data), features=options.features, seed=run.seed)
        return _train(tables, out, resolved(config, tables), run)


def _train(tables: TrainingData, out: Path, config: TrainConfig, run: _Run) -> TrainResult:
    model, best = _fit(tables, config, run, stage=FIT)
    if config.refit and not tables.carved:
        _LOG.info("refit has no effect: the validation part is that of the data folder, not carved out of train")
    if config.refit and tables.carved and not best.interrupted:
        refitted = _refit(model, tables, config, run, best=best)
        if refitted is not None:
            # Only the first model had interactions left to fit them on.
            refitted.fusion, refitted.content_part = model.fusion, model.content_part
            model, tables = refitted, tables.for_refit()
    model_id = save_artifact(model, out, golden_inputs(tables), training=_facts(tables, config, best, run))
    return TrainResult(model_id=model_id, epoch=best.epoch, score=best.score, interrupted=best.interrupted)


def _check_out(out: Path) -> None:
    """Refuses now what could not be written after hours of training."""
    if out.exists():
        raise ArtifactError(f"{out} exists; choose another folder or remove it")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    try:
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=parent).cleanup()
    except OSError as error:
        raise ArtifactError(
            f"{out} cannot be made: {parent} is no folder that can be written ({error.strerror}); choose another place"
        ) from error


def choose_device(name: str) -> torch.device:
    """Returns the device that `auto`, `cpu` or `cuda` means here.

    Raises:
        ConfigError: CUDA is asked for and there is none, or the name is another.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {name!r} is unknown; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' is asked for, but torch sees no CUDA device; choose cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _fit(data: TrainingData, config: TrainConfig, run: _Run, *, stage: Stage) -> tuple[EmbeddingModel, Best]:
    model = build_model(data, config.towers, seed=run.seed)
    model.to(run.device)
    compiled(model.towers, config, run.device)
    if stage == FIT and run.keeper.chosen is not None:
        return model, _as_chosen(model, run.keeper)
    if run.start is not None:
        start_from(run.start, model, data)
    stepper = Stepper(model, data, config, seed=run.seed)
    fit = FitState(
        model=model,
        stepper=stepper,
        optimization=_optimization(model, stepper, config),
        position=Position(stage=stage),
    )
    run.keeper.resume(fit, stage)
    run.log.begin(fit, batch_size=config.batch_size, epochs=config.epochs)
    if run.start is not None and fit.position == Position(stage=stage):
        score = validation_score(model, stepper, data, config, seed=run.seed)
        stepper.expire()
        _LOG.info("before the first epoch: validation score %.4f", score)
    try:
        _run_epochs(fit, data, config, run)
    except KeyboardInterrupt:
        if fit.best.weights is None:
            raise
        fit.best.interrupted = True
    best = fit.best
    assert best.weights is not None
    model.towers.load_state_dict(best.weights)
    run.progress("exact words", 0, 1)
    try:
        model.fusion = fit_fusion(model, stepper, data, config, seed=run.seed)
        model.content_part = fit_content_part(model, stepper, data, config, seed=run.seed)
    except KeyboardInterrupt:
        _LOG.warning("interrupted before the weight of exact words was fitted: the model goes without them")
        best.interrupted = True
    run.progress("exact words", 1, 1)
    return model, best


def _as_chosen(model: EmbeddingModel, keeper: Keeper) -> Best:
    """Makes a model what the first fit gave before the process was killed."""
    assert keeper.chosen is not None
    chosen, weights = keeper.chosen
    model.towers.load_state_dict(weights)
    model.fusion, model.content_part = chosen.fusion, chosen.content_part
    score = math.nan if chosen.score is None else chosen.score
    return Best(epoch=chosen.epoch, score=score, weights=weights)


def _optimization(model: EmbeddingModel, stepper: Stepper, config: TrainConfig) -> Optimization:
    """Returns what moves the weights, over all moves that the epochs have."""
    moves = config.epochs * math.ceil(stepper.steps_per_epoch / config.accumulate_steps)
    if config.max_steps:
        moves = min(moves, math.ceil(config.max_steps / config.accumulate_steps))
    return Optimization(
        model.towers,
        config.optimizer,
        num_steps=max(1, moves),
        accumulate=config.accumulate_steps,
        undecayed=stepper.objective.parameters(),
    )


def _refit(
    first: EmbeddingModel, data: TrainingData, config: TrainConfig, run: _Run, *, best: Best
) -> EmbeddingModel | None:
    """Returns a model of all of train; None if interrupted, when the one that chose the epochs is the best so far."""
    _LOG.info("training again on all of train for %d epochs", best.epoch)
    config = config.model_copy(update={"epochs": best.epoch})
    assert best.weights is not None
    score = number_or_none(best.score)
    chosen = Chosen(epoch=best.epoch, score=score, fusion=first.fusion, content_part=first.content_part)
    run.keeper.choose(chosen, best.weights)
    try:
        model, again = _fit(data.for_refit(), config, run, stage=REFIT)
    except KeyboardInterrupt:
        best.interrupted = True
        return None
    best.interrupted = again.interrupted
    return None if again.interrupted else model


def _run_epochs(fit: FitState, data: TrainingData, config: TrainConfig, run: _Run) -> None:
    """Runs the epochs that are left, until the last or until they get no better."""
    for epoch in range(fit.position.epoch, config.epochs + 1):
        has_stalled = len(data.validation) > 0 and epoch > config.patience + fit.best.epoch
        steps_left = _steps_left(fit, config)
        if has_stalled or steps_left == 0:
            break
        loss = _run_epoch(fit, steps_left, run)
        with fit.optimization.average.applied():
            score = validation_score(fit.model, fit.stepper, data, config, seed=run.seed)
            fit.best.keep_better(fit.model, epoch=epoch, score=score)
        fit.stepper.expire()
        _LOG.info("epoch %d: loss %.4f, validation score %.4f", epoch, loss, score)
        if config.loss.temperature == "learned":
            _LOG.info("temperature %.4f", fit.stepper.objective.temperature())
        run.log.epoch(fit.position, loss=loss, score=score)
        fit.moved(epoch=epoch + 1)
        run.keeper.after_epoch(fit)


def _steps_left(fit: FitState, config: TrainConfig) -> int:
    """Returns the steps that the epoch to be run has in all, those that are done included; 0 for an epoch too many."""
    per_epoch = fit.stepper.steps_per_epoch
    if not config.max_steps:
        return per_epoch
    return max(0, min(per_epoch, config.max_steps - (fit.position.epoch - 1) * per_epoch))


def _run_epoch(fit: FitState, num_steps: int, run: _Run) -> float:
    """Runs what is left of the epoch that the fit is in, and returns its mean loss."""
    epoch, done, loss_sum = fit.position.epoch, fit.position.step, fit.position.loss_sum
    # What was drawn for the steps that are done is drawn again, so that the next draws are the same.
    batches = itertools.islice(fit.stepper.batches(epoch), done, num_steps)
    for step, batch in enumerate(batches, start=done + 1):
        loss = fit.stepper.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} in step {step} of epoch {epoch}; lower optimizer.learning_rate")
        fit.optimization.step(loss)
        loss_sum += value
        run.log.step(fit.position, step, value, num_examples=len(batch.pairs), num_steps=num_steps)
        if step == num_steps:
            fit.optimization.move()
        if fit.optimization.is_between_moves:
            fit.moved(epoch=epoch, step=step, loss_sum=loss_sum)
            if run.keeper.after_step(fit):
                run.log.write()
        run.progress(f"epoch {epoch}", step, num_steps)
    return loss_sum / num_steps


def validation_score(
    model: EmbeddingModel, stepper: Stepper, data: TrainingData, config: TrainConfig, *, seed: int
) -> float:
    """Returns the mean recall over the validation parts (see validation.py); NaN where there is none."""
    stepper.refresh()
    scores = []
    for part in telling_parts(validation_parts(data, max_users=config.validation_users, seed=seed)):
        users = model.embed_prepared_users(stepper.users.take(part.users), stepper.pool.whole(part.users))
        scores.append(recall_at(part, users, stepper.pool.vectors, k=part.depth(config.validation_k)))
    return float(np.mean(scores)) if scores else math.nan


def _facts(data: TrainingData, config: TrainConfig, best: Best, run: _Run) -> dict[str, str | int | float | bool]:
    # Of the model to start from the id counts: where it lay must not change the id of this one, nor may what was kept.
    settings = config.model_dump_json(exclude={"warm_start", "checkpoint"})
    facts: dict[str, str | int | float | bool] = {
        "config_sha256": hashlib.sha256(settings.encode()).hexdigest(),
        "config": settings,
        "seed": run.seed,
        "epoch": best.epoch,
        "num_items": len(data.item_ids),
        "num_users": len(data.user_ids),
        "num_interactions": len(data.train),
        TRAIN_SHA256: rows_sha256(data.train, pl.Series(data.user_ids), pl.Series(data.item_ids)),
        "validation": "carved" if data.carved else "given",
    }
    if run.start is not None:
        facts["warm_start"] = run.start.model_id
    if not math.isnan(best.score):
        facts["validation_score"] = best.score
    return facts
