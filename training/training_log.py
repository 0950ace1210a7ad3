"""What a run tells of itself while it trains: one JSON object a line, and a page of curves drawn from them.

Beside the page `FILE.html` stands `FILE.jsonl`. Its lines:

    {"kind": "run", "run": digest of what decides the run, "steps_per_epoch", "batch_size", "epochs"}
    {"kind": "steps", "stage", "epoch", "step", "loss": mean since the line before, "examples_per_second": likewise}
    {"kind": "epoch", "stage", "epoch", "loss", "validation_score": null without a validation part}

At most a hundred lines of steps an epoch. A run that goes on from a checkpoint goes on with its file, from where the
checkpoint was taken. Neither file is part of the model.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from training.curves import page
from training.fit_state import FIT, FitState, Position, number_or_none

_LINES_AN_EPOCH = 100
_LOG = logging.getLogger(__name__)

Line: TypeAlias = dict[str, str | int | float | None]


class TrainingLog:
    """The two files of one run; without a page to write it does nothing."""

    def __init__(self, file: Path | None, run: Mapping[str, str]) -> None:
        """Starts empty.

        Args:
            file: The page; None for neither file.
            run: What decides the run (`training.run_identity`).
        """
        self._page = file
        self._run = hashlib.sha256(json.dumps(dict(run), sort_keys=True).encode()).hexdigest()
        self._lines: list[Line] = []
        self._loss_sum = 0.0
        self._num_steps = 0
        self._num_examples = 0
        self._since = time.perf_counter()

    def begin(self, fit: FitState, *, batch_size: int, epochs: int) -> None:
        """Starts with a fit, or goes on with what was written before its checkpoint was taken."""
        if self._page is None:
            return
        if fit.position != Position(stage=fit.position.stage):
            self._lines = self._kept(fit.position)
        if not self._lines:
            steps = fit.stepper.steps_per_epoch
            self._lines = [{"kind": "run", "run": self._run, "steps_per_epoch": steps, "batch_size": batch_size,
                            "epochs": epochs}]  # fmt: skip
        self._reset()

    def step(self, position: Position, step: int, loss: float, *, num_examples: int, num_steps: int) -> None:
        """Takes in one step of the epoch of `position`.

        Args:
            position: Names stage and epoch.
            step: The step, from 1.
            loss: Of it.
            num_examples: It held.
            num_steps: Of the epoch.
        """
        self._loss_sum += loss
        self._num_steps += 1
        self._num_examples += num_examples
        if step % max(1, num_steps // _LINES_AN_EPOCH) and step != num_steps:
            return
        rate = self._num_examples / max(time.perf_counter() - self._since, 1e-9)
        self._lines.append(
            {
                "kind": "steps",
                "stage": position.stage,
                "epoch": position.epoch,
                "step": step,
                "loss": self._loss_sum / self._num_steps,
                "examples_per_second": round(rate, 1),
            }
        )
        self._reset()

    def epoch(self, position: Position, *, loss: float, score: float) -> None:
        """Takes in the end of an epoch, and writes both files."""
        line: Line = {"kind": "epoch", "stage": position.stage, "epoch": position.epoch, "loss": loss}
        self._lines.append({**line, "validation_score": number_or_none(score)})
        self.write()
        self._reset()

    def write(self) -> None:
        """Writes both files as they stand; a failure is a warning, as the run needs neither."""
        if self._page is None:
            return
        try:
            lines = "".join(json.dumps(line) + "\n" for line in self._lines)
            _replace(self._page.with_suffix(".jsonl"), lines)
            _replace(self._page, page(self._lines))
        except OSError as error:
            _LOG.warning("%s cannot be written: %s; training goes on", self._page, error.strerror)

    def _reset(self) -> None:
        self._loss_sum, self._num_steps, self._num_examples = 0.0, 0, 0
        self._since = time.perf_counter()

    def _kept(self, position: Position) -> list[Line]:
        """Returns the lines of an earlier process of this run up to a position; none where the file is of another."""
        assert self._page is not None
        try:
            text = self._page.with_suffix(".jsonl").read_text(encoding="utf-8")
            lines: list[Line] = [json.loads(line) for line in text.splitlines()]
        except (OSError, ValueError):
            return []
        if not lines or lines[0].get("run") != self._run:
            return []
        return [line for line in lines if _is_before(line, position)]


def _is_before(line: Line, position: Position) -> bool:
    if line["kind"] == "run" or (line["stage"] == FIT != position.stage):
        return True
    step = math.inf if line["kind"] == "epoch" else float(line["step"] or 0)
    place = (float(line["epoch"] or 0), step)
    return line["stage"] == position.stage and place <= (position.epoch, position.step)


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
