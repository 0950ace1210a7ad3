"""Catalogues of older versions, brought up to date where they are opened."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recall.errors import CatalogError
from recall.live.catalog import Catalog
from recall.live.catalog_writes import CatalogWrite, PutUsers
from recall.live.records import ItemRecord, UserRecord
from recall.live.restore import restore
from recall.live.writes import RequestKey

V1 = Path(__file__).resolve().parents[1] / "samples" / "v1" / "catalog.sqlite"
LAST = 16  # its last write, see tests/samples/v1/expected.json


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(V1, tmp_path / "catalog.sqlite"))


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_a_catalogue_of_version_1_is_migrated_once_and_takes_every_write(old: Path) -> None:
    assert version(old) == 1
    with Catalog.open(old) as catalog:
        assert catalog.last_sequence() == LAST
        request = RequestKey(request_id="r", digest=b"1")
        write = CatalogWrite(change=PutUsers([UserRecord(user_id="new")]), request=request)
        assert catalog.write([write])[0].sequence == LAST + 1
        assert catalog.put_items([ItemRecord(item_id="new")]) == LAST + 2
    assert version(old) == 4
    with Catalog.open(old) as catalog:
        assert catalog.last_sequence() == LAST + 2
        assert catalog.write([write])[0].is_repeat
        assert catalog.get_user("u1") == {"age": 21.0}
        assert catalog.upkeep.rewrite()
        assert catalog.last_sequence() == LAST + 2


def test_many_may_open_an_old_catalogue_at_once(old: Path) -> None:
    def last(_: int) -> int:
        with Catalog.open(old) as catalog:
            return catalog.last_sequence()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(last, range(6))) == {LAST}
    assert version(old) == 4


def test_a_damaged_counter_is_still_seen_after_the_migration(old: Path) -> None:
    connection = sqlite3.connect(old)
    with connection:
        connection.execute("UPDATE counter SET sequence = 3")
    connection.close()
    with Catalog.open(old) as catalog, pytest.raises(CatalogError, match="is damaged: its counters of writes are 3"):
        catalog.last_sequence()


@pytest.mark.parametrize("source", ["catalog-v2", "catalog-v3", "backup-v1"])
def test_a_sample_of_another_version_reads_as_it_was_written(tmp_path: Path, source: str) -> None:
    sample, path = V1.parents[1] / source, tmp_path / "catalog.sqlite"
    if source.startswith("backup"):
        restore(sample, path)
    else:
        shutil.copy(sample / "catalog.sqlite", path)
    with Catalog.open(path) as catalog:
        assert [ancestor.sequence for ancestor in catalog.lineage.ancestors] == ([] if source == "catalog-v2" else [4])
        assert catalog.last_sequence() == 4
        item = catalog.get_item("é")
        assert item is not None
        assert (item.features, item.available_from, item.available_until) == ({"title": "word"}, 10, 20)
        assert (catalog.get_user("kept"), catalog.get_user("gone")) == ({}, None)
        assert (catalog.history("kept", 5), catalog.history("gone", 5)) == (("é",), ())
        written = catalog.find_request(RequestKey(request_id="request", digest=b"content"))
        assert written is not None
        assert (written.sequence, written.count, written.model_id, written.warnings[0].message) == (
            1,
            1,
            "m",
            "unknown",
        )
        assert catalog.upkeep.erased_at() is not None


def test_a_new_catalogue_and_a_rewritten_old_one_give_free_pages_back(old: Path) -> None:
    with Catalog.open(old) as catalog:
        catalog.upkeep.rewrite()
        catalog.put_items([ItemRecord(item_id=str(n), features={"title": "word " * 200}) for n in range(200)])
        catalog.upkeep.tidy(forget_before=0)
        size = old.stat().st_size
        catalog.delete_items([str(n) for n in range(200)])
        catalog.upkeep.tidy(forget_before=0)
    assert old.stat().st_size < size / 2
