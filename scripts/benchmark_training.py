"""Measures the training step: examples a second, the share of it in matrix products, codes against eager, memory.

- `step_gemm_share`: time of matrix products, forward and backward, over the time of the steps they are in, refreshes of
  the histories included, by the profiler of torch on the CPU.
- `codes_over_eager`: codes of ids a second by the compiled kernel of `recall.model.codes` over those by the same hash
  family in eager torch, both on one thread. Both give the same codes, which is checked.

Data are made (`check_memory.write_data`), or a folder is named. On a machine with CUDA the steps are run there as well.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch.profiler import ProfilerActivity, profile

from check_memory import Size, write_data
from job import run
from provenance import code_commit, machine
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.cli.settings import resolve
from recall.model.codes import HashFamily
from recall.tables import DataFolder
from training.config import TrainConfig
from training.dataset import TrainingData, read_training_data
from training.optimization import Optimization
from training.setup import build_model
from training.step import Batch, Stepper

_PRODUCTS = {"aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "aten::_addmm_activation", "aten::mkldnn_linear"}
_MADE = Size(interactions=1_000_000, users=30_000, items=40_000, steps=60, most_gib=0.0)
_QUICK = Size(interactions=50_000, users=2_000, items=4_000, steps=10, most_gib=0.0)
_WARM_UP = 3
_GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a step is made of, ready to be run.

    Attributes:
        stepper: Computes the loss.
        optimization: Moves the weights.
        batches: Endless.
        device: Where.
    """

    stepper: Stepper
    optimization: Optimization
    batches: Iterator[Batch]
    device: torch.device

    @classmethod
    def of(cls, data: TrainingData, config: TrainConfig, device: torch.device) -> Steps:
        """Returns the steps of a training that has not begun."""
        model = build_model(data, config.towers, seed=0)
        model.to(device)
        stepper = Stepper(model, data, config, seed=0)
        optimization = Optimization(model.towers, config.optimizer, num_steps=10_000)
        epochs = (batch for epoch in range(1, 10_000) for batch in stepper.batches(epoch))
        return cls(stepper=stepper, optimization=optimization, batches=epochs, device=device)

    def run(self, num_steps: int) -> float:
        """Runs so many steps, the first with a refresh, and returns the seconds that they took."""
        self.stepper.expire()
        self._wait()
        since = time.perf_counter()
        for batch in islice(self.batches, num_steps):
            loss = self.stepper.loss(batch)
            assert torch.isfinite(loss)
            self.optimization.step(loss)
        self._wait()
        return time.perf_counter() - since

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main(
    data: Annotated[Path | None, typer.Option("--data", help="Data folder; by default one is made.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file, as for recall train.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads of torch; 0 takes all cores.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few steps on little data.")] = False,
    json_: Json = None,
) -> None:
    """Measures training steps of a configuration, by default the default one."""
    if threads:
        torch.set_num_threads(threads)
    settings = resolve(TrainConfig, "train", file=config)
    size = _QUICK if quick else _MADE
    with _folder(data, size) as folder:
        tables = read_training_data(DataFolder.open(folder), features=None, seed=0)
    rows: list[dict[str, object]] = []
    share, row = _cpu_row(tables, settings, size.steps)
    rows.append(row)
    if torch.cuda.is_available():
        rows += [
            _cuda_row(tables, settings.model_copy(update={"precision": name}), size.steps) for name in ("fp32", "bf16")
        ]
    ours, eager = _codes_per_second(seconds=0.2 if quick else 2.0)
    rows.append({"device": "cpu", "codes_per_second": round(ours), "eager_codes_per_second": round(eager), "k": 1024})
    ratios = {"step_gemm_share": round(share, 3), "codes_over_eager": round(ours / eager, 2)}
    value = {"machine": machine(), "commit": code_commit(), "rows": rows, "ratios": ratios}
    report([line for row in rows for line in [*pair_lines(row), ""]] + pair_lines(ratios), value, json_)


@contextmanager
def _folder(data: Path | None, size: Size) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="recall-training-") as place:
        write_data(Path(place) / "data", size)
        yield Path(place) / "data"


def _cpu_row(data: TrainingData, config: TrainConfig, num_steps: int) -> tuple[float, dict[str, object]]:
    say("running steps on the CPU")
    steps = Steps.of(data, config, torch.device("cpu"))
    steps.run(_WARM_UP)
    seconds = steps.run(num_steps)
    profiled = max(5, num_steps // 3)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        wall = steps.run(profiled)
    times = {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}
    products = sum(seconds for name, seconds in times.items() if name in _PRODUCTS)
    others = sorted(
        ((name, seconds) for name, seconds in times.items() if name not in _PRODUCTS), key=lambda one: -one[1]
    )
    return products / wall, {
        **_speed(data, config, num_steps, seconds),
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "product_ms": round(1000 * products / profiled, 2),
        "outside_torch_ms": round(1000 * (wall - sum(times.values())) / profiled, 2),
        **{f"{name}_ms": round(1000 * seconds / profiled, 2) for name, seconds in others[:8]},
    }


def _cuda_row(data: TrainingData, config: TrainConfig, num_steps: int) -> dict[str, object]:
    say(f"running steps on {torch.cuda.get_device_name()} in {config.precision}")
    torch.cuda.reset_peak_memory_stats()
    steps = Steps.of(data, config, torch.device("cuda"))
    steps.run(_WARM_UP)
    seconds = steps.run(num_steps)
    peak = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return {**_speed(data, config, num_steps, seconds), "device": torch.cuda.get_device_name(), "peak_gib": peak}


def _speed(data: TrainingData, config: TrainConfig, num_steps: int, seconds: float) -> dict[str, object]:
    batch_size = min(config.batch_size, len(data.train))
    return {
        "precision": config.precision,
        "batch_size": batch_size,
        "step_ms": round(1000 * seconds / num_steps, 2),
        "examples_per_second": round(batch_size * num_steps / seconds),
    }


def _codes_per_second(*, seconds: float) -> tuple[float, float]:
    """Returns how many ids a second the compiled kernel and eager torch encode, on one thread."""
    family = HashFamily()
    ids = np.random.default_rng(0).integers(1 << 63, size=2048).astype(np.uint64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        same = np.allclose(eager_codes(family, ids[:64]), family.codes(ids[:64]), atol=1e-6)
        if not same:
            raise AssertionError("the eager codes are not those of the kernel")
        pair = _rate(lambda: family.codes(ids), seconds), _rate(lambda: eager_codes(family, ids), seconds)
    finally:
        torch.set_num_threads(threads)
    return pair[0] * len(ids), pair[1] * len(ids)


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Returns calls a second, the best of a few: other work on the machine only ever slows one down."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 3:
        since = time.perf_counter()
        call()
        times.append(time.perf_counter() - since)
    return 1.0 / min(times)


def eager_codes(
    family: HashFamily, ids: np.ndarray[tuple[int], np.dtype[np.uint64]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Returns the uniform codes of ids as plain operations of torch give them, one array after another."""
    mixed = torch.from_numpy(ids.view(np.int64))[:, None] + torch.from_numpy(family.seeds().view(np.int64))[None, :]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ _shifted(mixed, shift)) * (factor - (1 << 64))
    mixed = mixed ^ _shifted(mixed, 31)
    low = ((mixed & 0xFFFFFFFF) * family.m) >> 32
    high = (_shifted(mixed, 32) * family.m) >> 32
    values = torch.stack([low, high], dim=2).reshape(len(ids), family.k)
    return (values.to(torch.float32) * (2.0 / (family.m - 1)) - 1.0).numpy()


def _shifted(values: torch.Tensor, places: int) -> torch.Tensor:
    """Returns 64-bit values shifted to the right as unsigned ones."""
    return (values >> places) & ((1 << (64 - places)) - 1)


if __name__ == "__main__":
    run(main)
