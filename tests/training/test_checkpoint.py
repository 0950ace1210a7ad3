"""The folder of a checkpoint: what is written is read again, damage is seen, and what a kill leaves does no harm."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from recall.errors import ArtifactError, BusyError
from training.checkpoint import Arrays, Checkpoint, CheckpointFolder


def _checkpoint(number: int) -> Checkpoint:
    arrays: Arrays = {"a": np.full((2, 3), number, dtype=np.float32), "scalar": np.array(number)}
    return Checkpoint(run={"seed": "1"}, facts={"step": number, "score": 0.1}, arrays=arrays)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """A folder that holds the second checkpoint of a run."""
    folder = CheckpointFolder.beside(tmp_path / "model")
    folder.open()
    folder.write(_checkpoint(1))
    folder.write(_checkpoint(2))
    folder.close()
    return folder


def _read(folder: CheckpointFolder) -> Checkpoint:
    folder.open()
    try:
        checkpoint = folder.read()
    finally:
        folder.close()
    assert checkpoint is not None
    return checkpoint


def test_last_checkpoint_is_read_and_stands_alone(folder: CheckpointFolder) -> None:
    assert sorted(path.name for path in folder.path.iterdir()) == ["2.safetensors", "checkpoint.json"]
    read = _read(CheckpointFolder(folder.path))
    assert (read.run, read.facts) == ({"seed": "1"}, {"step": 2, "score": 0.1})
    assert (read.arrays["a"] == 2).all()
    assert read.arrays["scalar"] == 2


def test_what_a_killed_write_left_is_removed(folder: CheckpointFolder) -> None:
    (folder.path / "3.safetensors").write_bytes(b"half")
    (folder.path / "checkpoint.json.tmp").write_bytes(b"{")
    again = CheckpointFolder(folder.path)
    assert _read(again).facts["step"] == 2
    again.open()
    again.write(_checkpoint(3))
    again.close()
    assert sorted(path.name for path in folder.path.iterdir()) == ["3.safetensors", "checkpoint.json"]


@pytest.mark.parametrize("name", ["2.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damage_is_refused_with_its_cure(name: str, damage: str, folder: CheckpointFolder) -> None:
    file = folder.path / name
    data = bytearray(file.read_bytes())
    if damage == "cut":
        del data[-1]
    else:
        place = data.index(b"0.1") if name.endswith("json") else len(data) - 1
        data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{re.escape(name)} is damaged.*; begin anew with --restart"):
        _read(CheckpointFolder(folder.path))


def test_another_format_is_refused(folder: CheckpointFolder) -> None:
    file = folder.path / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 7}))
    with pytest.raises(ArtifactError, match="has format version 7, this release reads 1"):
        _read(CheckpointFolder(folder.path))


def test_one_process_at_a_time(folder: CheckpointFolder) -> None:
    other = CheckpointFolder(folder.path)
    folder.open()
    with pytest.raises(BusyError, match="another process trains with"):
        other.open()
    folder.close()
    other.open()
    other.close()


def test_folder_without_a_checkpoint_goes(tmp_path: Path) -> None:
    folder = CheckpointFolder.beside(tmp_path / "model")
    folder.open()
    assert folder.read() is None
    (folder.path / "1.safetensors").write_bytes(b"half")
    folder.close()
    assert not list(tmp_path.iterdir())
