"""Files that cannot be written, really: a limit on their size, and modes that hold for the superuser too."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from index.snapshot import current, verify
from recall.errors import CatalogError, CatalogFullError, RecallError
from recall.live.backup import backup
from recall.live.catalog import Catalog
from recall.live.query import SimilarQuery
from recall.live.records import InteractionRecord
from recall.live.restore import restore

JAZZ = SimilarQuery(features={"topic": "jazz"}, limit=9)
_CAPGET, _CAPSET = 125, 126
_VERSION_3 = 0x20080522
_DAC_OVERRIDE = 1 << 1


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Has every write beyond a size fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def modes_hold() -> Iterator[None]:
    """Takes the right to pass over the modes of files from this thread and those that it starts, where it has it."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the superuser cannot be held to modes here")
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    held = ctypes.create_string_buffer(24)
    assert libc.syscall(_CAPGET, header, held) == 0
    effective, *others = struct.unpack("=6I", held.raw)
    lowered = ctypes.create_string_buffer(struct.pack("=6I", effective & ~_DAC_OVERRIDE, *others))
    assert libc.syscall(_CAPSET, header, lowered) == 0
    try:
        yield
    finally:
        assert libc.syscall(_CAPSET, header, held) == 0


def log_of(catalog: Catalog) -> Path:
    return catalog.path.with_name(f"{catalog.path.name}-wal")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_rebuild_on_a_full_disk_leaves_the_old_snapshot_current_and_nothing_else(
    deployment: Any, catalog: Catalog, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item(f"i{n}", "jazz") for n in range(100)])
    name = deployment.rebuild()
    before = names(deployment.root)
    text = rf"{deployment.root}/000002-a+ cannot be written, and nothing of it is left: .*free space"
    with files_of_at_most(3_000), pytest.raises(RecallError, match=text):  # 100 vectors have 6,400 bytes
        deployment.rebuild()
    assert names(deployment.root) == before
    assert current(deployment.root) == name
    verify(deployment.root / name)


def test_a_backup_on_a_full_disk_leaves_nothing(
    catalog: Catalog, tmp_path: Path, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item(f"i{n}", "jazz") for n in range(100)])
    with files_of_at_most(20_000), pytest.raises(CatalogFullError, match=r"backups.*no room for the write"):
        backup(catalog.path, tmp_path / "backups" / "b")
    assert names(tmp_path / "backups") == []


def test_a_restore_on_a_full_disk_leaves_the_catalogue_as_it_is(
    catalog: Catalog, tmp_path: Path, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item(f"i{n}", "jazz") for n in range(100)])
    backup(catalog.path, tmp_path / "b")
    catalog.put_items([make_item("later", "jazz")])
    with files_of_at_most(20_000), pytest.raises(CatalogError, match="cannot be written"):
        restore(tmp_path / "b", catalog.path, overwrite=True)
    assert catalog.put_items([make_item("last", "jazz")]) == 102
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_a_read_only_catalogue_is_served_and_takes_no_write(
    deployment: Any, catalog: Catalog, make_item: Callable[..., Any]
) -> None:
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild()
    catalog.close()
    catalog.path.chmod(0o444)
    with modes_hold(), deployment.serving() as system:
        for write in (
            lambda: system.upsert([make_item("b", "jazz")]),
            lambda: system.delete(["a"]),
            lambda: system.record([InteractionRecord(user_id="u", item_id="a", timestamp=1)]),
        ):
            with pytest.raises(CatalogError, match=r"readonly database.*make the file and its folder writable"):
                write()
        assert system.similar(JAZZ).item_ids == ["a"]
        assert system.status().sequence == 1
    catalog.path.chmod(0o644)
    with deployment.serving() as system:
        assert system.upsert([make_item("b", "jazz")]).sequence == 2
        assert system.similar(JAZZ).item_ids == ["a", "b"]
