"""The page of a run's curves: loss and speed by step, validation score by epoch, in one file that needs no other.

Drawn as SVG here, without a script, so that it opens anywhere; light and dark follow the reader's system.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 760, 240, 64, 34, 12, 14
_TICKS = 5
_FEW_POINTS = 60
_STAGES = {"fit": "fit", "refit": "refit on all of train"}

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c1e21; --soft: #6a6f76; --line: #e3e5e8; --fit: #2166ac;
  --refit: #b35806; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --ink: #e6e7e9; --soft: #9aa0a8; --line: #2d3136;
  --fit: #7ab3e8; --refit: #f0a35e; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 800px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.6rem 0 .2rem; } p { color: var(--soft); margin: .2rem 0; }
svg { width: 100%; height: auto; } text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--line); } .fit { stroke: var(--fit); fill: none; } .refit { stroke: var(--refit); fill: none; }
polyline { stroke-width: 1.8; stroke-linejoin: round; }
circle.fit { fill: var(--fit); } circle.refit { fill: var(--refit); }
span.fit { color: var(--fit); } span.refit { color: var(--refit); } table { border-collapse: collapse; }
th, td { text-align: right; padding: .15rem .9rem .15rem 0; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; }
"""

Line: TypeAlias = Mapping[str, str | int | float | None]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    """One picture.

    Attributes:
        title: What is drawn upwards.
        across: What is drawn to the right.
        series: Points by stage, ascending.
    """

    title: str
    across: str
    series: Mapping[str, Sequence[Point]]

    def drawn(self) -> str:
        points = [point for series in self.series.values() for point in series]
        if not points:
            return ""
        across = _Axis.over([x for x, _ in points])
        upwards = _Axis.over([y for _, y in points])
        grid = "".join(_across_tick(across, x) for x in across.ticks()) + "".join(
            _upwards_tick(upwards, y) for y in upwards.ticks()
        )
        lines = "".join(_line(stage, series, across, upwards) for stage, series in self.series.items())
        label = f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{self.across}</text>'
        return (
            f"<h2>{html.escape(self.title)}</h2>"
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(self.title)}">'
            f"{grid}{lines}{label}</svg>"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A scale with round ends.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        step: Between two ticks.
    """

    low: float
    high: float
    step: float

    @classmethod
    def over(cls, values: Sequence[float]) -> _Axis:
        low, high = min(values), max(values)
        span = high - low or abs(high) or 1.0
        power = 10.0 ** math.floor(math.log10(span / _TICKS))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * _TICKS >= span)
        return cls(low=math.floor(low / step) * step, high=math.ceil(high / step) * step or step, step=step)

    def ticks(self) -> list[float]:
        return [self.low + place * self.step for place in range(round((self.high - self.low) / self.step) + 1)]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low or 1.0)


def page(lines: Sequence[Line]) -> str:
    """Returns the page of the lines of a training log."""
    run = lines[0] if lines else {}
    steps, epochs = _of_kind(lines, "steps"), _of_kind(lines, "epoch")
    charts = [
        _Chart(title="Loss", across="step", series=_by_stage(steps, "loss", run)),
        _Chart(title="Validation score", across="epoch", series=_by_stage(epochs, "validation_score", None)),
        _Chart(title="Examples a second", across="step", series=_by_stage(steps, "examples_per_second", run)),
    ]
    stages = [stage for stage in _STAGES if any(line["stage"] == stage for line in steps)]
    legend = " &nbsp; ".join(f'<span class="{stage}">&#9632;</span> {_STAGES[stage]}' for stage in stages)
    steps_each = f"{run.get('steps_per_epoch')} steps an epoch of {run.get('batch_size')} examples"
    facts = f"{steps_each}, at most {run.get('epochs')} epochs"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Training curves</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>Training curves</h1><p>{facts}.</p><p>{legend}</p>"
        + "\n".join(chart.drawn() for chart in charts)
        + _table(epochs)
        + "</body></html>\n"
    )


def _of_kind(lines: Iterable[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def _by_stage(lines: Iterable[Line], value: str, run: Line | None) -> dict[str, list[Point]]:
    """Returns points by stage: over all steps where a run tells how many an epoch has, over epochs where not."""
    series: dict[str, list[Point]] = {}
    for line in lines:
        if line[value] is None:
            continue
        across = float(line["epoch"] or 0)
        if run is not None:
            across = (across - 1) * float(run["steps_per_epoch"] or 0) + float(line["step"] or 0)
        series.setdefault(str(line["stage"]), []).append((across, float(line[value] or 0)))
    return series


def _across_tick(axis: _Axis, value: float) -> str:
    x = _x(axis, value)
    anchor = "end" if value == axis.ticks()[-1] else "middle"
    return (
        f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="{anchor}">{_shown(value)}</text>'
    )


def _upwards_tick(axis: _Axis, value: float) -> str:
    y = _y(axis, value)
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_shown(value)}</text>'
    )


def _line(stage: str, points: Sequence[Point], across: _Axis, upwards: _Axis) -> str:
    places = [(_x(across, x), _y(upwards, y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = ""
    if len(points) <= _FEW_POINTS:
        dots = "".join(
            f'<circle class="{stage}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{_shown(a)}: {b:.4g}</title></circle>'
            for (x, y), (a, b) in zip(places, points, strict=True)
        )
    return f'<polyline class="{stage}" points="{path}"/>{dots}'


def _x(axis: _Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: _Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _BOTTOM - _TOP)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _table(epochs: Sequence[Line]) -> str:
    if not epochs:
        return ""
    rows = "".join(
        f"<tr><td>{_STAGES[str(line['stage'])]}</td><td>{line['epoch']}</td><td>{_number(line['loss'])}</td>"
        f"<td>{_number(line['validation_score'])}</td></tr>"
        for line in epochs
    )
    return f"<h2>Epochs</h2><table><tr><th></th><th>epoch</th><th>loss</th><th>validation score</th></tr>{rows}</table>"


def _number(value: str | int | float | None) -> str:
    return "" if value is None else f"{float(value):.4f}"
