"""What a training run is of, in names and values, so that a checkpoint is only gone on from by the same run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from recall.tables import CONFIG_FILE, INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE
from training.config import TrainConfig

_MACHINE = "machine."
_PACKAGES = ("dhe-recall", "torch", "numpy", "scipy", "polars")


def run_identity(data: Path, config: TrainConfig, **others: str) -> dict[str, str]:
    """Returns what decides a run: digests of its data, every setting, and `others`; and the machine, by `machine.NAME`.

    Args:
        data: A data folder; a file that it lacks has no digest.
        config: All settings; those of the checkpoints themselves are left out.
        others: More names and values.
    """
    settings = config.model_dump(mode="json", exclude={"checkpoint", "warm_start"})
    names = (INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE, CONFIG_FILE)
    return {
        **{name: _sha256(data / name) for name in names if (data / name).is_file()},
        **dict(_leaves(settings)),
        **others,
        f"{_MACHINE}versions": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        f"{_MACHINE}processor": platform.machine(),
        f"{_MACHINE}threads": str(torch.get_num_threads()),
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Returns in words what two runs differ in: what makes them two, and what only the machine does."""
    runs, machines = [], []
    for name in sorted(before.keys() | now.keys()):
        was, is_now = (values.get(name, "absent") for values in (before, now))
        if was == is_now:
            continue
        if name.startswith(_MACHINE):
            machines.append(f"{name.removeprefix(_MACHINE)} were {was} and are {is_now}")
        elif name.endswith((".parquet", ".toml")):
            runs.append(f"{name} has changed")
        else:
            runs.append(f"{name} was {was} and is {is_now}")
    return runs, machines


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _leaves(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", json.dumps(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
