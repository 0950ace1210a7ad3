"""A server process whose disk is full refuses writes with the reason, answers recalls, and leaves nothing corrupt.

The disk is that of a process which may not make files longer than they are now: a limit of the system, set from outside
on the running server, so that each write to its log really fails.
"""

from __future__ import annotations

import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.client import RecallClient, SimilarQuery
from recall.errors import TooLargeError
from recall.live.catalog import Catalog
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from server_process import ServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux alone"),
]


@pytest.fixture
def folder(demo_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(demo_folder / "snapshots", tmp_path / "snapshots")
    shutil.copy(demo_folder / "catalog.sqlite", tmp_path)
    return tmp_path


def test_a_full_disk_refuses_every_write_and_nothing_else(folder: Path) -> None:
    catalog = folder / "catalog.sqlite"
    with ServerProcess(folder / "snapshots", catalog, log=folder / "serve.log") as server:
        with RecallClient(server.address) as client:
            client.upsert([ItemRecord(item_id=name, features={"title": "a word"}) for name in ("kept", "gone")])
            client.delete(["gone"])
            limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            log_bytes = catalog.with_name("catalog.sqlite-wal").stat().st_size
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (log_bytes, limits[1]))
            long = {"title": "word " * 2_000}  # more than is left of the last page
            writes: list[Callable[[], object]] = [
                lambda: client.upsert([ItemRecord(item_id="refused", features=long)]),
                lambda: client.delete(["kept"]),
                lambda: client.record([InteractionRecord(user_id="u", item_id="kept", timestamp=1)]),
                lambda: client.upsert_users([UserRecord(user_id="u")]),
            ]
            for write in writes:
                with pytest.raises(TooLargeError, match=r"catalog\.sqlite: no room for the write .*free disk space"):
                    write()
            assert "later" not in client.similar(SimilarQuery(item_id="kept", limit=5)).item_ids
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
            last = client.upsert([ItemRecord(item_id="later", features=long)]).sequence
        server.kill()
    with Catalog.open(catalog) as opened:
        assert opened.last_sequence() == last
        assert opened.get_items(["kept", "gone", "refused", "later"]).keys() == {"kept", "later"}
        assert (opened.history("u", 1), opened.get_user("u")) == ((), None)
    connection = sqlite3.connect(catalog)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
