"""The page of training curves and the log behind it: whole, without any other file, and no part of the model."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.config import CheckpointConfig, TrainConfig
from training.curves import page
from training.train import RunOptions, TrainResult, train

MakeConfig = Callable[..., TrainConfig]


def _steps(stage: str, epoch: int, step: int, loss: float) -> dict[str, Any]:
    place = {"kind": "steps", "stage": stage, "epoch": epoch, "step": step}
    return {**place, "loss": loss, "examples_per_second": 1000.0 * step}


def _lines() -> list[dict[str, Any]]:
    return [
        {"kind": "run", "run": "x", "steps_per_epoch": 10, "batch_size": 64, "epochs": 2},
        _steps("fit", 1, 5, 4.0),
        _steps("fit", 1, 10, 3.0),
        {"kind": "epoch", "stage": "fit", "epoch": 1, "loss": 3.5, "validation_score": 0.25},
        _steps("fit", 2, 10, 2.0),
        {"kind": "epoch", "stage": "fit", "epoch": 2, "loss": 2.0, "validation_score": 0.5},
        _steps("refit", 1, 10, 3.0),
        {"kind": "epoch", "stage": "refit", "epoch": 1, "loss": 3.0, "validation_score": None},
    ]


def _lines_drawn(text: str) -> dict[str, list[list[tuple[float, float]]]]:
    """Returns the places of each line of each picture, by title."""
    drawn = {}
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        tree = ET.fromstring(svg)
        drawn[tree.attrib["aria-label"]] = [
            [(float(x), float(y)) for x, y in (point.split(",") for point in line.attrib["points"].split())]
            for line in tree.iter("polyline")
        ]
    return drawn


def test_curves_stand_where_their_values_are() -> None:
    drawn = _lines_drawn(page(_lines()))
    assert [len(lines) for lines in drawn.values()] == [2, 1, 2]
    (fit, refit), ((first, second),) = drawn["Loss"], drawn["Validation score"]
    # Steps 5, 10 and 20 of all; a falling loss goes down the page, whose zero is at the top.
    assert [x for x, _ in fit] == pytest.approx(
        [fit[0][0] + share * (fit[2][0] - fit[0][0]) for share in (0, 1 / 3, 1)], abs=0.2
    )
    assert fit[0][1] < fit[1][1] < fit[2][1]
    assert refit == [fit[1]]
    assert second[1] < first[1]


def test_page_needs_no_other_file_and_no_network() -> None:
    text = page(_lines())
    assert not re.search(r"https?:|<script|<link|src=|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "<td>0.2500</td>" in text


@pytest.mark.parametrize("lines", [[], _lines()[:1], [*_lines()[:1], _steps("fit", 1, 1, 0.0)]], ids=len)
def test_page_of_a_run_that_has_hardly_begun_can_be_drawn(lines: list[dict[str, Any]]) -> None:
    assert page(lines).endswith("</html>\n")


class _Killed(BaseException):
    pass


@pytest.mark.slow
def test_run_that_was_killed_goes_on_with_its_log_and_the_model_does_not_know_of_it(
    checkerboard: Path, make_config: MakeConfig, trained: Any, tmp_path: Path
) -> None:
    def killing(stage: str, step: int, total: int) -> None:
        if (stage, step) == ("epoch 2", 6):
            raise _Killed

    def run(name: str, progress: Any = None, **settings: Any) -> TrainResult:
        options = RunOptions(device="cpu", curves=tmp_path / f"{name}.html")
        return train(checkerboard, tmp_path / name, make_config(**settings), options=options, progress=progress)

    with pytest.raises(_Killed):
        run("model", killing, checkpoint=CheckpointConfig(steps=4))
    assert run("model", checkpoint=CheckpointConfig(steps=4)) == trained.result
    lines = [json.loads(line) for line in (tmp_path / "model.jsonl").read_text().splitlines()]
    places = [(line["epoch"], line["step"]) for line in lines if line["kind"] == "steps"]
    assert places == [(epoch, step) for epoch in range(1, 5) for step in range(1, 10)]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3, 4]
    assert max(line["validation_score"] for line in lines if line["kind"] == "epoch") == trained.result.score
    assert len(_lines_drawn((tmp_path / "model.html").read_text())) == 3
