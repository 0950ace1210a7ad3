"""Checkpoints of a training run on disk: written whole or not at all, checked when they are read.

A run that writes the model `NAME` keeps one checkpoint in the folder `.NAME.checkpoint` beside it. Format version 1:

    checkpoint.json   format_version, run (what the run is of: name -> value), facts (where it stands), arrays: {file,
                      sha256, size_bytes}, sha256: digest of this file with the value empty. Keys sorted
    N.safetensors     all arrays by name; N counts the checkpoints of the run

A new `N.safetensors` is written beside the last one and synced; then `checkpoint.json` is replaced by a rename, from
which moment the new one holds; then the last one goes. So a process killed at any time leaves the last checkpoint or
the new one. The folder itself is locked while a process trains with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors.numpy import load_file, save_file

from recall.durable import sync
from recall.errors import ArtifactError, BusyError
from recall.validation import one_line

FORMAT_VERSION = 1
_MANIFEST = "checkpoint.json"
_ARRAYS = ".safetensors"

_CURE = "begin anew with --restart"

Arrays: TypeAlias = dict[str, NDArray[np.generic]]
Facts: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        run: What it is a run of, by name.
        facts: Where it stands, as JSON values.
        arrays: Its arrays by name.
    """

    run: Mapping[str, str]
    facts: Facts
    arrays: Arrays


class _Arrays(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, file: Path) -> _Arrays:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return cls(file=file.name, sha256=digest, size_bytes=file.stat().st_size)


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    run: dict[str, str]
    facts: dict[str, JsonValue]
    arrays: _Arrays
    sha256: str = ""

    def sealed(self) -> bytes:
        digest = hashlib.sha256(self.model_copy(update={"sha256": ""}).rendered()).hexdigest()
        return self.model_copy(update={"sha256": digest}).rendered()

    def rendered(self) -> bytes:
        return json.dumps(self.model_dump(), indent=1, sort_keys=True, allow_nan=False).encode()


class CheckpointFolder:
    """The folder of one run, locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        """Names the folder; nothing is made yet."""
        self.path = path
        self._lock = -1
        self._number = 0

    @classmethod
    def beside(cls, model: Path) -> CheckpointFolder:
        """Returns the folder of the run that writes `model`."""
        return cls(model.with_name(f".{model.name}.checkpoint"))

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is one to read."""
        return (self.path / _MANIFEST).exists()

    def open(self) -> None:
        """Makes the folder where it is missing, and locks it.

        Raises:
            ArtifactError: It cannot be made.
            BusyError: Another process trains with it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise BusyError(f"another process trains with {self.path}; wait for it, or give another --out") from error
        except OSError as error:
            raise ArtifactError(f"{self.path} cannot be made ({error.strerror}); choose another place") from error

    def close(self) -> None:
        """Unlocks the folder, and removes it where it holds no checkpoint."""
        if self._lock < 0:
            return
        os.close(self._lock)
        self._lock = -1
        if not self.has_checkpoint:
            shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Removes the checkpoint, the file that makes it one first."""
        (self.path / _MANIFEST).unlink(missing_ok=True)
        for file in self.path.iterdir():
            file.unlink()

    def write(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint in place of the last one.

        Raises:
            OSError: The disk failed or is full; the last checkpoint is whole.
        """
        file = self.path / f"{self._number + 1}{_ARRAYS}"
        save_file({name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}, file)
        sync(file)
        manifest = _Manifest(
            format_version=FORMAT_VERSION, run=dict(checkpoint.run), facts=checkpoint.facts, arrays=_Arrays.of(file)
        )
        temporary = self.path / f"{_MANIFEST}.tmp"
        temporary.write_bytes(manifest.sealed())
        sync(temporary)
        temporary.replace(self.path / _MANIFEST)
        sync(self.path)
        (self.path / f"{self._number}{_ARRAYS}").unlink(missing_ok=True)
        self._number += 1

    def read(self) -> Checkpoint | None:
        """Returns the checkpoint, None where there is none, and removes what a killed process left beside it.

        Raises:
            ArtifactError: It is damaged or of another format.
        """
        if not self.has_checkpoint:
            self.clear()
            return None
        manifest = _read(self.path / _MANIFEST)
        file = self.path / manifest.arrays.file
        if not file.is_file() or _Arrays.of(file) != manifest.arrays:
            raise ArtifactError(f"{file} is damaged: its checksum is not that in {_MANIFEST}; {_CURE}")
        self._number = int(file.stem)
        for other in self.path.iterdir():
            if other.name not in (_MANIFEST, file.name):
                other.unlink()
        return Checkpoint(run=manifest.run, facts=manifest.facts, arrays=load_file(file))


def _read(file: Path) -> _Manifest:
    try:
        data = file.read_bytes()
        manifest = _Manifest.model_validate_json(data)
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read ({error.strerror}); {_CURE}") from error
    except ValidationError as error:
        raise ArtifactError(f"{file} is damaged or of another release: {one_line(error)}; {_CURE}") from error
    if manifest.format_version != FORMAT_VERSION:
        seen = f"has format version {manifest.format_version}, this release reads {FORMAT_VERSION}"
        raise ArtifactError(f"{file} {seen}; use that release, or {_CURE}")
    if manifest.sealed() != data:
        raise ArtifactError(f"{file} is damaged: its own checksum does not fit; {_CURE}")
    return manifest
