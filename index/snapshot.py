"""Folders that are there whole or not at all, and the `CURRENT` file that names the one to serve.

A snapshot folder is named `<build number>-<suffix>` (the number in decimal digits, without sign) and holds files in
any nesting plus `manifest.json`, ASCII JSON with sorted keys and an indent of one space:

    {"digest":  hex SHA-256 of the manifest's canonical JSON without this key (sorted keys, no spaces, ASCII),
     "facts":   {...},          what the writer wants to say: catalogue, model, sequence, parameters
     "format_version": 1,
     "parts":   {"spaces/two_tower/vectors.npy": {"sha256": hex, "size_bytes": integer}, ...}}

Part names are paths below the folder with `/`; every file but the manifest is a part. `CURRENT`, in the parent of the
snapshot folders, holds the name of one of them and a line feed.

A folder is written as a sibling `.<name>.tmp-<process id>`, every file and folder of it synced, then renamed, then the
parent synced. `CURRENT` is replaced the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from index.errors import SnapshotDamagedError, SnapshotMismatchError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CURRENT = "CURRENT"

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_NAME = re.compile(r"(\d+)-[\w.-]+", re.ASCII)
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a folder.

    Attributes:
        size_bytes: Length.
        sha256: Hex digest of the content.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder says of itself.

    Attributes:
        facts: What its writer stated.
        parts: Files by path below the folder.
        digest: Hex digest of all of it, which names this very content.
    """

    facts: Mapping[str, Json]
    parts: Mapping[str, Part]
    digest: str


def write_folder(final: Path, fill: Callable[[Path], None]) -> None:
    """Makes a folder that appears whole or not at all, durable when this returns.

    Args:
        final: Folder to make; must not exist.
        fill: Writes the content below the folder it is given (call `write_manifest` last, for a snapshot).

    Raises:
        FileExistsError: `final` is already there; nothing was changed.
        OSError: The disk failed; nothing is left behind.
    """
    if final.exists():
        raise FileExistsError(f"{final} exists already; choose another name or remove it")
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.tmp-{os.getpid()}"
    if temporary.exists():  # left by a process that died and had this id
        shutil.rmtree(temporary)
    temporary.mkdir()
    try:
        fill(temporary)
        _sync_tree(temporary)
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(final.parent)


def write_manifest(folder: Path, facts: Mapping[str, Json]) -> Manifest:
    """Describes every file below `folder` in `manifest.json` and returns the description.

    Args:
        folder: Content is complete, the manifest aside.
        facts: JSON values by name.
    """
    parts: dict[str, Json] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            parts[path.relative_to(folder).as_posix()] = {"size_bytes": path.stat().st_size, "sha256": _sha256(path)}
    body: dict[str, Json] = {"format_version": FORMAT_VERSION, "facts": dict(facts), "parts": parts}
    body["digest"] = _digest(body)
    (folder / MANIFEST).write_bytes(_rendered(body))
    return read_manifest(folder)


def read_manifest(folder: Path) -> Manifest:
    """Reads `manifest.json` and checks it against its own digest.

    Raises:
        SnapshotDamagedError: It is missing or not what was written.
        SnapshotMismatchError: It is of another format version.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        body = json.loads(content)
    except FileNotFoundError:
        raise SnapshotDamagedError(f"{path} is missing; rebuild, or restore the folder from a copy") from None
    except ValueError as error:
        raise SnapshotDamagedError(f"{path} is not valid JSON: {error}; rebuild or restore it") from None
    if not isinstance(body, dict):
        raise SnapshotDamagedError(f"{path} holds {type(body).__name__}; want a JSON object; rebuild or restore it")
    seen, wanted = _digest({key: value for key, value in body.items() if key != "digest"}), body.get("digest")
    if seen != wanted or content != _rendered(body):
        raise SnapshotDamagedError(f"{path} has digest {seen} or layout other than written, wants {wanted}; restore it")
    if body.get("format_version") != FORMAT_VERSION:
        raise SnapshotMismatchError(
            f"{path} has format version {body.get('format_version')}, this program reads {FORMAT_VERSION}; rebuild"
        )
    parts = {name: Part(size_bytes=part["size_bytes"], sha256=part["sha256"]) for name, part in body["parts"].items()}
    return Manifest(facts=body["facts"], parts=parts, digest=seen)


def verify(folder: Path) -> Manifest:
    """Checks every file of a folder against its manifest and returns the manifest.

    Raises:
        SnapshotDamagedError: A file is missing, has another size or another content.
        SnapshotMismatchError: The manifest is of another format version.
    """
    manifest = read_manifest(folder)
    for name, part in manifest.parts.items():
        path = folder / name
        if not path.is_file():
            raise SnapshotDamagedError(f"{path} is missing (wants {part.size_bytes} bytes); rebuild or restore it")
        size_bytes = path.stat().st_size
        if size_bytes != part.size_bytes:
            raise SnapshotDamagedError(f"{path} has {size_bytes} bytes, wants {part.size_bytes}; rebuild or restore it")
        sha256 = _sha256(path)
        if sha256 != part.sha256:
            raise SnapshotDamagedError(f"{path} has SHA-256 {sha256}, wants {part.sha256}; rebuild or restore it")
    return manifest


def current(root: Path) -> str | None:
    """Returns the name of the snapshot to serve, None where none was set.

    Raises:
        SnapshotDamagedError: `CURRENT` holds no snapshot name.
    """
    path = root / CURRENT
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    name = content.decode("utf-8", errors="replace").removesuffix("\n")
    if not _NAME.fullmatch(name):
        raise SnapshotDamagedError(f"{path} holds {name[:80]!r}; want a name like 12-3fa9c1: write one, or rebuild")
    return name


def set_current(root: Path, name: str) -> None:
    """Makes `CURRENT` name a snapshot of `root`, at once and durably.

    Raises:
        FileNotFoundError: There is no such snapshot.
        ValueError: `name` is no snapshot name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no snapshot name; want <build number>-<suffix>")
    if not (root / name).is_dir():
        raise FileNotFoundError(f"{root / name} does not exist; CURRENT stays as it is")
    temporary = root / f".{CURRENT}.tmp-{os.getpid()}"
    try:
        temporary.write_text(f"{name}\n", encoding="utf-8")
        _sync(temporary)
        temporary.replace(root / CURRENT)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(root)


def snapshot_names(root: Path) -> list[str]:
    """Returns the snapshot folders of `root`, newest first, without looking into them."""
    if not root.is_dir():
        return []
    names = [path.name for path in root.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)]
    return sorted(names, key=lambda name: (build_number(name), name), reverse=True)


def build_number(name: str) -> int:
    """Returns the number that a snapshot name begins with."""
    return int(name.split("-", 1)[0])


def next_build_number(root: Path) -> int:
    """Returns a number above that of every snapshot of `root`, 1 at first."""
    names = snapshot_names(root)
    return build_number(names[0]) + 1 if names else 1


def _rendered(body: Mapping[str, Json]) -> bytes:
    return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode("ascii")


def _digest(body: Mapping[str, Json]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
