"""Ways in which a folder of snapshots can be damaged on disk.

Each changes the files of one snapshot, or `CURRENT`, as a bad disk, a stopped copy or a wrong command would. Files are
replaced, never written in place: what a server has mapped stays as it was, and copies may share files by hard links.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from index.snapshot import CURRENT, snapshot_names

Damage: TypeAlias = Callable[[Path, str, np.random.Generator], str]
"""Damages the snapshot of a name below a folder and says how."""

_MOST_FLIPS = 3


def flip_bits(root: Path, name: str, rng: np.random.Generator) -> str:
    """Flips one to three bits of one file."""
    return _flip(_any_file(root / name, rng), rng)


def truncate(root: Path, name: str, rng: np.random.Generator) -> str:
    """Cuts one file short, by one byte to all of them."""
    return _cut(_any_file(root / name, rng), rng)


def overwrite(root: Path, name: str, rng: np.random.Generator) -> str:
    """Puts zeros over a stretch of one file, as a block that was never written."""
    path = _any_file(root / name, rng)
    content = bytearray(path.read_bytes())
    start = int(rng.integers(len(content)))
    stop = min(start + 512, len(content))
    content[start:stop] = bytes(stop - start) if any(content[start:stop]) else b"\xff" * (stop - start)
    _replace(path, bytes(content))
    return f"bytes {start} to {stop} of {path.name} are overwritten"


def append(root: Path, name: str, rng: np.random.Generator) -> str:
    """Adds bytes at the end of one file."""
    path = _any_file(root / name, rng)
    _replace(path, path.read_bytes() + rng.bytes(int(rng.integers(1, 64))))
    return f"{path.name} is longer"


def remove_file(root: Path, name: str, rng: np.random.Generator) -> str:
    """Removes one file."""
    path = _any_file(root / name, rng)
    path.unlink()
    return f"{path.name} is removed"


def remove_folder(root: Path, name: str, rng: np.random.Generator) -> str:
    """Removes the snapshot, or a folder in it."""
    folders = [root / name, *(path for path in sorted((root / name).rglob("*")) if path.is_dir())]
    path = folders[int(rng.integers(len(folders)))]
    shutil.rmtree(path)
    return f"folder {path.name} is removed"


def replace_by_folder(root: Path, name: str, rng: np.random.Generator) -> str:
    """Puts an empty folder where a file was."""
    path = _any_file(root / name, rng)
    path.unlink()
    path.mkdir()
    return f"{path.name} is a folder"


def swap_within(root: Path, name: str, rng: np.random.Generator) -> str:
    """Swaps two files of the snapshot whose content differs."""
    path = _any_file(root / name, rng)
    content = path.read_bytes()
    others = [other for other in _files(root / name) if other.read_bytes() != content]
    other = others[int(rng.integers(len(others)))]
    _replace(path, other.read_bytes())
    _replace(other, content)
    return f"{path.name} and {other.name} are swapped"


def swap_with_another(root: Path, name: str, rng: np.random.Generator) -> str:
    """Puts a file of another snapshot in the place of one of the same path whose content differs."""
    pairs = [
        (path, root / other / path.relative_to(root / name))
        for other in snapshot_names(root)
        for path in _files(root / name)
        if other != name
    ]
    unlike = [(path, other) for path, other in pairs if other.is_file() and other.read_bytes() != path.read_bytes()]
    path, other = unlike[int(rng.integers(len(unlike)))]
    _replace(path, other.read_bytes())
    return f"{path.name} is that of another snapshot"


def add_file(root: Path, name: str, rng: np.random.Generator) -> str:
    """Adds a file that the manifest does not name: noise, or a file of a snapshot under a name that it lacks."""
    folders = sorted({path.parent for path in _files(root / name)})
    folder = folders[int(rng.integers(len(folders)))]
    known = {path.name: path for other in snapshot_names(root) for path in _files(root / other)}
    missing = sorted(set(known) - {path.name for path in folder.iterdir()})
    added = missing[int(rng.integers(len(missing)))] if rng.random() < 0.7 else "stray.tmp"
    (folder / added).write_bytes(known[added].read_bytes() if added in known else rng.bytes(100))
    return f"{added} is added to {folder.name}"


def damage_current(root: Path, name: str, rng: np.random.Generator) -> str:
    """Damages `CURRENT` itself."""
    path = root / CURRENT
    way = int(rng.integers(5))
    if way == 0:
        return _flip(path, rng)
    if way == 1:
        return _cut(path, rng)
    path.unlink()
    if way == 2:
        return "CURRENT is removed"
    if way == 3:
        path.mkdir()
        return "CURRENT is a folder"
    path.write_bytes(rng.bytes(int(rng.integers(0, 40))))
    return "CURRENT holds noise"


DAMAGES: dict[str, Damage] = {
    "bits flipped": flip_bits,
    "file cut short": truncate,
    "file overwritten": overwrite,
    "file longer": append,
    "file missing": remove_file,
    "folder missing": remove_folder,
    "file is a folder": replace_by_folder,
    "files swapped": swap_within,
    "file of another": swap_with_another,
    "file added": add_file,
    "CURRENT damaged": damage_current,
}
HARMLESS = ("file added", "CURRENT damaged")
"""What may be without effect: a file that nobody reads, and a `CURRENT` that still names a good snapshot."""


def _flip(path: Path, rng: np.random.Generator) -> str:
    content = bytearray(path.read_bytes())
    places = rng.choice(len(content) * 8, min(int(rng.integers(1, _MOST_FLIPS + 1)), len(content) * 8), replace=False)
    for place in places.tolist():
        content[place // 8] ^= 1 << place % 8
    _replace(path, bytes(content))
    return f"bits {sorted(places.tolist())} of {path.name} are flipped"


def _cut(path: Path, rng: np.random.Generator) -> str:
    content = path.read_bytes()
    length = int(rng.integers(len(content)))
    _replace(path, content[:length])
    return f"{path.name} is cut to {length} of {len(content)} bytes"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _any_file(folder: Path, rng: np.random.Generator) -> Path:
    """Returns a file that is not empty."""
    files = [path for path in _files(folder) if path.stat().st_size]
    return files[int(rng.integers(len(files)))]


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)
