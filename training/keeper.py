"""When a run keeps a checkpoint, and how it goes on from one.

The same command goes on from where its checkpoint was taken; another one with the same `--out` is refused, with what it
differs in. A checkpoint ends with the run that it is of: when its model is written, and when the loss is no longer
finite, since the same steps would lead there again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from recall.errors import ArtifactError, TrainingError
from recall.validation import one_line
from training.checkpoint import Arrays, Checkpoint, CheckpointFolder
from training.config import CheckpointConfig
from training.fit_state import REFIT, Chosen, FitState, Position, Stage, Weights, weight_arrays, weights_in
from training.run_identity import differences

_LOG = logging.getLogger(__name__)


class Keeper:
    """Keeps the checkpoints of one run.

    Attributes:
        found: Where the run was when its last checkpoint was taken; None if there is none.
    """

    def __init__(self, folder: CheckpointFolder, run: Mapping[str, str], config: CheckpointConfig) -> None:
        """Keeps in a folder that is open. Use `keeping`."""
        self._folder = folder
        self._run = run
        self._config = config
        self._arrays: Arrays = {}
        self._chosen: tuple[Chosen, Weights] | None = None
        self._kept_at = time.perf_counter()
        self._steps = 0
        self.found: Position | None = None

    def take(self, checkpoint: Checkpoint) -> None:
        """Takes what a killed process left as the start of this one.

        Raises:
            ArtifactError: It is of another run or of another release.
        """
        runs, machines = differences(checkpoint.run, self._run)
        if runs:
            cure = "give the same to go on, --restart to begin anew, or another --out"
            raise ArtifactError(f"{self._folder.path} is the checkpoint of another run: {'; '.join(runs)}; {cure}")
        try:
            self.found = Position.model_validate(checkpoint.facts)
        except ValidationError as error:
            cure = "begin anew with --restart"
            raise ArtifactError(f"{self._folder.path} is of another release: {one_line(error)}; {cure}") from error
        if machines:
            _LOG.warning("since the checkpoint %s; the model may differ in its last digits", "; ".join(machines))
        self._arrays = checkpoint.arrays
        if self.found.chosen is not None:
            self._chosen = self.found.chosen, weights_in(checkpoint.arrays, "chosen")

    @property
    def chosen(self) -> tuple[Chosen, Weights] | None:
        """What the first fit gave, where it is over."""
        return self._chosen

    def choose(self, chosen: Chosen, weights: Weights) -> None:
        """Keeps from now on what the first fit gave."""
        self._chosen = chosen, weights

    def resume(self, fit: FitState, stage: Stage) -> None:
        """Puts a fit where its checkpoint was taken; does nothing where there is none of this stage."""
        if self.found is None or self.found.stage != stage:
            return
        fit.restore(self._arrays, self.found)
        _LOG.info(
            "going on from the checkpoint in %s: %s%d steps of epoch %d are done",
            self._folder.path, "all of train, " if stage == REFIT else "", self.found.step, self.found.epoch,
        )  # fmt: skip
        self._arrays = {}

    def after_step(self, fit: FitState) -> bool:
        """Keeps a checkpoint within an epoch, where one is due; returns whether it was."""
        self._steps += 1
        config = self._config
        seconds = time.perf_counter() - self._kept_at
        is_due = (config.steps and self._steps >= config.steps) or (config.seconds and seconds >= config.seconds)
        if is_due:
            self._keep(fit)
        return bool(is_due)

    def after_epoch(self, fit: FitState) -> None:
        """Keeps a checkpoint between epochs."""
        if self._config.epochs:
            self._keep(fit)

    def _keep(self, fit: FitState) -> None:
        position, arrays = fit.position, fit.arrays()
        if self._chosen is not None:
            chosen, weights = self._chosen
            position = position.model_copy(update={"chosen": chosen})
            arrays |= {f"chosen.{name}": array for name, array in weight_arrays(weights).items()}
        try:
            facts = position.model_dump(mode="json")
            self._folder.write(Checkpoint(run=self._run, facts=facts, arrays=arrays))
        except OSError as error:
            # The run itself needs no checkpoint: hours of work must not end for want of one.
            _LOG.warning("no checkpoint could be written to %s: %s; training goes on", self._folder.path, error)
        self._kept_at, self._steps = time.perf_counter(), 0


@contextmanager
def keeping(out: Path, run: Mapping[str, str], config: CheckpointConfig, *, restart: bool) -> Iterator[Keeper]:
    """Yields the keeper of the run that writes `out`; its checkpoint goes when the context ends well.

    Args:
        out: The model to be written.
        run: What decides the run (`training.run_identity`).
        config: When to keep one.
        restart: Whether to drop an earlier checkpoint, whatever it is of.

    Raises:
        ArtifactError: There is a checkpoint of another run, or a damaged one.
        BusyError: Another process trains the same model.
    """
    folder = CheckpointFolder.beside(out)
    folder.open()
    try:
        if restart:
            folder.clear()
        keeper = Keeper(folder, run, config)
        checkpoint = folder.read()
        if checkpoint is not None:
            keeper.take(checkpoint)
        yield keeper
        folder.clear()
    except TrainingError:
        folder.clear()
        raise
    except BaseException:
        if folder.has_checkpoint:
            _LOG.info("the checkpoint in %s stays: the same command goes on from it", folder.path)
        raise
    finally:
        folder.close()
