"""Training of the two towers: data folder in, model artifact out.

Every random draw comes from the seed and is made on the CPU, so the same seed on the same machine gives the same
artifact. An interrupt keeps the best epoch so far.
"""

from __future__ import annotations

import hashlib
import logging
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recall.errors import ArtifactError, ConfigError, TrainingError
from recall.model.artifact import save_artifact
from recall.model.embedding import EmbeddingModel
from recall.progress import Progress, silent
from recall.tables import DataFolder
from training.config import TrainConfig
from training.dataset import TrainingData, read_training_data
from training.fusion import fit_content_part, fit_fusion
from training.optimization import Optimization
from training.setup import build_model, golden_inputs
from training.step import Stepper
from training.trained_on import TRAIN_SHA256, pairs_sha256
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
    """

    seed: int = 0
    device: str = "auto"
    features: tuple[str, ...] | None = None


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


@dataclass(slots=True)
class _Best:
    epoch: int = 0
    score: float = -math.inf
    temperature: float = math.nan
    weights: dict[str, torch.Tensor] | None = None
    interrupted: bool = False


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
        ArtifactError: `out` exists or cannot be made, or the model to start from cannot be used.
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
    run = _Run(seed=seed, device=device, progress=progress or silent, start=start)
    if config.threads:
        torch.set_num_threads(config.threads)
    tables = read_training_data(DataFolder.open(data), features=options.features, seed=run.seed)
    model, best = _fit(tables, config, run)
    if config.refit and not tables.carved:
        _LOG.info("refit has no effect: the validation part is that of the data folder, not carved out of train")
    if config.refit and tables.carved and not best.interrupted:
        refitted = _refit(tables, config, run, best=best)
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


def _fit(data: TrainingData, config: TrainConfig, run: _Run) -> tuple[EmbeddingModel, _Best]:
    model = build_model(data, config.towers, seed=run.seed)
    if run.start is not None:
        start_from(run.start, model, data)
    model.to(run.device)
    stepper = Stepper(model, data, config, seed=run.seed)
    if run.start is not None:
        score = validation_score(model, stepper, data, config, seed=run.seed)
        stepper.expire()
        _LOG.info("before the first epoch: validation score %.4f", score)
    num_steps = stepper.steps_per_epoch * config.epochs
    optimization = Optimization(
        model.towers, config.optimizer, num_steps=num_steps, undecayed=stepper.objective.parameters()
    )
    best = _Best()
    try:
        for epoch in range(1, config.epochs + 1):
            loss = _run_epoch(stepper, optimization, epoch=epoch, progress=run.progress)
            with optimization.average.applied():
                score = validation_score(model, stepper, data, config, seed=run.seed)
                _keep_better(best, model, epoch=epoch, score=score)
            if best.epoch == epoch:
                best.temperature = stepper.objective.temperature()
            stepper.expire()
            _LOG.info("epoch %d: loss %.4f, validation score %.4f", epoch, loss, score)
            if len(data.validation) and epoch - best.epoch >= config.patience:
                break
    except KeyboardInterrupt:
        if best.weights is None:
            raise
        best.interrupted = True
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


def _refit(data: TrainingData, config: TrainConfig, run: _Run, *, best: _Best) -> EmbeddingModel | None:
    """Returns a model of all of train; None if interrupted, when the one that chose the epochs is the best so far."""
    _LOG.info("training again on all of train for %d epochs", best.epoch)
    config = config.model_copy(update={"epochs": best.epoch})
    try:
        model, again = _fit(data.for_refit(), config, run)
    except KeyboardInterrupt:
        best.interrupted = True
        return None
    best.interrupted = again.interrupted
    return None if again.interrupted else model


def _run_epoch(stepper: Stepper, optimization: Optimization, *, epoch: int, progress: Progress) -> float:
    losses = []
    for step, batch in enumerate(stepper.batches(epoch), start=1):
        loss = stepper.loss(batch)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in step {step} of epoch {epoch}; lower optimizer.learning_rate"
            )
        optimization.step(loss)
        losses.append(loss.detach())
        progress(f"epoch {epoch}", step, stepper.steps_per_epoch)
    return float(torch.stack(losses).mean())


def validation_score(
    model: EmbeddingModel, stepper: Stepper, data: TrainingData, config: TrainConfig, *, seed: int
) -> float:
    """Returns the mean recall over the validation parts (see validation.py); NaN where there is none."""
    stepper.refresh()
    scores = []
    for part in telling_parts(validation_parts(data, max_users=config.validation_users, seed=seed)):
        users = model.embed_prepared_users(stepper.users.take(part.users), stepper.pool.means(part.users))
        scores.append(recall_at(part, users, stepper.pool.vectors, k=part.depth(config.validation_k)))
    return float(np.mean(scores)) if scores else math.nan


def _keep_better(best: _Best, model: EmbeddingModel, *, epoch: int, score: float) -> None:
    # Without a validation part the last epoch is as good a choice as any.
    if math.isnan(score) or score > best.score:
        best.epoch, best.score = epoch, score
        best.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.towers.state_dict().items()}


def _facts(data: TrainingData, config: TrainConfig, best: _Best, run: _Run) -> dict[str, str | int | float | bool]:
    # Of the model to start from the id counts: where it lay must not change the id of this one.
    settings = config.model_dump_json(exclude={"warm_start"})
    facts: dict[str, str | int | float | bool] = {
        "config_sha256": hashlib.sha256(settings.encode()).hexdigest(),
        "config": settings,
        "seed": run.seed,
        "epoch": best.epoch,
        "num_items": len(data.item_ids),
        "num_users": len(data.user_ids),
        "num_interactions": len(data.train),
        TRAIN_SHA256: pairs_sha256(data.train_pairs()),
        "validation": "carved" if data.carved else "given",
    }
    if run.start is not None:
        facts["warm_start"] = run.start.model_id
    if config.loss.temperature == "learned":
        facts["temperature"] = best.temperature
    if not math.isnan(best.score):
        facts["validation_score"] = best.score
    return facts
