"""What stays of removed rows in the bytes of a catalogue's file and its log: after a rewrite nothing."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from recall.live.catalog import Catalog
from recall.live.catalog_writes import CatalogWrite, DeleteUsers
from recall.live.config import ServeConfig
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.vacuum import Vacuum
from recall.live.writes import RequestKey


def files_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def user(user_id: str, length: int) -> UserRecord:
    return UserRecord(user_id=user_id, features={"f": user_id + "x" * length})


def erase(catalog: Catalog, user_ids: list[str]) -> None:
    catalog.write([CatalogWrite(change=DeleteUsers(user_ids))])


def test_nothing_of_the_erased_stays_however_rows_moved_between_pages(catalog: Catalog) -> None:
    """By this history SQLite 3.40 leaves four of the erased in gaps of pages, until the file is written anew."""
    chosen, alive, gone = random.Random(3), list[str](), set[str]()
    for step in range(9):
        names = [f"<{chosen.randrange(16**8):08x}-{step}-{n}>" for n in range(150)]
        catalog.put_users([user(name, chosen.randrange(400)) for name in names])
        events = [(name, f"i{chosen.randrange(99)}", chosen.randrange(10**6)) for name in names for _ in range(2)]
        catalog.add_interactions([InteractionRecord(user_id=u, item_id=i, timestamp=t) for u, i, t in events])
        alive += names
        catalog.put_users([user(name, chosen.randrange(900)) for name in chosen.sample(alive, 50)])
        some = chosen.sample(alive, 60)
        erase(catalog, some)
        gone |= set(some)
        alive = [name for name in alive if name not in gone]
    assert catalog.upkeep.rewrite()
    held = files_of(catalog.path)
    assert [name for name in gone if name.encode() in held] == []
    assert [name for name in alive if name.encode() not in held] == []


def test_a_rewrite_is_due_from_the_first_erasure_until_one_was_done(catalog: Catalog) -> None:
    catalog.put_users([UserRecord(user_id=name) for name in "abc"])
    erase(catalog, ["nobody"])
    assert catalog.upkeep.erased_at() is None
    erase(catalog, ["a"])
    first = catalog.upkeep.erased_at()
    assert first is not None
    catalog.upkeep.tidy(forget_before=0)
    erase(catalog, ["b"])
    assert catalog.upkeep.erased_at() == first
    catalog.upkeep.rewrite()
    assert catalog.upkeep.erased_at() is None
    with Catalog.open(catalog.path) as again:
        assert again.upkeep.erased_at() is None


def test_the_log_is_empty_after_tidying_and_a_reader_only_delays_it(catalog: Catalog, make_item) -> None:
    catalog.put_items([make_item("a", "jazz"), make_item("b", "jazz")])
    log = catalog.path.with_name(catalog.path.name + "-wal")
    assert log.stat().st_size > 0
    reader = sqlite3.connect(catalog.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM items").fetchone()
    catalog.put_items([ItemRecord(item_id="c")])
    assert not catalog.upkeep.tidy(forget_before=0)
    reader.close()
    assert catalog.upkeep.tidy(forget_before=0)
    assert log.stat().st_size == 0
    assert catalog.num_items() == 3


def test_the_thread_rewrites_once_the_time_is_over_and_forgets_request_ids(
    catalog: Catalog, until: Callable[[Callable[[], bool]], None]
) -> None:
    key, now = RequestKey(request_id="r", digest=b"1"), [0.0]
    catalog.put_users([UserRecord(user_id="u")])
    catalog.write([CatalogWrite(change=DeleteUsers(["u"]), request=key)])
    first = catalog.upkeep.erased_at()
    assert first is not None
    now[0] = first + 99.0
    config = ServeConfig(vacuum_interval_seconds=0.005, erasure_seconds=100, request_id_seconds=200)
    vacuum = Vacuum(catalog, config=config, clock=lambda: now[0])
    log = catalog.path.with_name(catalog.path.name + "-wal")
    try:
        until(lambda: log.stat().st_size == 0)
        assert catalog.upkeep.erased_at() == first
        now[0] = first + 100.0
        until(lambda: catalog.upkeep.erased_at() is None)
        assert catalog.find_request(key) is not None
        now[0] = first + 202.0
        until(lambda: catalog.find_request(key) is None)
    finally:
        vacuum.close(timeout_seconds=5)


def test_a_failing_catalogue_is_logged_once_and_tried_again(
    catalog: Catalog, until: Callable[[Callable[[], bool]], None], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[float] = []
    catalog.close()

    def clock() -> float:
        asked.append(0.0)
        return 0.0

    vacuum = Vacuum(catalog, config=ServeConfig(vacuum_interval_seconds=0.005), clock=clock)
    try:
        until(lambda: len(asked) > 3)
    finally:
        vacuum.close(timeout_seconds=5)
    assert len([record for record in caplog.records if "cannot be cleared" in record.message]) == 1
